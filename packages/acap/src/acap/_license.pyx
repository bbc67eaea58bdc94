# cython: language_level=3, binding=False
"""The app's license key, as the camera's library sees it."""

from libc.stdlib cimport free

from .licensekey cimport *

from .errors import LibraryMissing, NotSupported

cdef bint opened = False


cdef int need(const char *name) except -1:
    """Open the library, once in a process. Raises LibraryMissing, and NotSupported if it lacks the function *name*."""
    global opened
    cdef const char *names[2]
    cdef const char *since = b""
    cdef const char *message
    if not opened:
        message = licensekey_open(b"liblicensekey.so.1")
        if message != NULL:
            raise LibraryMissing(
                f"the library for license keys liblicensekey.so.1 cannot be opened "
                f"({message.decode('utf-8', 'replace')})",
                hint="run the app in a camera or a virtual one, or name a folder with keys in ACAP_LICENSES",
            )
        opened = True
    names[0], names[1] = name, NULL
    message = licensekey_lacks(names, &since)
    if message != NULL:
        raise NotSupported(
            f"the camera's library for license keys has no {message.decode()}",
            hint=f"AXIS OS {since.decode()} has it",
        )
    return 0


def verify(bytes app, int app_id, int major, int minor):
    """Return whether the camera has a valid key."""
    cdef const char *name = app
    cdef int state
    need(b"licensekey_dyn_verify")
    with nogil:
        state = licensekey.licensekey_dyn_verify(name, app_id, major, minor)
    return state == 1


def state(bytes app, int app_id, int major, int minor, bytes path):
    """Return the number of the state of the key in the file *path*."""
    cdef const char *name = app
    cdef const char *file = path
    cdef int state
    need(b"licensekey_dyn_verify_ex")
    with nogil:
        state = licensekey.licensekey_dyn_verify_ex(name, app_id, major, minor, file)
    return state


def expires(bytes app, bytes path):
    """Return the day after which the key in the file *path* is no longer valid, as the library tells it, or None."""
    cdef const char *name = app
    cdef const char *file = path
    cdef char *text
    need(b"licensekey_dyn_get_exp_date")
    with nogil:
        text = licensekey.licensekey_dyn_get_exp_date(name, file)
    if text == NULL:
        return None
    day = text.decode("utf-8", "replace")
    free(text)
    return day
