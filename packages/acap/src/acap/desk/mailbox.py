"""What has come, with a file descriptor that is readable while there is something."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any


class Mailbox:
    """A queue between threads."""

    def __init__(self) -> None:
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._guard = threading.Lock()
        self._items: list[Any] = []

    def put(self, item: Any, most: int | None = None) -> int:
        """Add *item*. Returns how many of the oldest were dropped, so that there are no more than *most*."""
        with self._guard:
            if self.fd < 0:
                return 0
            self._items.append(item)
            dropped = 0 if most is None else max(0, len(self._items) - most)
            del self._items[:dropped]
            with contextlib.suppress(BlockingIOError):  # it is readable anyway
                os.write(self._writer, b"\0")
            return dropped

    def take(self) -> list[Any]:
        """Return all items. The file descriptor is then no longer readable."""
        with self._guard:
            items, self._items = self._items, []
            with contextlib.suppress(BlockingIOError, OSError):
                while self.fd >= 0 and os.read(self.fd, 4096):
                    pass
            return items

    def close(self) -> None:
        with self._guard:
            if self.fd >= 0:
                os.close(self.fd)
                os.close(self._writer)
                self.fd = self._writer = -1
                self._items = []

    def __del__(self) -> None:
        self.close()
