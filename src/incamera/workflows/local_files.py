"""The ends of a copy on this computer: a file that is read, and one that gets its name when all of it has arrived."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from incamera.disk import users_umask
from incamera.errors import DeviceError, StoreError, UsageError
from incamera.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK = 1 << 20
_PREFIX = ".incamera-part-"


class FileSink:
    """`guard.transfer.Sink` that writes the file *path*. Until it is whole it is beside it, under a name made of *key*.

    A copy that is interrupted leaves that file, and the next copy of the same file goes on from there. It is open while
    a `with` block lasts.
    """

    def __init__(self, path: Path, key: str, advance: Callable[[int], None]) -> None:
        if path.is_dir():
            raise UsageError(f"{path} is a folder", hint="remove it, or name another destination")
        self._path = path
        self._partial = path.parent / f"{_PREFIX}{hashlib.sha256(os.fsencode(key)).hexdigest()[:24]}"
        self._advance = advance
        self._hash = hashlib.sha256()

    def __enter__(self) -> Self:
        try:
            with users_umask():
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
                self._file = os.fdopen(os.open(self._partial, flags, 0o666), "r+b", buffering=0)
        except OSError as error:
            raise StoreError(f"cannot write to {self._path.parent}: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            if not self._file.closed and not self.held:
                self._partial.unlink(missing_ok=True)
            self._file.close()

    @property
    def there(self) -> int:
        """How many bytes on the disk the copy replaces, or goes on from."""
        found = 0
        for path in (self._path, self._partial):
            with suppress(OSError):
                found += path.lstat().st_blocks * 512
        return found

    @property
    def held(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def begin(self, offset: int, size: int) -> None:
        if not offset:
            self._file.truncate(0)
        while part := self._file.read(_CHUNK):
            self._hash.update(part)
        self._advance(offset)
        free = shutil.disk_usage(self._path.parent).free
        if free < size - offset:
            self._close(keep=offset > 0)
            raise StoreError(
                f"{self._path.parent} has {format_bytes(free)} free; {self._path.name} needs "
                f"{format_bytes(size - offset)} more"
            )

    def add(self, data: bytes) -> None:
        self._hash.update(data)
        try:
            if data.count(0) == len(data):  # a hole stays one
                self._file.seek(len(data), os.SEEK_CUR)
                self._file.truncate(self._file.tell())
            else:
                view = memoryview(data)
                while view:
                    view = view[self._file.write(view) :]
        except OSError as error:
            self._close(keep=False)
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error
        self._advance(len(data))

    def finish(self, digest: str, mode: int) -> None:
        if self._hash.hexdigest() != digest:
            self._close(keep=False)
            raise DeviceError(
                f"{self._path.name} did not arrive whole: its digest is another",
                hint="it may have changed meanwhile: type it again, which copies it from its start",
            )
        try:
            if mode & 0o100:
                os.fchmod(self._file.fileno(), os.fstat(self._file.fileno()).st_mode | 0o111)
            self._file.close()
            self._partial.replace(self._path)
        except OSError as error:
            self._close(keep=False)
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error

    def _close(self, *, keep: bool) -> None:
        with suppress(OSError):
            self._file.close()
        if not keep:
            self._partial.unlink(missing_ok=True)


def require_room(destination: Path, needed: int) -> None:
    """Raises StoreError when the disk of *destination*, which may not exist yet, has no room for *needed* bytes."""
    folder = next(path for path in (destination.absolute(), *destination.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"{folder} has room for {format_bytes(free)}; the copy needs {format_bytes(needed)} there",
            hint="free some space, or copy to a folder on another disk",
        )


class StreamSink:
    """`guard.transfer.Sink` that writes to the descriptor *output* as the bytes come."""

    held = 0

    def __init__(self, output: int) -> None:
        self._output = output
        self._hash = hashlib.sha256()

    def begin(self, offset: int, size: int) -> None: ...

    def add(self, data: bytes) -> None:
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._output, view) :]

    def finish(self, digest: str, mode: int) -> None:
        if self._hash.hexdigest() != digest:
            raise DeviceError("the file did not arrive whole: its digest is another", hint="type it again")


class FileSource:
    """`guard.transfer.Source` that reads the file *path*. It is open while a `with` block lasts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.advance: Callable[[int], None] = lambda _: None
        try:
            with path.open("rb") as stream:
                status = os.fstat(stream.fileno())
                self.digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        self.size = status.st_size
        self.executable = bool(status.st_mode & 0o100)
        self._left = 0

    def __enter__(self) -> Self:
        try:
            self._stream = self._path.open("rb")
        except OSError as error:
            raise UsageError(f"cannot read {self._path}: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def begin(self, offset: int) -> None:
        self._stream.seek(offset)
        self._left = self.size - offset
        self.advance(offset)

    def take(self, limit: int) -> bytes:
        data = self._stream.read(min(limit, self._left))
        if not data and self._left:
            raise UsageError(f"{self._path} became shorter while it was copied", hint="type it again")
        self._left -= len(data)
        self.advance(len(data))
        return data
