# cython: language_level=3, binding=False
"""Streams and frames over the camera's video library: one class for each pointer, one check for every error."""

import sys
import warnings

cimport cython
from cpython.buffer cimport (
    PyBUF_ANY_CONTIGUOUS, PyBUF_C_CONTIGUOUS, PyBUF_F_CONTIGUOUS, PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE,
)
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t

from .vdo cimport *

from .errors import (
    NO_DATA, NO_EVENT, FrameReleased, FramesHeldWarning, LibraryMissing, NoFrame, NoSuchPlane, NotSupported,
    ServiceFailed, Starved, StreamClosed, ViewsAlive, WrongThread, _Expected, video_error,
)

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()

cdef extern from "poll.h" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *fds, unsigned long count, int timeout)
    short POLLIN
    short POLLERR
    short POLLHUP

cdef extern from "unistd.h" nogil:
    int getpid()

cdef extern from "time.h" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *time)
    int CLOCK_MONOTONIC

# So long a wait may go on before it looks whether a signal's handler wants to run: one that came just before the wait.
cdef int SLICE_MS = 500
cdef bint opened = False
# VdoFrameType: what a frame is, and which kinds can be shown without an earlier one.
KINDS = {
    1: "parameters", 2: "parameters", 3: "information", 4: "idr", 5: "i", 6: "p", 7: "b",
    8: "parameters", 9: "parameters", 10: "parameters", 11: "information", 12: "idr", 13: "i", 14: "p", 15: "b",
    16: "jpeg", 17: "yuv", 18: "raw", 19: "rgba", 20: "rgb", 21: "planar-rgb", 22: "idr", 23: "p", 24: "b", 25: "avif",
}
OWN_MODULES = ("acap.video", "acap.desk.camera")
KEY_TYPES = frozenset((4, 12, 16, 17, 18, 19, 20, 21, 22, 25))
# Of the buffer protocol: unsigned bytes, one after the other.
cdef char *BYTES = b"B"
cdef Py_ssize_t ONE = 1



cdef double monotonic() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


def open_library():
    """Open the camera's video library, once in a process. Raises LibraryMissing."""
    global opened
    if opened:
        return
    cdef const char *message = vdo_open(b"libvdostream.so.1")
    if message != NULL:
        first = message.decode("utf-8", "replace")
        message = vdo_open(b"libvdo.so.1")
        if message != NULL:
            raise LibraryMissing(
                f"the video library libvdostream.so.1 cannot be opened ({first})",
                hint="run the app in a camera or a virtual one, or here with `incamera run --local`, "
                "or name a video in ACAP_VIDEO",
            )
    opened = True


cdef int need(void *function, const char *name) except -1:
    """Raise NotSupported if *function* is NULL, which this camera does not have."""
    if function == NULL:
        text, since = name.decode(), vdo_since(name).decode()
        raise NotSupported(f"the camera's video library has no {text}", hint=f"AXIS OS {since} has it")
    return 0


cdef object error_of(GError *error, str doing):
    """Return the exception for *error*, and free it."""
    if error == NULL:
        return ServiceFailed(f"cannot {doing}: the library does not say why", domain="vdo")
    cdef int code = error.code
    text = error.message.decode("utf-8", "replace") if error.message != NULL else "unknown error"
    cdef bint expected = vdo.vdo_error_is_expected != NULL and vdo.vdo_error_is_expected(&error)
    if vdo.g_error_free != NULL:
        vdo.g_error_free(error)
    exception = video_error(code, text, doing)
    if expected:
        wrapped = _Expected()
        wrapped.__cause__ = exception
        return wrapped
    return exception


cdef VdoMap *make_map(dict settings) except NULL:
    need(<void *>vdo.vdo_map_new, b"vdo_map_new")
    cdef VdoMap *map = vdo.vdo_map_new()
    try:
        for key, value in settings.items():
            set_value(map, key.encode(), value)
    except BaseException:
        vdo.g_object_unref(map)
        raise
    return map


cdef str text_of(VdoMap *map, bytes key):
    """Return the text at *key*, or "" if there is none."""
    cdef const char *text = NULL
    if vdo.vdo_map_get_string != NULL:
        text = vdo.vdo_map_get_string(map, key, NULL, b"")
    return "" if text == NULL else text.decode("utf-8", "replace")


cdef int set_value(VdoMap *map, bytes key, object value) except -1:
    cdef bytes text
    if isinstance(value, bool):
        need(<void *>vdo.vdo_map_set_boolean, b"vdo_map_set_boolean")
        vdo.vdo_map_set_boolean(map, key, value)
    elif isinstance(value, int):
        need(<void *>vdo.vdo_map_set_uint32, b"vdo_map_set_uint32")
        vdo.vdo_map_set_uint32(map, key, value)
    elif isinstance(value, float):
        need(<void *>vdo.vdo_map_set_double, b"vdo_map_set_double")
        vdo.vdo_map_set_double(map, key, value)
    elif isinstance(value, str):
        need(<void *>vdo.vdo_map_set_string, b"vdo_map_set_string")
        text = value.encode()
        vdo.vdo_map_set_string(map, key, text)
    else:
        raise TypeError(f"the setting {key.decode()} must be a bool, int, float or str, not {type(value).__name__}")
    return 0


