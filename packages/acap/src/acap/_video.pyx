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
    NO_DATA, FrameReleased, FramesHeldWarning, LibraryMissing, NoFrame, NoSuchPlane, NotSupported, ServiceFailed, Starved,
    StreamClosed, ViewsAlive, WrongThread, _Expected, video_error,
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
                hint="run the app in a camera, or in a virtual one",
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


def resolutions(dict wanted, dict filter):
    """Return the sizes of the channel *wanted*, `{"channel": 1}` or `{"input": 1}`, that pass *filter*."""
    open_library()
    cdef GError *error = NULL
    cdef VdoChannel *channel
    cdef VdoMap *map
    cdef VdoResolutionSet *found
    cdef unsigned number
    need(<void *>vdo.vdo_channel_get_resolutions, b"vdo_channel_get_resolutions")
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
    error = NULL
    try:
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


@cython.no_gc_clear
cdef class Capture:
    """One VdoStream: made, started, asked for frames, stopped. It belongs to one thread of one process."""

    cdef VdoStream *stream
    cdef unsigned long thread
    cdef int pid
    cdef bint closed, warned
    cdef list forsaken  # buffers of frames that died in other threads: numbers
    cdef dict places  # where each live frame was taken, or viewed last
    cdef double delay  # from capture to arrival, in seconds: the least that was seen
    cdef double period
    cdef readonly int fd
    cdef readonly int held
    cdef readonly int buffers
    cdef readonly dict info
    cdef dict planes
    cdef size_t needed  # the bytes that a frame must have
    cdef object __weakref__

    def __cinit__(self, dict settings):
        self.fd = -1
        self.delay = -1
        self.forsaken = []
        self.places = {}
        self.planes = {}
        self.thread = PyThread_get_thread_ident()
        self.pid = getpid()
        open_library()
        need(<void *>vdo.vdo_stream_new, b"vdo_stream_new")
        need(<void *>vdo.vdo_stream_get_info, b"vdo_stream_get_info")
        need(<void *>vdo.vdo_stream_get_fd, b"vdo_stream_get_fd")
        need(<void *>vdo.vdo_stream_get_buffer, b"vdo_stream_get_buffer")
        need(<void *>vdo.vdo_stream_buffer_unref, b"vdo_stream_buffer_unref")
        need(<void *>vdo.vdo_stream_start, b"vdo_stream_start")
        need(<void *>vdo.vdo_stream_stop, b"vdo_stream_stop")
        cdef GError *error = NULL
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
        self.info["buffer.type"] = vdo.vdo_map_get_string(map, b"buffer.type", NULL, b"").decode()
        vdo.g_object_unref(map)
        self.buffers = self.info["buffer.count"] or settings.get("buffer.count", 3)
        rate = self.info["framerate"] or settings.get("framerate", 0) or 30
        self.period = 1.0 / rate

    def start(self, dict planes):
        """Start the stream, whose frames have *planes*."""
        cdef GError *error = NULL
        self.planes = planes
        self.needed = max((plane.end for plane in planes.values()), default=1)
        cdef int done
        with nogil:
            done = vdo.vdo_stream_start(self.stream, &error)
        if not done:
            raise error_of(error, "start the video stream")
        self.fd = vdo.vdo_stream_get_fd(self.stream, &error)
        if self.fd < 0:
            raise error_of(error, "get the video stream's file descriptor")

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
        cdef double age
        if buffer == NULL:
            return None
        if newest:
            try:
                while (newer := self.get()) != NULL:
                    self.give_back(buffer)
                    buffer = newer
            except Exception:
                pass  # the next call raises it again; this frame is good
            age = monotonic() - vdo.vdo_frame_get_timestamp(buffer) * 1e-6
            if waited:
                if self.delay < 0 or age < self.delay:
                    self.delay = age
            elif self.delay >= 0 and age > self.delay + 1.5 * self.period:
                # The buffers ran full while the program did something else, and newer frames were lost.
                self.give_back(buffer)
                return None
        return self.wrap(buffer)

    cdef object wrap(self, VdoBuffer *buffer):
        cdef Frame frame = Frame.__new__(Frame)
        cdef size_t size = vdo.vdo_frame_get_size(buffer)
        cdef void *data = vdo.vdo_buffer_get_data(buffer)
        if data == NULL or size < self.needed:
            self.give_back(buffer)
            if data == NULL:
                raise ServiceFailed("a frame's buffer cannot be mapped into memory", domain="vdo")
            raise ServiceFailed(f"a frame has {size} bytes, its size and format need {self.needed}", domain="vdo")
        frame.capture = self
        frame.planes = self.planes
        frame.buffer = buffer
        frame.data = <char *>data
        frame.size = size
        frame.sequence = vdo.vdo_frame_get_sequence_nbr(buffer)
        frame.timestamp = vdo.vdo_frame_get_timestamp(buffer) * 1e-6
        frame.time = vdo.vdo_frame_get_custom_timestamp(buffer) * 1e-6
        frame.number = <size_t>buffer
        self.held += 1
        frame.remember()
        return frame

    def next(self, bint newest, object timeout):
        """Wait for a frame and return it. Raises NoFrame after *timeout* seconds, unless that is None."""
        cdef double start = monotonic()
        cdef double waited = 0
        cdef double limit = -1 if timeout is None else timeout
        cdef int slice
        frame = self.take(newest, False)
        while frame is None:
            slice = SLICE_MS
            if self.held >= self.buffers:
                slice = min(slice, self.check_held(waited))
            if limit >= 0:
                if waited >= limit:
                    raise NoFrame(f"no frame came within {limit:g} s")
                slice = min(slice, <int>((limit - waited) * 1000) + 1)
            self.wait(slice)
            frame = self.take(newest, True)
            waited = monotonic() - start
        return frame

    cdef int wait(self, int milliseconds) except -1:
        """Wait until there may be a frame, without the GIL. A signal's handler runs, and may end it."""
        cdef pollfd ready
        cdef int count, code
        ready.fd = self.fd
        ready.events = POLLIN
        with nogil:
            count = poll(&ready, 1, milliseconds)
            code = errno
        if count < 0 and code != EINTR:
            raise ServiceFailed(f"cannot wait for a video frame: error {code}")
        PyErr_CheckSignals()
        return 0

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
        for code, offset in self.places.values():
            lines.append(f"{code.co_filename}:{line_of(code, offset)}")
        where = ", ".join(dict.fromkeys(lines))
        return f"all {self.held} buffers of a video stream are held by frames in use; they were taken or viewed at {where}"

    def close(self):
        """Stop the stream. Frames that are still in use stay valid."""
        if self.closed:
            return
        self.check_owner()
        self.closed = True
        self.fd = -1
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
    """A picture in a buffer of the camera; read-only. `acap.video` describes it."""

    cdef Capture capture
    cdef VdoBuffer *buffer
    cdef char *data
    cdef Py_ssize_t size
    cdef size_t number
    cdef dict planes
    cdef object owner  # the bytes of a copy
    cdef readonly int views
    cdef readonly unsigned sequence
    cdef readonly double timestamp
    cdef readonly double time

    def __init__(self):
        raise TypeError("frames come from a stream")

    cdef int remember(self) except -1:
        """Note the line that runs, for the warning about frames that are held."""
        frame = sys._getframe(0)
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
        self.views += 1
        if self.owner is None:
            self.remember()
        return 0

    def __getbuffer__(self, Py_buffer *view, int flags):
        self.export(self, view, flags, 0, 1, &self.size, &ONE)

    def __releasebuffer__(self, Py_buffer *view):
        self.views -= 1

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
        return self.plane("y")

    @property
    def uv(self):
        return self.plane("uv")

    @property
    def rgb(self):
        return self.plane("rgb")

    @property
    def released(self):
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
        frame.owner = PyBytes_FromStringAndSize(self.data, self.size)
        frame.data = PyBytes_AsString(frame.owner)
        frame.size = self.size
        frame.planes = self.planes
        frame.sequence, frame.timestamp, frame.time = self.sequence, self.timestamp, self.time
        return frame

    def release(self):
        """Give the buffer back to the camera. Raises ViewsAlive, with their number, while there are views."""
        if self.data == NULL:
            return
        if self.views:
            verb = "is a view" if self.views == 1 else f"are {self.views} views"
            raise ViewsAlive(f"cannot release the frame: there {verb} of its pixels", hint="delete arrays made of it")
        if self.buffer != NULL:
            self.capture.frame_is_gone(self)
        self.data = NULL
        self.owner = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()

    def __repr__(self):
        state = ", released" if self.data == NULL else ""
        return f"<acap.video.Frame {self.sequence}: {self.size} bytes{state}>"

    def __dealloc__(self):
        if self.buffer != NULL:
            self.capture.frame_is_gone(self)


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
        self.frame.views -= 1

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
