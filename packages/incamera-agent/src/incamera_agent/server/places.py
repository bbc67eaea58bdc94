"""Folders below a place that others can write to, such as /tmp, and the one way to open them.

Another user can put a folder or a link there under any name that we use, and change it between two looks. So a path is
opened one folder after the other, each is looked at once it is open, and no link is followed where others can write.
Where everybody may rename what is in a folder, nothing in it is used: /tmp is sticky.
The guard does the same in C (`launcher/place.c`), for the paths that it opens.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

_OPEN = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
# Where another user has taken a name, it gets this end, and the number of our user.
_SUFFIX = "-u"


class Taken(OSError):
    """Another user has taken the folder *path*, or may write to it. *renamed*: everybody may rename it."""

    def __init__(self, path: str, owner: int, *, renamed: bool = False) -> None:
        ours = owner == os.geteuid()
        what = "others can write to it" if ours else f"another user, {user_name(owner)}, has taken it"
        remedy = "that user or root can remove it with rm -r"
        if renamed:
            around = os.path.dirname(path)
            what, remedy = f"everybody can rename folders in {around}", f"root can forbid it with chmod +t {around}"
        super().__init__(errno.EPERM, f"{what}; {remedy}", path)


def open_own_folder(path: str, *, make: bool = False, mode: int = 0o755) -> int:
    """Return a descriptor of the folder *path*, for the `dir_fd` of other functions.

    In a folder that others can write to, what is opened must be no link, must be ours, others must not be able to
    write to it, and not everybody may be able to rename it. With *make*, missing folders are made with *mode*.
    Raises Taken, OSError.
    """
    folder = os.open("/", _OPEN)
    walked = ""
    for name in os.path.abspath(path).split("/")[1:]:
        walked = f"{walked}/{name}"
        try:
            inner = _enter(folder, name, walked, mode if make else None)
        finally:
            os.close(folder)
        folder = inner
    return folder


def _enter(folder: int, name: str, path: str, mode: Optional[int]) -> int:
    around = os.fstat(folder)
    shared = bool(around.st_mode & 0o022) or around.st_uid not in (0, os.geteuid())
    renamed = shared and around.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH
    flags = _OPEN | (os.O_NOFOLLOW if shared else 0)
    try:
        try:
            inner = os.open(name, flags, dir_fd=folder)
        except FileNotFoundError:
            if mode is None:
                raise
            if renamed:
                raise Taken(path, os.geteuid(), renamed=True) from None
            try:
                os.mkdir(name, mode, dir_fd=folder)
            except FileExistsError:
                pass
            inner = os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if shared and error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise Taken(path, os.stat(name, dir_fd=folder, follow_symlinks=False).st_uid) from None
        error.filename = path
        raise
    found = os.fstat(inner)
    mounted = not found.st_uid and found.st_dev != around.st_dev
    if shared and not mounted and (renamed or found.st_uid != os.geteuid() or found.st_mode & 0o022):
        os.close(inner)
        raise Taken(path, found.st_uid, renamed=renamed)
    return inner


def choose_own_folder(path: str) -> str:
    """Return *path*, or, where another user has taken that, the path with the number of our user behind it."""
    other = f"{path}{_SUFFIX}{os.geteuid()}"
    try:
        os.close(open_own_folder(path))
    except Taken:
        return other
    except OSError:
        return other if _is_own(other) else path
    return path


def _is_own(path: str) -> bool:
    try:
        os.close(open_own_folder(path))
    except OSError:
        return False
    return True


def open_own_file(path: str, flags: int, mode: int = 0o600) -> int:
    """Open the file *path*, which must be a plain file of ours. Raises Taken, OSError."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise Taken(path, found.st_uid)
    return descriptor


def user_name(number: int) -> str:
    """Return the name of the user with that number, or the number. By hand: `pwd` is a module more."""
    try:
        with open("/etc/passwd", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                fields = line.split(":")
                if len(fields) > 2 and fields[2] == str(number):
                    return fields[0]
    except OSError:
        pass
    return str(number)