cdef VdoChannel *channel_of(dict wanted) except NULL:
    """Return the channel *wanted*: `{"channel": 1}` or `{"input": 1}`."""
    cdef GError *error = NULL
    cdef VdoChannel *channel
    cdef VdoMap *map
    cdef unsigned number
    open_library()
    if "channel" in wanted:
        need(<void *>vdo.vdo_channel_get, b"vdo_channel_get")
        number = wanted["channel"]
        with nogil:
            channel = vdo.vdo_channel_get(number, &error)
    else:
        need(<void *>vdo.vdo_channel_get_ex, b"vdo_channel_get_ex")
        map = make_map(wanted)
        with nogil:
            channel = vdo.vdo_channel_get_ex(map, &error)
        vdo.g_object_unref(map)
    if channel == NULL:
        raise error_of(error, "ask for the camera's channels")
    return channel


cdef dict channel_info(VdoChannel *channel):
    """Return what the camera tells of *channel*."""
    cdef GError *error = NULL
    cdef VdoMap *map
    cdef VdoPair32u ratio
    need(<void *>vdo.vdo_channel_get_info, b"vdo_channel_get_info")
    with nogil:
        map = vdo.vdo_channel_get_info(channel, &error)
    if map == NULL:
        raise error_of(error, "ask what a channel has")
    info = {
        "channel": vdo.vdo_map_get_uint32(map, b"id", vdo.vdo_channel_get_id(channel) if vdo.vdo_channel_get_id else 0),
        "rotation": vdo.vdo_map_get_uint32(map, b"rotation", 0),
    }
    ratio.w = ratio.h = 0
    if vdo.vdo_map_get_pair32u != NULL:
        ratio = vdo.vdo_map_get_pair32u(map, b"aspect_ratio", ratio)
    info["aspect_ratio"] = (ratio.w, ratio.h)
    vdo.g_object_unref(map)
    return info


def channels():
    """Return what the camera tells of each of its channels."""
    cdef GError *error = NULL
    cdef GList *first
    cdef GList *item
    open_library()
    need(<void *>vdo.vdo_channel_get_all, b"vdo_channel_get_all")
    with nogil:
        first = vdo.vdo_channel_get_all(&error)
    if first == NULL and error != NULL:
        raise error_of(error, "ask for the camera's channels")
    found = []
    try:
        item = first
        while item != NULL:
            found.append(channel_info(<VdoChannel *>item.data))
            item = item.next
    finally:
        item = first
        while item != NULL:
            vdo.g_object_unref(item.data)
            item = item.next
        if vdo.g_list_free != NULL:
            vdo.g_list_free(first)
    return found


def channel(dict wanted):
    """Return what the camera tells of the channel *wanted*."""
    cdef VdoChannel *found = channel_of(wanted)
    try:
        return channel_info(found)
    finally:
        vdo.g_object_unref(found)


def resolutions(dict wanted, dict filter):
    """Return the sizes of the channel *wanted* that pass *filter*."""
    cdef GError *error = NULL
    cdef VdoMap *map
    cdef VdoResolutionSet *found
    cdef VdoChannel *channel = channel_of(wanted)
    try:
        need(<void *>vdo.vdo_channel_get_resolutions, b"vdo_channel_get_resolutions")
        map = make_map(filter)
        with nogil:
            found = vdo.vdo_channel_get_resolutions(channel, map, &error)
        vdo.g_object_unref(map)
    finally:
        vdo.g_object_unref(channel)
    if found == NULL:
        if error != NULL:
            vdo.g_error_free(error)
        return []
    sizes = [(found.resolutions[n].width, found.resolutions[n].height) for n in range(found.count)]
    vdo.g_free(found)
    return sizes


def stream_size(unsigned number):
    """Return the width and the height of any stream of the camera."""
    cdef GError *error = NULL
    cdef VdoStream *stream
    cdef VdoMap *map
    open_library()
    need(<void *>vdo.vdo_stream_get, b"vdo_stream_get")
    need(<void *>vdo.vdo_stream_get_info, b"vdo_stream_get_info")
    with nogil:
        stream = vdo.vdo_stream_get(number, &error)
    if stream == NULL:
        raise error_of(error, "ask how large a video stream is")
    with nogil:
        map = vdo.vdo_stream_get_info(stream, &error)
    try:
        if map == NULL:
            raise error_of(error, "ask how large a video stream is")
        size = vdo.vdo_map_get_uint32(map, b"width", 0), vdo.vdo_map_get_uint32(map, b"height", 0)
        vdo.g_object_unref(map)
    finally:
        with nogil:
            vdo.g_object_unref(stream)
    return size


