# cython: language_level=3, binding=False
"""The one hidden thread of acap: it serves GLib's default main context, in which the camera's libraries call back."""

from .errors import LibraryMissing, UseAfterFork

cdef extern from "context.h" nogil:
    const char *context_serve()

cdef extern from "unistd.h" nogil:
    int getpid()

cdef int served_by = 0


def serve(str what):
    """Start the thread, if it does not run yet. *what*: for whom, in messages. Raises LibraryMissing, UseAfterFork."""
    global served_by
    cdef const char *message
    if served_by == getpid():
        return
    if served_by:
        raise UseAfterFork(f"the camera's {what} cannot be used after a fork", hint="use it in one process only")
    message = context_serve()
    if message != NULL:
        raise LibraryMissing(f"GLib cannot be used for the camera's {what}: {message.decode('utf-8', 'replace')}")
    served_by = getpid()
