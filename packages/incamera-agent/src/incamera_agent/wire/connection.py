"""A connection that carries frames: to the host, to a client of the socket, to a run. Its buffers are bounded."""

from __future__ import annotations

import os

from incamera_agent.wire.frames import MAXIMUM_REQUEST_BYTES, Decoder, FrameError, MessageError, encode
from incamera_agent.wire.protocol import Answer, ErrorKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional

    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import EventLoop

# With more than this unsent, a connection is full: the app whose output goes there is not read from.
FULL_BYTES = 256 << 10
# With more than this unsent, requests are not read: a client that does not take its answers gets no more of them.
MAXIMUM_UNSENT_BYTES = 4 << 20
_CHUNK_BYTES = 1 << 16


class RequestError(Exception):
    """A request cannot be fulfilled; *kind* is one of ErrorKind."""

    def __init__(self, kind: str, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.hint = hint


class Connection:
    """Frames over the descriptors *incoming* and *outgoing*, which it owns and which may be the same.

    *on_frame* is called with the connection, a message and its payload; *on_close* with the connection and the reason,
    None at the end of the input. It is not called after `close`. A frame that is no message, or has more than
    *maximum_json* bytes of JSON, is answered with an error once the connection is `greeted`.
    """

    def __init__(
        self,
        loop: EventLoop,
        incoming: int,
        outgoing: int,
        on_frame: Callable[[Any, Message, bytes], None],
        on_close: Callable[[Any, Optional[str]], None],
        *,
        maximum_json: int = MAXIMUM_REQUEST_BYTES,
    ) -> None:
        self.greeted = False
        self.closed = False
        self.on_drained: List[Callable[[], None]] = []
        """Called each time the connection is no longer full."""
        self._loop = loop
        self._incoming = incoming
        self._outgoing = outgoing
        self._on_frame = on_frame
        self._on_close = on_close
        self._decoder = Decoder(maximum_json=maximum_json)
        self._unsent = bytearray()
        self._paused = False
        self._waiting: List[Callable[[], None]] = []
        for descriptor in {incoming, outgoing}:
            os.set_blocking(descriptor, False)
        self._update_watch()

    @property
    def full(self) -> bool:
        return len(self._unsent) >= FULL_BYTES

    def send(self, message: Message, payload: bytes = b"") -> None:
        """Send a frame, or queue it; nothing when closed. Raises FrameError."""
        if self.closed:
            return
        waiting = bool(self._unsent)
        self._unsent += encode(message, payload)
        if not waiting:
            self._write()

    def answer(self, request: Message, message: Message) -> None:
        """Send *message* as the answer to *request*, with its id. Raises FrameError."""
        number = request.get("id")
        self.send({**message, "id": number} if isinstance(number, (int, str)) else message)

    def answer_error(self, request: Message, kind: str, message: str, hint: Optional[str] = None) -> None:
        self.answer(request, {"type": Answer.ERROR, "kind": kind, "message": message, "hint": hint})

    def flush(self, seconds: float) -> None:
        """Block until everything is sent, at most *seconds*."""
        import select
        import time

        deadline = time.monotonic() + seconds
        while self._unsent and not self.closed and time.monotonic() < deadline:
            select.select([], [self._outgoing], [], max(0.0, deadline - time.monotonic()))
            self._write()

    def read_rest(self) -> None:
        """Handle everything that has arrived. For a connection whose other end has sent its last."""
        while not self.closed and self._read():
            pass

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        for descriptor in {self._incoming, self._outgoing}:
            self._loop.watch(descriptor)
            os.close(descriptor)
        self._unsent.clear()
        self._call_drained()

    def pause_until_drained(self, receiver: Connection) -> None:
        """Pause reading until the buffer of *receiver* drains."""
        self.pause_until(receiver.call_once_drained)

    def pause_until(self, register: Callable[[Callable[[], None]], object]) -> None:
        """Pause reading until the function that *register* gets is called. Nothing when reading is paused already."""
        if not self._paused:
            self._paused = True
            register(self._resume)
            self._update_watch()

    def call_once_drained(self, call: Callable[[], None]) -> None:
        """Call *call* once, when the connection is no longer full, or is closed."""
        self._waiting.append(call)

    def _resume(self) -> None:
        self._paused = False
        if not self.closed:
            self._update_watch()

    def _call_drained(self) -> None:
        waiting, self._waiting = self._waiting, []
        for call in (*self.on_drained, *waiting):
            call()

    def _update_watch(self) -> None:
        read = self._read if len(self._unsent) < MAXIMUM_UNSENT_BYTES and not self._paused else None
        write = self._write if self._unsent else None
        if self._incoming == self._outgoing:
            self._loop.watch(self._incoming, read=read, write=write)
        else:
            self._loop.watch(self._incoming, read=read)
            self._loop.watch(self._outgoing, write=write)

    def _read(self) -> bool:
        """Handle what has arrived, a piece of it. Return False when nothing has."""
        try:
            data = os.read(self._incoming, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._end(error.strerror)
            return False
        if not data:
            self._end(None)
            return False
        frames = self._decoder.feed(data)
        while not self.closed:
            try:
                frame = next(frames, None)
            except MessageError as error:
                if not self.greeted:
                    self._end(str(error))
                    return False
                self.answer_error({}, ErrorKind.REQUEST, str(error))
                frames = self._decoder.feed(b"")
                continue
            except FrameError as error:
                self._end(str(error))
                return False
            if frame is None:
                break
            self._on_frame(self, frame.message, frame.payload)
        return True

    def _write(self) -> None:
        was_full = self.full
        try:
            while self._unsent:
                with memoryview(self._unsent) as view:
                    written = os.write(self._outgoing, view[:_CHUNK_BYTES])
                del self._unsent[:written]
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(error.strerror)
            return
        self._update_watch()
        if was_full and not self.full:
            self._call_drained()

    def _end(self, reason: Optional[str]) -> None:
        if not self.closed:
            self.close()
            self._on_close(self, reason)
