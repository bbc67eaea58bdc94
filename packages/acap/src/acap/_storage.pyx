# cython: language_level=3, binding=False
"""The camera's SD cards and network shares: one check for every error, and file descriptors for what takes time."""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EINTR, errno

from .axstorage cimport *

from ._context import serve
from .errors import LibraryMissing, NotSupported, StorageFailed, UseAfterFork, storage_error

cdef extern from "poll.h" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *fds, unsigned long count, int timeout)
    short POLLIN

cdef extern from "unistd.h" nogil:
    int getpid()
    long read(int fd, void *buffer, size_t size)

# So long a wait may go on before it looks whether a signal's handler wants to run.
cdef int SLICE_MS = 500
# AXStorageStatusEventId
cdef int AVAILABLE = 0, EXITING = 1, WRITABLE = 2, FULL = 3
cdef int opened_by = 0


def open_library():
    """Open the camera's library, and serve its callbacks. Raises LibraryMissing, NotSupported."""
    global opened_by
    cdef const char *message
    cdef const char *since = b""
    if opened_by == getpid():
        return
    if opened_by:
        raise UseAfterFork("the camera's storage was used before a fork", hint="use it in one process only")
    message = axstorage_open(b"libaxstorage.so.1")
    if message != NULL:
        raise LibraryMissing(
            f"the library for storage libaxstorage.so.1 cannot be opened ({message.decode('utf-8', 'replace')})",
            hint="run the app in a camera or a virtual one, or name a folder in ACAP_STORAGE",
        )
    message = axstorage_lacks(&since)
    if message != NULL:
        raise NotSupported(
            f"the camera's library for storage has no {message.decode()}", hint=f"AXIS OS {since.decode()} has it"
        )
    serve("storage")
    opened_by = getpid()


cdef object error_of(GError *error, str doing):
    """Return the exception for *error*, and free it."""
    if error == NULL:
        return StorageFailed(f"cannot {doing}: the library does not say why", domain="axstorage")
    cdef int code = error.code
    text = error.message.decode("utf-8", "replace") if error.message != NULL else "unknown error"
    axstorage.g_error_free(error)
    return storage_error(code, text, doing)


def ids():
    """Return the names of what is connected."""
    cdef GError *error = NULL
    cdef GList *first
    cdef GList *item
    open_library()
    with nogil:
        first = axstorage.ax_storage_list(&error)
    if error != NULL:
        raise error_of(error, "list the camera's storage")
    found = []
    item = first
    while item != NULL:
        found.append((<char *>item.data).decode("utf-8", "replace"))
        axstorage.g_free(item.data)
        item = item.next
    axstorage.g_list_free(first)
    return found


def status(bytes id):
    """Return whether it is available, writable, full, and about to be removed."""
    cdef GError *error = NULL
    cdef char *name = id
    cdef int which
    cdef bint value
    open_library()
    found = []
    for which in (AVAILABLE, WRITABLE, FULL, EXITING):
        with nogil:
            value = axstorage.ax_storage_get_status(name, which, &error)
        if error != NULL:
            raise error_of(error, f"ask how {id.decode()} is")
        found.append(bool(value))
    return tuple(found)


cdef bint wait_for(int fd, double seconds) except -1:
    """Wait until *fd* is readable, without the GIL. Returns whether it is. A signal's handler runs, and may end it."""
    cdef pollfd ready
    cdef int count, code, slice
    while True:
        ready.fd = fd
        ready.events = POLLIN
        ready.revents = 0
        slice = <int>(min(seconds * 1000, <double>SLICE_MS)) + 1
        with nogil:
            count = poll(&ready, 1, slice)
            code = errno
        PyErr_CheckSignals()
        if count > 0:
            return True
        if count < 0 and code != EINTR:
            raise StorageFailed(f"cannot wait for the camera's storage: error {code}")
        seconds -= slice / 1000.0
        if count == 0 and seconds <= 0:
            return False


cdef void drain(int fd) noexcept nogil:
    cdef unsigned long long count
    read(fd, &count, sizeof(count))


@cython.no_gc_clear
cdef class Area:
    """The app's own folder on a storage."""

    cdef AXStorage *storage
    cdef int pid
    cdef readonly str path
    cdef readonly int type

    def __cinit__(self, bytes id, double seconds):
        cdef GError *error = NULL
        cdef storage_wait *wait
        cdef char *path
        open_library()
        self.pid = getpid()
        doing = f"set up {id.decode()}"
        wait = storage_new_wait()
        if wait == NULL:
            raise StorageFailed(f"cannot {doing}: no memory, or no file descriptor")
        try:
            if not storage_set_up_async(id, wait, &error):
                raise error_of(error, doing)
            wait_for(wait.fd, seconds)
            if not storage_leave_setup(wait):
                raise TimeoutError
            if wait.storage == NULL:
                raise storage_error(wait.code, wait.message.decode("utf-8", "replace"), doing)
            self.storage = wait.storage
        finally:
            storage_leave_setup(wait)
            storage_leave(wait)
        path = axstorage.ax_storage_get_path(self.storage, &error)
        if path == NULL:
            raise error_of(error, f"ask for the folder on {id.decode()}")
        self.path = path.decode("utf-8", "surrogateescape")
        axstorage.g_free(path)
        self.type = axstorage.ax_storage_get_type(self.storage, NULL)

    def release(self, double seconds):
        """Give the storage back. Raises StorageError."""
        cdef AXStorage *storage = self.storage
        cdef GError *error = NULL
        cdef storage_wait *wait
        self.storage = NULL
        if storage == NULL or self.pid != getpid():
            return
        wait = storage_new_wait()
        if wait == NULL:
            raise StorageFailed("cannot release the storage: no memory, or no file descriptor")
        try:
            if not storage_release_async(storage, wait, &error):
                raise error_of(error, "release the storage")
            if wait_for(wait.fd, seconds) and storage_is_done(wait) and wait.message[0] != 0:
                raise storage_error(wait.code, wait.message.decode("utf-8", "replace"), "release the storage")
        finally:
            storage_leave(wait)

    def __dealloc__(self):
        if self.storage != NULL and self.pid == getpid():
            storage_forget(self.storage)


@cython.no_gc_clear
cdef class Watch:
    """Tells when the status of a storage may have changed: its file descriptor is readable then."""

    cdef storage_wait *wait_
    cdef unsigned number
    cdef int pid

    def __cinit__(self, bytes id):
        cdef GError *error = NULL
        open_library()
        self.pid = getpid()
        self.wait_ = storage_new_wait()
        if self.wait_ == NULL:
            raise StorageFailed("cannot watch the storage: no memory, or no file descriptor")
        self.number = storage_subscribe(id, self.wait_, &error)
        if self.number == 0:
            raise error_of(error, f"watch {id.decode()}")

    @property
    def fd(self):
        return -1 if self.wait_ == NULL else self.wait_.fd

    def wait(self, double seconds):
        """Wait for a change, without the GIL. Returns whether there may be one."""
        if self.wait_ == NULL:
            return False
        cdef bint ready = wait_for(self.wait_.fd, seconds)
        drain(self.wait_.fd)
        return ready

    def close(self):
        cdef storage_wait *wait = self.wait_
        cdef unsigned number = self.number
        self.wait_ = NULL
        if wait == NULL:
            return
        if number and self.pid == getpid():
            with nogil:
                axstorage.ax_storage_unsubscribe(number, NULL)
        storage_end_watch(wait)

    def __dealloc__(self):
        self.close()
