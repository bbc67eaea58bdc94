"""Files written whole or not at all, folders removed whatever is in their way."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from incamera.errors import StoreError


def write_atomic(path: Path, data: bytes) -> None:
    """Write the file *path*, whole or not at all, though several threads and processes write it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def write_output(path: Path, data: bytes) -> None:
    """Write the file that the user named on the command line. Raises StoreError."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def write_cache(path: Path, data: bytes) -> None:
    """Like `write_atomic`, for what can be found out again: a disk that takes nothing more is no reason to stop."""
    with suppress(OSError):
        write_atomic(path, data)


def remove_tree(path: Path) -> None:
    """Remove a folder whose files and folders may be read-only, or in another's hand: vanishing, or still made."""
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
    try:
        shutil.rmtree(path)
    except PermissionError:
        for folder, _, _ in os.walk(path):
            Path(folder).chmod(0o700)
        shutil.rmtree(path)


def disk_usage(path: Path) -> int:
    """Return the bytes of all files below *path*, each counted once however many names it has."""
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