def snapshot(dict settings):
    """Return a copy of a picture of its own, and the width and height that it has."""
    cdef GError *error = NULL
    cdef VdoBuffer *buffer
    open_library()
    need(<void *>vdo.vdo_stream_snapshot, b"vdo_stream_snapshot")
    cdef VdoMap *map = make_map(settings)
    try:
        with nogil:
            buffer = vdo.vdo_stream_snapshot(map, &error)
        if buffer == NULL:
            raise error_of(error, "take a snapshot")
        width = vdo.vdo_map_get_uint32(map, b"width", 0)
        height = vdo.vdo_map_get_uint32(map, b"height", 0)
    finally:
        vdo.g_object_unref(map)
    try:
        frame = copy_of(buffer)
    finally:
        vdo.g_object_unref(buffer)
    return frame, width, height


cdef Frame copy_of(VdoBuffer *buffer):
    """Return a frame of its own with the bytes of *buffer*."""
    cdef Frame frame = Frame.__new__(Frame)
    cdef void *data = vdo.vdo_buffer_get_data(buffer)
    if data == NULL:
        raise ServiceFailed("a frame's buffer cannot be mapped into memory", domain="vdo")
    frame.describe(buffer)
    frame.keep(PyBytes_FromStringAndSize(<char *>data, vdo.vdo_frame_get_size(buffer)))
    return frame


cdef bytes join_chunks(VdoBuffer *buffer):
    """Return the bytes of a frame whose parts lie in different places."""
    cdef GError *error = NULL
    cdef VdoChunk chunk
    parts = []
    while True:
        chunk = vdo.vdo_frame_take_chunk(buffer, &error)
        if chunk.type & VDO_CHUNK_ERROR:
            raise error_of(error, "read a part of a video frame")
        if chunk.size == 0:
            return b"".join(parts)
        parts.append(PyBytes_FromStringAndSize(<char *>chunk.data, chunk.size))


cdef list take_events(VdoStream *stream):
    """Return the events of *stream* since the last call: pairs of numbers, the kind and the stream's."""
    cdef GError *error = NULL
    cdef VdoMap *map
    found = []
    while True:
        map = vdo.vdo_stream_get_event(stream, &error)
        if map != NULL:
            found.append((vdo.vdo_map_get_uint32(map, b"event", 0), vdo.vdo_map_get_uint32(map, b"id", 0)))
            vdo.g_object_unref(map)
            continue
        if error == NULL:
            return found
        if error.code == NO_EVENT or found:
            vdo.g_error_free(error)
            return found
        raise error_of(error, "ask for the events of a video stream")


cdef class Watcher:
    """The stream 0, which tells of all streams of the camera."""

    cdef VdoStream *stream
    cdef readonly int fd

    def __cinit__(self):
        cdef GError *error = NULL
        cdef VdoMap *map
        cdef int done
        self.fd = -1
        open_library()
        need(<void *>vdo.vdo_stream_get, b"vdo_stream_get")
        need(<void *>vdo.vdo_stream_attach, b"vdo_stream_attach")
        need(<void *>vdo.vdo_stream_get_event_fd, b"vdo_stream_get_event_fd")
        need(<void *>vdo.vdo_stream_get_event, b"vdo_stream_get_event")
        with nogil:
            self.stream = vdo.vdo_stream_get(0, &error)
        if self.stream == NULL:
            raise error_of(error, "watch the camera's streams")
        map = make_map({"filter": "overlay"})
        with nogil:
            done = vdo.vdo_stream_attach(self.stream, map, &error)
        vdo.g_object_unref(map)
        if not done:
            raise error_of(error, "watch the camera's streams")
        self.fd = vdo.vdo_stream_get_event_fd(self.stream, &error)
        if self.fd < 0:
            raise error_of(error, "watch the camera's streams")

    def take(self):
        """Return what has happened since the last call."""
        if self.stream == NULL:
            raise StreamClosed("the watch of the camera's streams is closed")
        return take_events(self.stream)

    def wait(self, double seconds):
        """Wait for an event, without the GIL. Returns whether the service is gone."""
        cdef pollfd ready
        ready.fd = self.fd
        ready.events = POLLIN
        ready.revents = 0
        wait_for(&ready, <int>(min(seconds * 1000, <double>SLICE_MS)))
        return bool(ready.revents & (POLLERR | POLLHUP)) and not ready.revents & POLLIN

    def close(self):
        cdef VdoStream *stream = self.stream
        self.stream = NULL
        self.fd = -1
        if stream != NULL:
            vdo.g_object_unref(stream)

    def __dealloc__(self):
        self.close()


cdef int wait_for(pollfd *ready, int milliseconds) except -1:
    """Wait for a file descriptor, without the GIL. A signal's handler runs, and may end it."""
    cdef int count, code
    with nogil:
        count = poll(ready, 1, milliseconds)
        code = errno
    if count < 0 and code != EINTR:
        raise ServiceFailed(f"cannot wait for the camera: error {code}")
    PyErr_CheckSignals()
    return 0


