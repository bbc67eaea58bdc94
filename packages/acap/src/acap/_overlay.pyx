# cython: language_level=3, binding=False
"""Pictures over the camera's video: one overlay of the camera's library for a stream, and one check for every error."""

cimport cython
from libc.stdint cimport uint8_t, uint32_t

from .axoverlay2 cimport *

from .errors import LibraryMissing, NotSupported, UseAfterFork, overlay_error

cdef extern from "unistd.h" nogil:
    int getpid()

cdef int started_by = 0


def open_library():
    """Open the camera's library and start it, once in a process. Raises LibraryMissing, NotSupported, DrawingError."""
    global started_by
    cdef const char *message
    cdef const char *since = b""
    cdef axo_err *error = NULL
    cdef bint good
    if started_by == getpid():
        return
    if started_by:
        raise UseAfterFork("overlays were used before a fork", hint="use them in one process only")
    message = axoverlay2_open(b"libaxoverlay2.so.1")
    if message != NULL:
        raise LibraryMissing(
            f"the library for overlays libaxoverlay2.so.1 cannot be opened ({message.decode('utf-8', 'replace')})",
        )
    message = axoverlay2_lacks(&since)
    if message != NULL:
        raise NotSupported(
            f"the camera's library for overlays has no {message.decode()}", hint=f"AXIS OS {since.decode()} has it"
        )
    with nogil:
        good = axoverlay2.axo_start(NULL, &error)
    if not good:
        raise error_of(error, "start overlays")
    started_by = getpid()


cdef object error_of(axo_err *error, str doing):
    """Return the exception for *error*, and free it; None when the stream is gone, or no buffer is free now."""
    if error == NULL:
        return overlay_error(0, "the library does not say why", doing)
    cdef int code = axoverlay2.axo_err_get_code(error)
    cdef const char *message = axoverlay2.axo_err_get_message(error)
    text = message.decode("utf-8", "replace") if message != NULL else "unknown error"
    axoverlay2.axo_err_clear(&error)
    if code == OVERLAY_WAIT or code == OVERLAY_NO_STREAM:
        return None
    return overlay_error(code, text, doing)


@cython.no_gc_clear
cdef class Surface:
    """An overlay in the top left corner of a stream, *width* by *height* pixels, which may be more than the stream has."""

    cdef int id
    cdef int pid
    cdef unsigned width, height

    def __cinit__(self, unsigned stream, unsigned width, unsigned height):
        cdef axo_err *error = NULL
        cdef axo_props *props
        cdef axo_match *match
        self.id = -1
        open_library()
        self.pid = getpid()
        if not axoverlay2.axo_get_aligned_size(OVERLAY_ARGB32, width, height, &self.width, &self.height, &error):
            self.fail(error, "make an overlay")
        props = axoverlay2.axo_props_new()
        match = axoverlay2.axo_match_new()
        if props == NULL or match == NULL:
            raise MemoryError
        axoverlay2.axo_props_set_size(props, self.width, self.height)
        axoverlay2.axo_props_set_format(props, OVERLAY_ARGB32)
        axoverlay2.axo_match_stream_id(match, stream)
        with nogil:
            self.id = axoverlay2.axo_create_overlay(props, match, &error)
            axoverlay2.axo_props_free(props)
            axoverlay2.axo_match_free(match)
        if self.id < 0:
            self.fail(error, "make an overlay")

    cdef int fail(self, axo_err *error, str doing) except -1:
        raise error_of(error, doing) or LookupError("the stream is gone")

    def show(self, const uint8_t[::1] rgba not None, unsigned width, unsigned height, unsigned left, unsigned top):
        """Show a picture at *left*, *top*. Returns False when that is not possible now."""
        cdef axo_err *error = NULL
        cdef axo_buffer *buffer
        cdef void *data
        cdef bint good
        if self.id < 0 or self.pid != getpid():
            return False
        if rgba.shape[0] < <Py_ssize_t>width * height * 4:
            raise ValueError("the picture is too short")
        with nogil:
            buffer = axoverlay2.axo_get_buffer(self.id, NULL, &error)
        if buffer == NULL:
            return self.is_lasting(error, "draw an overlay")
        data = axoverlay2.axo_buffer_get_data(buffer, &error)
        if data == NULL:
            return self.is_lasting(error, "draw an overlay")
        if axoverlay2.axo_buffer_get_byte_size(buffer) < <size_t>self.width * self.height * 4:
            raise overlay_error(0, "the buffer is too small", "draw an overlay")
        with nogil:
            overlay_fill(<uint32_t *>data, self.width, self.height, &rgba[0], width, height, left, top)
            good = axoverlay2.axo_submit_buffer(buffer, NULL, &error)
        return True if good else self.is_lasting(error, "show an overlay")

    cdef object is_lasting(self, axo_err *error, str doing):
        """Raise what is no everyday answer, else return False."""
        exception = error_of(error, doing)
        if exception is not None:
            raise exception
        return False

    def close(self):
        """Remove the overlay."""
        cdef int id = self.id
        cdef axo_err *error = NULL
        self.id = -1
        if id >= 0 and self.pid == getpid():
            with nogil:
                axoverlay2.axo_remove_overlay(id, &error)
                axoverlay2.axo_err_clear(&error)

    def __dealloc__(self):
        self.close()
