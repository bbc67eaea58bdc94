"""The camera's SD card and network share.

    with acap.storage.Storage("SD_DISK") as disk:
        (disk.path / "picture.jpg").write_bytes(frame)

Needs the group `storage` in the manifest. On a desk, ACAP_STORAGE names a folder, and SD_DISK is
a folder in it. The file .SD_DISK beside that may hold the words exiting, full or readonly.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from .errors import StorageClosed, StorageGone, StorageNotReady
from .on_desk import desk_path

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Status", "Storage", "Watch", "ids", "status"]

_TYPES = {0: "local", 1: "external"}
# How long the end waits until the camera has taken a storage back.
_RELEASE_SECONDS = 5.0


class Status(NamedTuple):
    """How a storage is."""

    id: str
    """"SD_DISK" or "NetworkShare"."""
    available: bool
    """Whether it is connected."""
    writable: bool
    """Whether files can be written."""
    full: bool
    """Whether it has no room: files can only be removed."""
    exiting: bool
    """Whether it is about to be removed: end all use of it."""

    @property
    def ready(self) -> bool:
        """Whether an app can begin to write."""
        return self.available and self.writable and not self.full and not self.exiting


def ids() -> list[str]:
    """Return the names of what is connected: "SD_DISK", "NetworkShare". Raises StorageError, LibraryMissing."""
    return list(_camera().ids())


def status(id: str) -> Status:
    """Return how the storage *id* is. Raises NoSuchStorage, StorageDenied, StorageFailed, LibraryMissing."""
    return Status(id, *_camera().status(id.encode()))


class Storage:
    """The app's own folder on an SD card or a network share.

    Waits until it is writable and not full, for up to *timeout* seconds. When it is about to be removed, `path` raises
    StorageGone: leave the `with` block then, so that the camera can let it go.

    Raises NoSuchStorage, StorageNotReady, StorageDenied, StorageFailed, LibraryMissing.
    """

    id: str
    """"SD_DISK" or "NetworkShare"."""
    kind: str
    """"local" for an SD card, "external" for a network share, or "unknown"."""

    def __init__(self, id: str = "SD_DISK", *, timeout: float = 10.0) -> None:
        self.id = id
        self._camera = _camera()
        self._area: Any = self._set_up(timeout)
        self._path = Path(self._area.path)
        self.kind = _TYPES.get(self._area.type, "unknown")

    def _set_up(self, timeout: float) -> Any:
        deadline = time.monotonic() + timeout
        now = self.status
        if not now.ready:
            # The first change may have come before the watch: look again at once.
            with Watch(self.id) as watch:
                while not (now := self.status).ready:
                    rest = deadline - time.monotonic()
                    if rest <= 0:
                        raise _not_ready(now, timeout)
                    watch.wait(rest)
        try:
            return self._camera.Area(self.id.encode(), max(0.0, deadline - time.monotonic()) + 1.0)
        except TimeoutError:
            raise _not_ready(self.status, timeout) from None

    @property
    def status(self) -> Status:
        """How the storage is now."""
        return Status(self.id, *self._camera.status(self.id.encode()))

    @property
    def path(self) -> Path:
        """The app's folder. Raises StorageGone when the storage was removed or is about to be, StorageClosed."""
        if self._area is None:
            raise StorageClosed(f"{self.id} was released")
        now = self.status
        if now.exiting or not now.available:
            what = "is about to be removed" if now.available else "was removed"
            raise StorageGone(f"{self.id} {what}", hint="end all use of it, and leave the `with` block")
        return self._path

    def close(self) -> None:
        """Give the storage back to the camera. Close all files before."""
        area, self._area = self._area, None
        if area is not None:
            area.release(_RELEASE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Watch:
    """Changes of a storage, in a `for` or an `async for` loop: its `Status` at first, and each time it has changed.

    *timeout*: seconds after which a loop ends when nothing happens, None for never. Raises as `status` does.
    """

    def __init__(self, id: str = "SD_DISK", *, timeout: float | None = None) -> None:
        self.id = id
        self.timeout = timeout
        self._camera = _camera()
        self._last: Status | None = None
        self._camera.status(id.encode())  # an unknown one is refused
        self._watch = self._camera.Watch(id.encode())

    def fileno(self) -> int:
        """The file descriptor that is readable when there may be a change."""
        return int(self._watch.fd)

    def wait(self, seconds: float) -> bool:
        """Wait up to *seconds* for what may be a change. Returns whether there was one."""
        return bool(self._watch.wait(seconds))

    def _next(self) -> Status | None:
        now = Status(self.id, *self._camera.status(self.id.encode()))
        if now == self._last:
            return None
        self._last = now
        return now

    def __iter__(self) -> Iterator[Status]:
        return self

    def __next__(self) -> Status:
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        while (now := self._next()) is None:
            rest = 60.0 if deadline is None else deadline - time.monotonic()
            if rest <= 0 or self.fileno() < 0:
                raise StopIteration
            self.wait(rest)
        return now

    def __aiter__(self) -> AsyncIterator[Status]:
        return self

    async def __anext__(self) -> Status:
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        while (now := self._next()) is None:
            rest = None if deadline is None else deadline - time.monotonic()
            if (rest is not None and rest <= 0) or self.fileno() < 0:
                raise StopAsyncIteration
            await _readable(self, rest)
            self.wait(0)
        return now

    def close(self) -> None:
        """End the watch."""
        self._watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


async def _readable(watch: Watch, limit: float | None) -> None:
    """Return when *watch* is readable, or after *limit* seconds."""
    import asyncio

    loop = asyncio.get_running_loop()
    fd, ready = watch.fileno(), asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await asyncio.wait_for(ready.wait(), limit)
    except TimeoutError:
        pass
    finally:
        if fd == watch.fileno():  # else it was closed in another task, and is no longer ours
            loop.remove_reader(fd)


def _not_ready(now: Status, timeout: float) -> StorageNotReady:
    if not now.available:
        why = "it is not connected"
    elif now.exiting:
        why = "it is about to be removed"
    else:
        why = "it is full" if now.full else "it is not writable"
    return StorageNotReady(f"{now.id} was not ready within {timeout:g} s: {why}", domain="axstorage")


def _camera() -> Any:
    if (folder := desk_path("ACAP_STORAGE")) is not None:
        from .desk.storage import Storages

        return Storages(folder)
    from . import _storage

    return _storage