@cython.no_gc_clear
cdef class Source:
    """Where frames come from. It belongs to one thread of one process, and knows which frames are in use."""

    cdef unsigned long thread
    cdef int pid
    cdef bint closed, warned
    cdef dict places  # where each live frame was taken, or viewed last
    cdef size_t last  # the number of the last frame that has no buffer of the camera
    cdef double delay  # from capture to arrival, in seconds: the least that was seen
    cdef public double period
    cdef public int fd
    cdef readonly int held
    cdef public int buffers
    cdef public dict info
    cdef dict planes
    cdef object geometry
    cdef size_t needed  # the bytes that a frame must have
    cdef object __weakref__

    def __cinit__(self):
        self.fd = -1
        self.delay = -1
        self.period = 1 / 30.0
        self.places = {}
        self.planes = {}
        self.info = {}
        self.thread = PyThread_get_thread_ident()
        self.pid = getpid()

    def describe(self, object geometry, dict planes):
        """Note which frames come: they have *geometry* and *planes*."""
        self.geometry = geometry
        self.planes = planes
        self.needed = max((plane.end for plane in planes.values()), default=1)

    def check_owner(self):
        """Raise WrongThread or StreamClosed unless the stream may be used here."""
        if self.pid != getpid():
            raise WrongThread("this video stream was made before a fork", hint="make a stream in the new process")
        if self.thread != PyThread_get_thread_ident():
            raise WrongThread(
                "this video stream was made in another thread", hint="use a stream in the thread that made it"
            )
        if self.closed:
            raise StreamClosed("this video stream is closed")

    def mark_closed(self):
        self.closed = True
        self.fd = -1

    cdef int frame_is_gone(self, Frame frame) noexcept:
        """Count the frame no longer among those in use."""
        self.places.pop(frame.number, None)
        if self.pid == getpid():
            self.held -= 1
        return 0

    def frame_of(self, bytes data, unsigned sequence, double timestamp, double time, int type, Py_ssize_t header=-1):
        """Return a frame with *data*, which counts as in use until it is gone."""
        cdef Frame frame = Frame.__new__(Frame)
        frame.keep(data)
        frame.geometry, frame.planes = self.geometry, self.planes
        frame.number_in_stream, frame.captured, frame.wall_clock, frame.type = sequence, timestamp, time, type
        frame.header = header
        frame.is_key = type in KEY_TYPES
        self.last += 1
        frame.number = self.last
        frame.capture = self
        self.held += 1
        frame.remember()
        return frame

    def is_late(self, double timestamp, bint waited):
        """Whether a frame lay in the buffers for too long, because the program was busy.

        *waited*: whether there was none just before, so that this one is new.
        """
        cdef double age = monotonic() - timestamp
        if waited:
            if self.delay < 0 or age < self.delay:
                self.delay = age
            return False
        # A program that was busy from the start has not seen how long frames take: it waits for the next one, once.
        return age > max(self.delay, 0.0) + 1.5 * self.period

    def take(self, bint newest, bint waited):
        raise NotImplementedError

    def next(self, bint newest, object timeout):
        """Wait for a frame and return it. Raises NoFrame after *timeout* seconds, unless that is None."""
        cdef double start = monotonic()
        cdef double waited = 0
        cdef double limit = -1 if timeout is None else timeout
        cdef int slice
        cdef pollfd ready
        frame = self.take(newest, False)
        while frame is None:
            slice = SLICE_MS
            if self.held >= self.buffers:
                slice = min(slice, self.check_held(waited))
            if limit >= 0:
                if waited >= limit:
                    raise NoFrame(f"no frame came within {limit:g} s")
                slice = min(slice, <int>((limit - waited) * 1000) + 1)
            ready.fd = self.fd
            ready.events = POLLIN
            wait_for(&ready, slice)
            frame = self.take(newest, True)
            waited = monotonic() - start
        return frame

    cpdef int check_held(self, double waited) except -1:
        """Warn, later raise Starved, because all buffers are held; return the milliseconds until the next look."""
        cdef double patience = 2 * self.period
        cdef double limit = max(1.0, 10 * self.period)
        if self.held < self.buffers:
            return SLICE_MS
        if waited < patience:
            return <int>((patience - waited) * 1000) + 1
        if not self.warned:
            self.warned = True
            warnings.warn(self.tell_held(), FramesHeldWarning, stacklevel=2)
        if waited >= limit:
            raise Starved(self.tell_held(), hint="release frames, or ask for more with buffers=")
        return <int>((limit - waited) * 1000) + 1

    def tell_held(self):
        lines = []
        for code, offset in list(self.places.values()):
            lines.append(f"{code.co_filename}:{line_of(code, offset)}")
        where = ", ".join(dict.fromkeys(lines))
        return f"all {self.held} buffers of a video stream are held by frames in use; they were taken or viewed at {where}"


@cython.no_gc_clear
cdef class Capture(Source):
    """One VdoStream: made, started, asked for frames, stopped."""

    cdef VdoStream *stream
    cdef list forsaken  # buffers of frames that died in other threads: numbers
    cdef bint chunked

    def __cinit__(self, dict settings):
        self.forsaken = []
        open_library()
        need(<void *>vdo.vdo_stream_new, b"vdo_stream_new")
        need(<void *>vdo.vdo_stream_get_info, b"vdo_stream_get_info")
        need(<void *>vdo.vdo_stream_get_fd, b"vdo_stream_get_fd")
        need(<void *>vdo.vdo_stream_get_buffer, b"vdo_stream_get_buffer")
        need(<void *>vdo.vdo_stream_buffer_unref, b"vdo_stream_buffer_unref")
        need(<void *>vdo.vdo_stream_start, b"vdo_stream_start")
        need(<void *>vdo.vdo_stream_stop, b"vdo_stream_stop")
        cdef GError *error = NULL
        # An older camera's frames lie in one piece.
        if vdo.vdo_buffer_is_contiguous == NULL or vdo.vdo_frame_take_chunk == NULL:
            settings = {key: value for key, value in settings.items() if key != "frame.chunks"}
        self.chunked = bool(settings.get("frame.chunks"))
        cdef VdoMap *map = make_map(settings)
        with nogil:
            self.stream = vdo.vdo_stream_new(map, NULL, &error)
        vdo.g_object_unref(map)
        if self.stream == NULL:
            raise error_of(error, "make a video stream")
        with nogil:
            map = vdo.vdo_stream_get_info(self.stream, &error)
        if map == NULL:
            raise error_of(error, "ask what the video stream has")
        self.info = {
            name: vdo.vdo_map_get_uint32(map, <bytes>name.encode(), 0)
            for name in ("format", "width", "height", "pitch", "rotation", "buffer.count")
        }
        self.info["framerate"] = vdo.vdo_map_get_double(map, b"framerate", 0.0)
        self.info["buffer.type"] = text_of(map, b"buffer.type")
        vdo.g_object_unref(map)
        self.info["id"] = vdo.vdo_stream_get_id(self.stream) if vdo.vdo_stream_get_id != NULL else 0
        self.info["image.fit"] = self.ask_fit()
        self.buffers = self.info["buffer.count"] or settings.get("buffer.count", 3)
        rate = self.info["framerate"] or settings.get("framerate", 0) or 30
        self.period = 1.0 / rate

    cdef object ask_fit(self):
        """Return the setting image.fit that the camera has taken; an older one has none."""
        cdef GError *error = NULL
        cdef VdoMap *map
        if vdo.vdo_stream_get_settings == NULL:
            return ""
        with nogil:
            map = vdo.vdo_stream_get_settings(self.stream, &error)
        if map == NULL:
            if error != NULL:
                vdo.g_error_free(error)
            return ""
        fit = text_of(map, b"image.fit")
        vdo.g_object_unref(map)
        return fit

    def start(self):
        """Start the stream."""
        cdef GError *error = NULL
        cdef int done
        with nogil:
            done = vdo.vdo_stream_start(self.stream, &error)
        if not done:
            raise error_of(error, "start the video stream")
        self.fd = vdo.vdo_stream_get_fd(self.stream, &error)
        if self.fd < 0:
            raise error_of(error, "get the video stream's file descriptor")

    def events(self):
        """Return the stream's events since the last call."""
        self.check_owner()
        need(<void *>vdo.vdo_stream_get_event, b"vdo_stream_get_event")
        return take_events(self.stream)

    def force_key_frame(self):
        self.check_owner()
        need(<void *>vdo.vdo_stream_force_key_frame, b"vdo_stream_force_key_frame")
        cdef GError *error = NULL
        cdef int done
        with nogil:
            done = vdo.vdo_stream_force_key_frame(self.stream, &error)
        if not done:
            raise error_of(error, "ask for a key frame")

    def set_framerate(self, double framerate):
        self.check_owner()
        need(<void *>vdo.vdo_stream_set_framerate, b"vdo_stream_set_framerate")
        cdef GError *error = NULL
        if not vdo.vdo_stream_set_framerate(self.stream, framerate, &error):
            raise error_of(error, "change the frame rate")
        self.period = 1.0 / framerate

    cdef VdoBuffer *get(self) except? NULL:
        """Return the next buffer, or NULL without an exception when there is none yet."""
        cdef GError *error = NULL
        cdef VdoBuffer *buffer
        with nogil:
            buffer = vdo.vdo_stream_get_buffer(self.stream, &error)
        if buffer != NULL:
            return buffer
        if error != NULL and error.code == NO_DATA:
            vdo.g_error_free(error)
            return NULL
        raise error_of(error, "get a video frame")

    cdef int give_back(self, VdoBuffer *buffer) noexcept:
        cdef GError *error = NULL
        with nogil:
            vdo.vdo_stream_buffer_unref(self.stream, &buffer, &error)
            if error != NULL:
                # The service is gone, and with it what it knew of the buffer.
                vdo.g_error_free(error)
            if buffer != NULL:
                vdo.g_object_unref(buffer)
        return 0

    cdef int frame_is_gone(self, Frame frame) noexcept:
        """Give the buffer of *frame* back; in another thread, leave that to the stream's own."""
        cdef VdoBuffer *buffer = frame.buffer
        if buffer == NULL:
            return Source.frame_is_gone(self, frame)
        frame.buffer = NULL
        frame.data = NULL
        self.places.pop(frame.number, None)
        if self.pid != getpid():
            return 0
        if self.thread != PyThread_get_thread_ident():
            self.forsaken.append(<size_t>buffer)
            return 0
        self.held -= 1
        self.give_back(buffer)
        if self.closed and self.held == 0:
            self.drop()
        return 0

    cdef int collect(self) except -1:
        """Give back what other threads have left."""
        while self.forsaken:
            self.held -= 1
            self.give_back(<VdoBuffer *><size_t>self.forsaken.pop())
        return 0

    cdef int drop(self) noexcept:
        cdef VdoStream *stream = self.stream
        self.stream = NULL
        if stream != NULL and self.pid == getpid():
            with nogil:
                vdo.g_object_unref(stream)
        return 0

    def take(self, bint newest, bint waited):
        """Return a frame that is there already, or None.

        *newest*: the newest, and none that waited for the program too long. *waited*: whether there was none just
        before, so that what is there now is new.
        """
        self.check_owner()
        if self.forsaken:
            self.collect()
        cdef VdoBuffer *buffer = self.get()
        cdef VdoBuffer *newer
        if buffer == NULL:
            return None
        if newest:
            try:
                while (newer := self.get()) != NULL:
                    self.give_back(buffer)
                    buffer = newer
            except Exception:
                pass  # the next call raises it again; this frame is good
            if self.is_late(vdo.vdo_frame_get_timestamp(buffer) * 1e-6, waited):
                # The buffers ran full while the program did something else, and newer frames were lost.
                self.give_back(buffer)
                return None
        return self.wrap(buffer)

    cdef object wrap(self, VdoBuffer *buffer):
        cdef Frame frame = Frame.__new__(Frame)
        cdef GError *error = NULL
        cdef VdoChunk chunk
        cdef size_t size = vdo.vdo_frame_get_size(buffer)
        cdef void *data
        try:
            frame.describe(buffer)
            frame.geometry, frame.planes = self.geometry, self.planes
            if not self.chunked:
                data = vdo.vdo_buffer_get_data(buffer)
            elif vdo.vdo_buffer_is_contiguous(buffer):
                chunk = vdo.vdo_frame_take_chunk(buffer, &error)
                if chunk.type & VDO_CHUNK_ERROR:
                    raise error_of(error, "read a video frame")
                data, size = chunk.data, chunk.size
            else:
                frame.keep(join_chunks(buffer))
                self.give_back(buffer)
                return frame
            if data == NULL:
                raise ServiceFailed("a frame's buffer cannot be mapped into memory", domain="vdo")
            if size < self.needed:
                raise ServiceFailed(f"a frame has {size} bytes, its size and format need {self.needed}", domain="vdo")
        except BaseException:
            self.give_back(buffer)
            raise
        frame.capture = self
        frame.buffer = buffer
        frame.data = <char *>data
        frame.size = size
        frame.number = <size_t>buffer
        self.held += 1
        frame.remember()
        return frame

    def close(self):
        """Stop the stream. Frames that are still in use stay valid."""
        if self.closed:
            return
        self.check_owner()
        self.mark_closed()
        self.collect()
        with nogil:
            vdo.vdo_stream_stop(self.stream)
        if self.held == 0:
            self.drop()

    def __dealloc__(self):
        if self.stream == NULL or self.pid != getpid():
            return
        if not self.closed and self.fd >= 0:
            with nogil:
                vdo.vdo_stream_stop(self.stream)
        for number in self.forsaken:
            self.give_back(<VdoBuffer *><size_t>number)
        self.drop()


