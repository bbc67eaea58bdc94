"""The thread of a stream: it takes pictures in time, converts them, and drops those for which there is no buffer."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from . import latest

if TYPE_CHECKING:
    from .pixels import Converter
    from .sources import Pictures


class Taken(NamedTuple):
    """A frame that waits for the program."""

    data: bytes
    type: int
    """VdoFrameType"""
    header: int
    sequence: int
    timestamp: float
    time: float


class Worker:
    """Takes pictures until it is stopped. `fd` is readable when there is a frame, or an error."""

    def __init__(self, pictures: Pictures, converter: Converter, period: float, free: Callable[[], int]) -> None:
        """*free* returns how many buffers frames in use leave, or -1 when the stream is gone."""
        self.period = period
        self.converter = converter
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._pictures, self._free = pictures, free
        self._guard = threading.Lock()
        self._ready: deque[Taken] = deque()
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="acap desk", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self, newest: bool) -> Taken | None:
        """Return the next frame, or the newest, or None. Raises what has ended the thread."""
        with self._guard:
            taken = None
            while self._ready and (taken is None or newest):
                taken = self._ready.popleft()
            if not self._ready and self._error is None:
                drain(self.fd)
        if taken is None and self._error is not None:
            raise self._error
        return taken

    def stop(self) -> None:
        """End the thread. One that waits for a webcam or a URL ends after its next picture."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread.ident is None:
            self._pictures.close()
        elif not self._pictures.live and self._thread is not threading.current_thread():
            self._thread.join()
        with self._guard:
            self._ready.clear()
            os.close(self.fd)
            os.close(self._writer)
            self._writer = -1

    def _work(self) -> None:
        try:
            self._play()
        except BaseException as error:
            with self._guard:
                self._error = error
                self._wake()
        finally:
            self._pictures.close()

    def _play(self) -> None:
        live = self._pictures.live
        due, seconds, sequence = time.monotonic() + self.period, 0.0, 0
        while not self._stop.wait(0 if live else max(0.0, due - time.monotonic())):
            picture = self._pictures.at(sequence, seconds)
            now = time.monotonic()
            if live:
                if now < due - self.period / 2:
                    continue  # more pictures a second than were asked for
                due = now
            if (free := self._free()) < 0:
                return
            if free > len(self._ready):
                self._deliver(picture, sequence, due)
            # When pictures come too slowly, the clock waits for them: none is left out.
            due = max(due + self.period, now)
            seconds += self.period
            sequence += 1

    def _deliver(self, picture: Any, sequence: int, when: float) -> None:
        data, kind, header = self.converter.convert(picture)
        latest.picture = picture
        wall = time.time() - (time.monotonic() - when)
        with self._guard:
            self._ready.append(Taken(data, kind, header, sequence, when, wall))
            self._wake()

    def _wake(self) -> None:
        if self._writer >= 0:
            with contextlib.suppress(BlockingIOError):  # it is readable anyway
                os.write(self._writer, b"\0")


def drain(fd: int) -> None:
    """Read all that is there."""
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass
