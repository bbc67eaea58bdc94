# cython: language_level=3, binding=False
"""Pictures over the camera's video with the older library, which puts them over all streams by itself."""

cimport cython
from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc

from .axoverlay cimport *

from ._context import serve
from .errors import LibraryMissing, NotSupported, UseAfterFork, older_overlay_error

cdef extern from "unistd.h" nogil:
    int getpid()

cdef int started_by = 0


def open_library():
    """Open the camera's library and start it, once in a process. Raises LibraryMissing, NotSupported, DrawingError."""
    global started_by
    cdef const char *message
    cdef const char *since = b""
    cdef GError *error = NULL
    if started_by == getpid():
        return
    if started_by:
        raise UseAfterFork("overlays were used before a fork", hint="use them in one process only")
    message = axoverlay_open(b"libaxoverlay.so.1")
    if message != NULL:
        raise LibraryMissing(
            f"the library for overlays libaxoverlay.so.1 cannot be opened ({message.decode('utf-8', 'replace')})"
        )
    message = axoverlay_lacks(&since)
    if message != NULL:
        raise NotSupported(
            f"the camera's library for overlays has no {message.decode()}", hint=f"AXIS OS {since.decode()} has it"
        )
    if not axoverlay.axoverlay_is_backend_supported(1):
        raise NotSupported("this camera's library for overlays cannot draw with cairo")
    serve("overlays")
    with nogil:
        overlay_begin(&error)
    check(error, "start overlays")
    started_by = getpid()


cdef int check(GError *error, str doing) except -1:
    """Raise *error*, if there is one, and free it."""
    if error == NULL:
        return 0
    cdef int code = error.code
    text = error.message.decode("utf-8", "replace") if error.message != NULL else "unknown error"
    axoverlay.g_error_free(error)
    raise older_overlay_error(code, text, doing)


@cython.no_gc_clear
cdef class Picture:
    """A picture of *width* by *height* pixels over all streams. *across*, *down*: -1, 0 or 1 for left, middle, right."""

    cdef overlay_picture *picture
    cdef int pid

    def __cinit__(self, int width, int height, int across, int down, int margin):
        cdef GError *error = NULL
        cdef overlay_picture *picture = <overlay_picture *>calloc(1, sizeof(overlay_picture))
        open_library()
        self.pid = getpid()
        if picture == NULL:
            raise MemoryError
        picture.width, picture.height, picture.margin = width, height, margin
        picture.across, picture.down = across, down
        with nogil:
            overlay_create(picture, &error)
        check(error, "make an overlay")
        self.picture = picture

    @property
    def count(self):
        return 0 if self.picture == NULL else self.picture.streams

    def show(self, const uint8_t[::1] rgba not None):
        """Show a picture of RGBA."""
        cdef GError *error = NULL
        if self.picture == NULL or self.pid != getpid():
            return
        if rgba.shape[0] < <Py_ssize_t>self.picture.width * self.picture.height * 4:
            raise ValueError("the picture is too short")
        with nogil:
            overlay_show(self.picture, &rgba[0], &error)
        check(error, "show an overlay")

    def close(self):
        """Remove the overlay."""
        cdef overlay_picture *picture = self.picture
        cdef GError *error = NULL
        self.picture = NULL
        if picture != NULL and self.pid == getpid():
            with nogil:
                overlay_end(picture, &error)
                if error != NULL:
                    axoverlay.g_error_free(error)

    def __dealloc__(self):
        self.close()