def line_of(code, int offset):
    """Return the line of the instruction at *offset* bytes in *code*."""
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno


@cython.no_gc_clear
cdef class Frame:
    """A picture in a buffer of the camera. It is read-only, and a buffer of bytes: `bytes(frame)`, `memoryview(frame)`.

    A picture that is not encoded has planes, which are buffers of bytes with a shape and strides:
    `numpy.asarray(frame.y)` is an array of the camera's own memory, without a copy.

    | format | planes |
    | --- | --- |
    | nv12 | `y` (height, width), `uv` (height / 2, width / 2, 2) |
    | y800 | `y` (height, width) |
    | rgb, planar-rgb | `rgb` (height, width, 3); the two differ in their strides |

    The buffer goes back to the camera when the frame and all views of it are gone, or with `release()`. To keep a picture
    for longer, `copy()` it.
    """

    cdef Source capture
    cdef VdoBuffer *buffer
    cdef char *data
    cdef Py_ssize_t size
    cdef size_t number
    cdef dict planes
    cdef object geometry
    cdef object owner  # the bytes, if they are no longer in the camera's buffer
    cdef int type
    cdef bint is_key
    cdef Py_ssize_t header
    cdef int exported
    cdef unsigned number_in_stream
    cdef double captured, wall_clock

    def __init__(self):
        raise TypeError("frames come from a stream")

    cdef int describe(self, VdoBuffer *buffer) except -1:
        """Take over what the camera tells of the frame."""
        self.number_in_stream = vdo.vdo_frame_get_sequence_nbr(buffer)
        self.captured = vdo.vdo_frame_get_timestamp(buffer) * 1e-6
        self.wall_clock = vdo.vdo_frame_get_custom_timestamp(buffer) * 1e-6
        self.type = vdo.vdo_frame_get_frame_type(buffer) if vdo.vdo_frame_get_frame_type != NULL else 0
        self.is_key = vdo.vdo_frame_is_key(buffer) if vdo.vdo_frame_is_key != NULL else self.type in KEY_TYPES
        self.header = vdo.vdo_frame_get_header_size(buffer) if vdo.vdo_frame_get_header_size != NULL else -1
        return 0

    cdef int keep(self, bytes data) except -1:
        """Have *data* as the frame's bytes."""
        self.owner = data
        self.data = PyBytes_AsString(data)
        self.size = len(data)
        return 0

    def shape_as(self, object geometry, dict planes):
        """Have *geometry* and *planes*, and return the frame: one of a snapshot."""
        self.geometry, self.planes = geometry, planes
        return self

    cdef int remember(self) except -1:
        """Note the program's line that runs, for the warning about frames that are held."""
        frame = sys._getframe(0)
        while frame.f_back is not None and frame.f_globals.get("__name__") in OWN_MODULES:
            frame = frame.f_back
        self.capture.places[self.number] = (frame.f_code, frame.f_lasti)
        return 0

    cdef int export(self, object owner, Py_buffer *view, int flags, Py_ssize_t offset, int ndim, Py_ssize_t *shape,
                    Py_ssize_t *strides) except -1:
        """Fill *view* with a part of the frame."""
        view.obj = None
        if self.data == NULL:
            raise FrameReleased("this frame was released: its buffer is the camera's again")
        if flags & PyBUF_WRITABLE:
            raise BufferError("a frame is read-only; frame.copy() does not help, numpy.array(frame.y) does")
        cdef Py_ssize_t c_step = 1, f_step = 1, length = 1
        cdef bint c_order = True, f_order = True
        cdef int n
        for n in range(ndim):
            length *= shape[n]
            f_order = f_order and (shape[n] == 1 or strides[n] == f_step)
            f_step *= shape[n]
            c_order = c_order and (shape[ndim - 1 - n] == 1 or strides[ndim - 1 - n] == c_step)
            c_step *= shape[ndim - 1 - n]
        cdef bint wants_strides = flags & PyBUF_STRIDES == PyBUF_STRIDES
        if (
            not wants_strides and not c_order
            or flags & PyBUF_C_CONTIGUOUS == PyBUF_C_CONTIGUOUS and not c_order
            or flags & PyBUF_F_CONTIGUOUS == PyBUF_F_CONTIGUOUS and not f_order
            or flags & PyBUF_ANY_CONTIGUOUS == PyBUF_ANY_CONTIGUOUS and not (c_order or f_order)
        ):
            raise BufferError("the rows of this frame are not contiguous")
        view.buf = self.data + offset
        view.len = length
        view.itemsize = 1
        view.readonly = 1
        view.ndim = ndim
        view.format = BYTES if flags & PyBUF_FORMAT == PyBUF_FORMAT else NULL
        view.shape = shape if flags & PyBUF_ND == PyBUF_ND else NULL
        view.strides = strides if wants_strides else NULL
        view.suboffsets = NULL
        view.internal = NULL
        view.obj = owner
        self.exported += 1
        if self.capture is not None:
            self.remember()
        return 0

    def __getbuffer__(self, Py_buffer *view, int flags):
        self.export(self, view, flags, 0, 1, &self.size, &ONE)

    def __releasebuffer__(self, Py_buffer *view):
        self.exported -= 1

    def __array__(self, dtype=None, copy=None):
        return array_of(self, dtype, copy)

    def __len__(self):
        return self.size

    cdef object plane(self, str name):
        if self.data == NULL:
            raise FrameReleased("this frame was released: its buffer is the camera's again")
        layout = self.planes.get(name)
        if layout is None:
            has = ", ".join(self.planes) or "none: it is encoded"
            raise NoSuchPlane(f"the frame has no plane {name!r}; its planes: {has}")
        cdef Plane plane = Plane.__new__(Plane)
        plane.frame = self
        plane.offset = layout.offset
        plane.ndim = len(layout.shape)
        for n in range(plane.ndim):
            plane.c_shape[n] = layout.shape[n]
            plane.c_strides[n] = layout.strides[n]
        return plane

    @property
    def y(self):
        """The brightness, of nv12 and y800. Raises NoSuchPlane, FrameReleased."""
        return self.plane("y")

    @property
    def uv(self):
        """The colors of nv12: U and V. Raises NoSuchPlane, FrameReleased."""
        return self.plane("uv")

    @property
    def rgb(self):
        """Red, green and blue, of rgb and planar-rgb. Raises NoSuchPlane, FrameReleased."""
        return self.plane("rgb")

    @property
    def sequence(self):
        """The number of the frame, from 0. A gap is a frame that the camera captured and the program did not get."""
        return self.number_in_stream

    @property
    def timestamp(self):
        """When it was captured, in seconds of `time.monotonic()`."""
        return self.captured

    @property
    def time(self):
        """When it was captured, in seconds of `time.time()`."""
        return self.wall_clock

    @property
    def views(self):
        """How many arrays, memoryviews and other views of its bytes there are."""
        return self.exported

    @property
    def format(self):
        """One of the formats of `Stream`."""
        return self.geometry.format

    @property
    def width(self):
        """Pixels."""
        return self.geometry.width

    @property
    def height(self):
        """Pixels."""
        return self.geometry.height

    @property
    def key(self):
        """Whether it can be shown without an earlier frame: true of each picture that is not h264, h265 or av1."""
        return bool(self.is_key)

    @property
    def kind(self):
        """"yuv", "rgb", "planar-rgb", "jpeg"; of an encoded stream "idr", "i", "p" or "b"; "" if the camera does not say."""
        return KINDS.get(self.type, "")

    @property
    def header_size(self):
        """The bytes before the first slice of a key frame, which hold the parameter sets; 0 if there are none, or unknown."""
        return self.header if self.header > 0 else 0

    @property
    def fd(self):
        """The file descriptor of its memory, for another library of the camera; -1 if it has none. It stays the camera's."""
        if self.buffer == NULL:
            return -1
        need(<void *>vdo.vdo_buffer_get_fd, b"vdo_buffer_get_fd")
        return vdo.vdo_buffer_get_fd(self.buffer)

    @property
    def offset(self):
        """Where its bytes begin in the memory of `fd`."""
        if self.buffer == NULL or vdo.vdo_buffer_get_offset == NULL:
            return 0
        return vdo.vdo_buffer_get_offset(self.buffer)

    @property
    def capacity(self):
        """The bytes of its buffer, which may be more than the picture's."""
        if self.buffer == NULL or vdo.vdo_buffer_get_capacity == NULL:
            return self.size
        return vdo.vdo_buffer_get_capacity(self.buffer)

    @property
    def released(self):
        """Whether it was given back."""
        return self.data == NULL

    @property
    def place(self):
        """Where the camera's other libraries find the pixels: (stream, descriptor, offset, bytes, kind of memory).

        None for a copy. The stream is an object of its own for each stream of the camera.
        """
        if self.data == NULL:
            raise FrameReleased("this frame was released: its buffer is the camera's again")
        if self.buffer == NULL or vdo.vdo_buffer_get_fd == NULL:
            return None
        cdef int fd = vdo.vdo_buffer_get_fd(self.buffer)
        if fd < 0:
            return None
        offset, size = vdo.vdo_buffer_get_offset(self.buffer), vdo.vdo_buffer_get_capacity(self.buffer)
        return self.capture, fd, offset, size, self.capture.info["buffer.type"]

    def copy(self):
        """Return a frame with the same pixels in memory of its own."""
        if self.data == NULL:
            raise FrameReleased("this frame was released: its buffer is the camera's again")
        cdef Frame frame = Frame.__new__(Frame)
        frame.keep(PyBytes_FromStringAndSize(self.data, self.size))
        frame.planes, frame.geometry = self.planes, self.geometry
        frame.number_in_stream, frame.captured = self.number_in_stream, self.captured
        frame.wall_clock = self.wall_clock
        frame.type, frame.is_key, frame.header = self.type, self.is_key, self.header
        return frame

    def release(self):
        """Give the buffer back to the camera. Raises ViewsAlive, with their number, while there are views."""
        if self.data == NULL:
            return
        if self.exported:
            verb = "is a view" if self.exported == 1 else f"are {self.exported} views"
            raise ViewsAlive(f"cannot release the frame: there {verb} of its pixels", hint="delete arrays made of it")
        self.leave()
        self.data = NULL
        self.owner = None

    cdef int leave(self) noexcept:
        """Be no longer among the frames in use."""
        cdef Source capture = self.capture
        self.capture = None
        if capture is not None:
            capture.frame_is_gone(self)
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()

    def __repr__(self):
        state = ", released" if self.data == NULL else ""
        return f"<acap.video.Frame {self.number_in_stream}: {self.size} bytes{state}>"

    def __dealloc__(self):
        self.leave()


