"""Whoever speaks frames with us: the host, a client on the socket, a run. Never more is kept than a bound allows."""

from __future__ import annotations

import os

from incamera_agent.wire.frames import Decoder, FrameError, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional

    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import Loop

# Above this nothing is read from an app: it waits, and our memory doesn't grow.
FULL_BYTES = 256 << 10
# Who asks and asks, and never reads the answers, isn't listened to.
DEAF_BYTES = 4 << 20
_CHUNK = 1 << 16


class Peer:
    def __init__(
        self,
        loop: Loop,
        incoming: int,
        outgoing: int,
        on_message: Callable[[Any, Message, bytes], None],
        on_end: Callable[[Any, Optional[str]], None],
    ) -> None:
        self.greeted = False
        self.closed = False
        self.on_room: List[Callable[[], None]] = []
        self._loop = loop
        self._incoming = incoming
        self._outgoing = outgoing
        self._on_message = on_message
        self._on_end = on_end
        self._decoder = Decoder()
        self._queue = bytearray()
        self._resting = False
        self._waiting: List[Callable[[], None]] = []
        for descriptor in {incoming, outgoing}:
            os.set_blocking(descriptor, False)
        self._rewatch()

    @property
    def full(self) -> bool:
        return len(self._queue) >= FULL_BYTES

    def send(self, message: Message, payload: bytes = b"") -> None:
        if self.closed:
            return
        waiting = bool(self._queue)
        self._queue += encode(message, payload)
        if not waiting:
            self._write()

    def flush(self, seconds: float) -> None:
        """Write what is left, for that long at most."""
        import select
        import time

        limit = time.monotonic() + seconds
        while self._queue and not self.closed and time.monotonic() < limit:
            select.select([], [self._outgoing], [], max(0.0, limit - time.monotonic()))
            self._write()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        for descriptor in {self._incoming, self._outgoing}:
            self._loop.watch(descriptor)
            os.close(descriptor)
        self._queue.clear()
        self._make_room()

    def rest(self, whom: Peer) -> None:
        """Listen no more until *whom*, to whom all this goes, has taken what is on its way."""
        if not self._resting:
            self._resting = True
            whom._waiting.append(self._resume)
            self._rewatch()

    def _resume(self) -> None:
        self._resting = False
        if not self.closed:
            self._rewatch()

    def _make_room(self) -> None:
        """Tell those who wait for us."""
        waiting, self._waiting = self._waiting, []
        for call in (*self.on_room, *waiting):
            call()

    def _rewatch(self) -> None:
        read = self._read if len(self._queue) < DEAF_BYTES and not self._resting else None
        write = self._write if self._queue else None
        if self._incoming == self._outgoing:
            self._loop.watch(self._incoming, read=read, write=write)
        else:
            self._loop.watch(self._incoming, read=read)
            self._loop.watch(self._outgoing, write=write)

    def _read(self) -> None:
        try:
            data = os.read(self._incoming, _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error.strerror)
            return
        if not data:
            self._end(None)
            return
        try:
            frames = self._decoder.feed(data)
        except FrameError as error:
            self._end(str(error))
            return
        for message, payload in frames:
            if not self.closed:
                self._on_message(self, message, payload)

    def _write(self) -> None:
        was_full = self.full
        try:
            while self._queue:
                with memoryview(self._queue) as view:
                    written = os.write(self._outgoing, view[:_CHUNK])
                del self._queue[:written]
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(error.strerror)
            return
        self._rewatch()
        if was_full and not self.full:
            self._make_room()

    def _end(self, why: Optional[str]) -> None:
        if not self.closed:
            self.close()
            self._on_end(self, why)
