"""Storage on a desk: SD_DISK is a folder. The file .SD_DISK beside it may hold words that tell how it is.

The words are those of the virtual camera: exiting, full, readonly. Without the folder's parent, it is made.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from ..errors import NoSuchStorage, StorageFailed

_KNOWN = ("SD_DISK", "NetworkShare")
_SECONDS = 0.1  # how often a watch looks


class Storages:
    """What `acap._storage` is for a camera."""

    def __init__(self, folder: Path) -> None:
        self._root = folder
        if not self._root.exists():
            try:
                (self._root / "SD_DISK").mkdir(parents=True)
            except OSError as error:
                raise StorageFailed(f"cannot make {self._root}: {error.strerror}", domain="desk") from error

    def ids(self) -> list[str]:
        return [id for id in _KNOWN if (self._root / id).is_dir()]

    def status(self, id: bytes) -> tuple[bool, bool, bool, bool]:
        name = id.decode()
        if name not in _KNOWN:
            raise NoSuchStorage(f"there is no storage {name!r}", hint=f"it is one of {', '.join(_KNOWN)}")
        place = self._root / name
        words: list[str] = []
        with contextlib.suppress(OSError):
            words = (self._root / f".{name}").read_text("utf-8", "replace").split()
        available, exiting = place.is_dir(), "exiting" in words
        writable = available and not exiting and "readonly" not in words and os.access(place, os.W_OK)
        return available, writable, available and "full" in words, available and exiting

    def Area(self, id: bytes, seconds: float) -> Area:
        return Area(self._root / id.decode())

    def Watch(self, id: bytes) -> Watch:
        return Watch(self, id)


class Area:
    """The app's own folder."""

    def __init__(self, place: Path) -> None:
        area = place / "areas" / "app"
        try:
            area.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"cannot make {area}: {error.strerror}", domain="desk") from error
        self.path = str(area)
        self.type = 0 if place.name == "SD_DISK" else 1

    def release(self, seconds: float) -> None:
        pass


class Watch:
    """A thread that looks for changes."""

    def __init__(self, storages: Storages, id: bytes) -> None:
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._storages, self._id = storages, id
        self._guard, self._stop = threading.Lock(), threading.Event()
        threading.Thread(target=self._look, name="acap desk storage", daemon=True).start()

    def _look(self) -> None:
        last = None
        while True:
            if (now := self._storages.status(self._id)) != last:
                last = now
                with self._guard:
                    if self._writer < 0:
                        return
                    with contextlib.suppress(BlockingIOError):  # it is readable anyway
                        os.write(self._writer, b"\0")
            if self._stop.wait(_SECONDS):
                return

    def wait(self, seconds: float) -> bool:
        import select

        if self.fd < 0:
            return False
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if ready:
            os.read(self.fd, 4096)
        return bool(ready)

    def close(self) -> None:
        with self._guard:
            if self.fd >= 0:
                os.close(self.fd)
                os.close(self._writer)
                self.fd = self._writer = -1
        self._stop.set()