@cython.no_gc_clear
cdef class Plane:
    """A part of a frame, for the buffer protocol: numpy.asarray(plane) has its shape and strides."""

    cdef Frame frame
    cdef Py_ssize_t offset
    cdef int ndim
    cdef Py_ssize_t c_shape[3]
    cdef Py_ssize_t c_strides[3]

    def __init__(self):
        raise TypeError("planes come from a frame")

    @property
    def shape(self):
        return tuple([self.c_shape[n] for n in range(self.ndim)])

    @property
    def strides(self):
        return tuple([self.c_strides[n] for n in range(self.ndim)])

    def __getbuffer__(self, Py_buffer *view, int flags):
        self.frame.export(self, view, flags, self.offset, self.ndim, self.c_shape, self.c_strides)

    def __releasebuffer__(self, Py_buffer *view):
        self.frame.exported -= 1

    def __array__(self, dtype=None, copy=None):
        return array_of(self, dtype, copy)


cdef object array_of(object owner, object dtype, object copy):
    """Return an array of *owner*. numpy asks for it only when the buffer protocol has failed, whose error it hides."""
    import numpy

    array = numpy.asarray(memoryview(owner))
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise ValueError("a frame's pixels are bytes; another dtype needs a copy")
        return array.astype(dtype)
    return array.copy() if copy else array
