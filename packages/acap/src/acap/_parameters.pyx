# cython: language_level=3, binding=False
"""The app's parameters, as the camera's library has them: text, and queues for changes."""

cimport cython

from .axparameter cimport *

from ._context import serve
from .errors import LibraryMissing, NotSupported, ParameterFailed, UseAfterFork, parameter_error

cdef extern from "unistd.h" nogil:
    int getpid()

# AX_PARAMETER_PARAM_LIST_ERROR
cdef int LIST_ERROR = 8
cdef AXParameter *parameter = NULL
cdef int opened_by = 0


def open_library(bytes app):
    """Open the camera's library for the app *app*. Raises LibraryMissing, NotSupported, ParameterFailed, UseAfterFork."""
    global parameter, opened_by
    cdef const char *message
    cdef const char *since = b""
    cdef const char *name = app
    cdef GError *error = NULL
    if opened_by == getpid():
        return
    if opened_by:
        raise UseAfterFork("the app's parameters were used before a fork", hint="use them in one process only")
    message = axparameter_open(b"libaxparameter.so.1")
    if message != NULL:
        raise LibraryMissing(
            f"the library for parameters libaxparameter.so.1 cannot be opened ({message.decode('utf-8', 'replace')})",
            hint="run the app in a camera or a virtual one, or name a file in ACAP_PARAMETERS",
        )
    message = axparameter_lacks(&since)
    if message != NULL:
        raise NotSupported(
            f"the camera's library for parameters has no {message.decode()}", hint=f"AXIS OS {since.decode()} has it"
        )
    serve("parameters")
    with nogil:
        parameter = axparameter.ax_parameter_new(name, &error)
    if parameter == NULL:
        raise error_of(error, f"open the parameters of {app.decode()}")
    opened_by = getpid()


cdef object error_of(GError *error, str doing):
    """Return the exception for *error*, and free it."""
    if error == NULL:
        return ParameterFailed(f"cannot {doing}: the library does not say why", domain="axparameter")
    cdef int code = error.code
    text = error.message.decode("utf-8", "replace") if error.message != NULL else "unknown error"
    axparameter.g_error_free(error)
    return parameter_error(code, text, doing)


cdef int check() except -1:
    if opened_by != getpid():
        raise UseAfterFork("the app's parameters were used before a fork", hint="use them in one process only")
    return 0


def names():
    """Return the names of the app's parameters."""
    cdef GError *error = NULL
    cdef GList *first
    cdef GList *item
    check()
    with nogil:
        first = axparameter.ax_parameter_list(parameter, &error)
    if error != NULL:
        if error.code == LIST_ERROR and first == NULL:
            axparameter.g_error_free(error)  # there is none
            return []
        raise error_of(error, "list the parameters")
    found = []
    item = first
    while item != NULL:
        found.append((<char *>item.data).decode("utf-8", "replace"))
        axparameter.g_free(item.data)
        item = item.next
    axparameter.g_list_free(first)
    return found


def get(bytes name):
    """Return the value of a parameter. Raises ParameterError."""
    cdef GError *error = NULL
    cdef const char *key = name
    cdef char *value = NULL
    cdef bint done
    check()
    with nogil:
        done = axparameter.ax_parameter_get(parameter, key, &value, &error)
    if not done or value == NULL:
        raise error_of(error, f"read the parameter {name.decode()}")
    text = value.decode("utf-8", "replace")
    axparameter.g_free(value)
    return text


def put(bytes name, bytes value, bint sync):
    """Set a parameter. Without *sync*, a later call writes it, and tells others of it."""
    cdef GError *error = NULL
    cdef const char *key = name
    cdef const char *text = value
    cdef bint done
    check()
    with nogil:
        done = axparameter.ax_parameter_set(parameter, key, text, sync, &error)
    if not done:
        raise error_of(error, f"set the parameter {name.decode()}")


def add(bytes name, bytes value, bytes type):
    """Add a parameter. Raises ParameterExists when there is one of this name."""
    cdef GError *error = NULL
    cdef const char *key = name
    cdef const char *text = value
    cdef const char *kind = type
    cdef bint done
    check()
    with nogil:
        done = axparameter.ax_parameter_add(parameter, key, text, kind, &error)
    if not done:
        raise error_of(error, f"add the parameter {name.decode()}")


def remove(bytes name):
    """Remove a parameter."""
    cdef GError *error = NULL
    cdef const char *key = name
    cdef bint done
    check()
    with nogil:
        done = axparameter.ax_parameter_remove(parameter, key, &error)
    if not done:
        raise error_of(error, f"remove the parameter {name.decode()}")


@cython.no_gc_clear
cdef class Watch:
    """Changes of one parameter. The file descriptor is readable when there are some."""

    cdef acap_queue *queue
    cdef parameter_name *name
    cdef int pid

    def __cinit__(self, bytes name):
        cdef GError *error = NULL
        cdef bint done
        check()
        self.pid = getpid()
        self.name = parameter_find(name)
        self.queue = queue_new()
        if self.name == NULL or self.queue == NULL:
            raise ParameterFailed("cannot watch the parameter: no memory, or no file descriptor")
        with nogil:
            done = parameter_watch(parameter, self.name, self.queue, &error)
        if not done:
            raise error_of(error, f"watch the parameter {name.decode()}")

    @property
    def fd(self):
        return -1 if self.queue == NULL else self.queue.fd

    def take(self):
        """Return the changes so far: full name and value of each."""
        cdef queue_item *item
        if self.queue == NULL:
            return []
        changes = []
        item = queue_take(self.queue)
        while item != NULL:
            if item.name != NULL and item.value != NULL:
                changes.append((item.name.decode("utf-8", "replace"), item.value.decode("utf-8", "replace")))
            item = queue_next(item)
        return changes

    def close(self):
        cdef acap_queue *queue = self.queue
        self.queue = NULL
        if queue == NULL or self.pid != getpid():
            return
        with nogil:
            parameter_unwatch(parameter, self.name, queue)

    def __dealloc__(self):
        self.close()
