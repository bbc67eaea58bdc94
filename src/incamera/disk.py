"""Write files atomically, with modes that do not depend on the umask; remove, measure and search folders."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from incamera.errors import StoreError

_UMASK = 0o022
_UNFINISHED = re.compile(r"\..+\.([0-9]+)-[^-]+")
_users_umask = _UMASK
_is_fixed = False


def fix_umask() -> None:
    """Have this process and its children make files that all can read and nobody else can write, whatever the umask."""
    global _is_fixed, _users_umask  # as the umask is itself
    umask = os.umask(_UMASK)
    if not _is_fixed:
        _is_fixed, _users_umask = True, umask


@contextmanager
def users_umask() -> Iterator[None]:
    """Bring back the umask that the user has set, while files are written that are the user's own."""
    if not _is_fixed:
        yield
        return
    os.umask(_users_umask)
    try:
        yield
    finally:
        os.umask(_UMASK)


def write_atomic(path: Path, *data: bytes) -> None:
    """Write *data*, part by part, to the file *path*, completely or not at all; its folder is made where it is missing.

    Several threads and processes may write the same file at once: one of them wins. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    import tempfile  # lazy: an idle build writes nothing

    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(data)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def unfinished_by(name: str) -> int | None:
    """Return the id of the process in which `write_atomic` has made the file *name*; None for any other file."""
    match = _UNFINISHED.fullmatch(name)
    return int(match[1]) if match else None


def write_output(path: Path, data: bytes) -> None:
    """Write the file that the user named on the command line. Raises StoreError."""
    try:
        with users_umask():
            path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def write_cache(path: Path, *data: bytes) -> None:
    """Like `write_atomic`, for data that can be made again: when the disk is full or read-only, nothing is written."""
    with suppress(OSError):
        write_atomic(path, *data)


def remove_tree(path: Path) -> None:
    """Remove the folder *path* with all that is in it, read-only folders too. Raises OSError.

    Another process may add or remove files in the meantime: it is tried again for some seconds.
    """
    import shutil  # lazy: start-up; an idle build removes nothing

    for pause in (0.05, 0.2, 1.0, 3.0):
        try:
            _remove(path)
        except FileNotFoundError:
            shutil.rmtree(path, ignore_errors=True)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        if not path.exists():
            return
        time.sleep(pause)
    _remove(path)


def _remove(path: Path) -> None:
    import shutil  # lazy: start-up; an idle build removes nothing

    try:
        shutil.rmtree(path)
    except RecursionError:  # a build has nested folders, maybe to do harm
        _flatten(path)
        shutil.rmtree(path)
    except PermissionError:
        for folder, _, _ in os.walk(path):
            Path(folder).chmod(0o700)
        shutil.rmtree(path)


def _flatten(path: Path) -> None:
    """Move all folders that are somewhere below *path* into it, however deep they are."""
    prefix = os.urandom(8).hex()
    waiting = [path]
    count = 0
    while waiting:
        folder = waiting.pop()
        for inner in list(folder.iterdir()):
            if inner.is_dir() and not inner.is_symlink():
                inner.chmod(0o700)
                count += 1
                waiting.append(inner.rename(path / f"{prefix}-{count}"))


def disk_usage(path: Path) -> int:
    """Return the size in bytes of all files below *path*; a file with several hard links counts once."""
    seen = set()
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                status = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - a hot loop
            except FileNotFoundError:
                continue
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total


def process_exists(pid: int) -> bool:
    """Whether there is a process with the id *pid*."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def find_by_end(path: str, place: Callable[[str], Path | None]) -> Path | None:
    """Return the file that *place* returns for the longest end of *path* for which there is one.

    *path* comes from a device. No end leads out of the folder to which *place* adds it.
    """
    parts = path.split("/")
    for start in range(1, len(parts)) if ".." not in parts else ():
        # An end with a slash in front (`//etc/passwd`) would replace the folder. Some names no file can have.
        with suppress(OSError, ValueError):
            if parts[start] and (found := place("/".join(parts[start:]))) is not None and found.is_file():
                return found
    return None
