"""A server's end of a WebSocket connection (RFC 6455): short texts, as the event stream has them."""

from __future__ import annotations

import base64
import hashlib
import select
import socket
import struct
from collections.abc import Iterator

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
# Of one message from a client.
MOST_BYTES = 1 << 16
NORMAL, TOO_LARGE, PROTOCOL_ERROR = 1000, 1009, 1002


class Ended(Exception):
    """The connection has ended."""


def accept_key(key: str) -> str:
    """Return what the server answers to the client's *key*."""
    digest = hashlib.sha1((key.strip() + _MAGIC).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


class WebSocket:
    """A connection whose handshake is done."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._data = b""
        self._message = b""
        self._is_text = False

    def send(self, text: str) -> None:
        """Send a message. Raises OSError."""
        self._send(_TEXT, text.encode())

    def close(self, code: int = NORMAL) -> None:
        self._send(_CLOSE, struct.pack(">H", code))

    def ping(self) -> None:
        self._send(_PING, b"")

    def receive(self, seconds: float) -> Iterator[str]:
        """Yield the messages that come within *seconds*. Raises Ended, OSError."""
        if not select.select([self._line], [], [], seconds)[0]:
            return
        data = self._line.recv(MOST_BYTES)
        if not data:
            raise Ended
        self._data += data
        while frame := self._take_frame():
            final, kind, content = frame
            match kind:
                case 8:
                    self.close()
                    raise Ended
                case 9:
                    self._send(_PONG, content)
                case 10:
                    continue
                case 0 | 1 | 2:
                    self._is_text = kind == _TEXT if kind else self._is_text
                    self._message += content
                    if len(self._message) > MOST_BYTES:
                        self._fail(TOO_LARGE)
                    if final:
                        message, self._message = self._message, b""
                        if self._is_text:
                            yield message.decode("utf-8", "replace")
                case _:
                    self._fail(PROTOCOL_ERROR)

    def _take_frame(self) -> tuple[bool, int, bytes] | None:
        """Return the next frame once it is whole: whether it is the last of its message, its kind and its data."""
        data = self._data
        if len(data) < 2:
            return None
        first, length, start = data[0], data[1] & 127, 2
        if first & 0x70 or not data[1] & 128:  # an extension, or not masked
            self._fail(PROTOCOL_ERROR)
        if length == 126:
            start, length = 4, struct.unpack_from(">H", data, 2)[0] if len(data) >= 4 else 0
        elif length == 127:
            self._fail(TOO_LARGE)
        end = start + 4 + length
        if len(data) < end:
            return None
        mask = int.from_bytes((data[start : start + 4] * (length // 4 + 1))[:length], "big")
        content = (int.from_bytes(data[start + 4 : end], "big") ^ mask).to_bytes(length, "big")
        self._data = data[end:]
        return bool(first & 128), first & 15, content

    def _fail(self, code: int) -> None:
        self.close(code)
        raise Ended

    def _send(self, kind: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = struct.pack(">BB", 128 | kind, size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", 128 | kind, 126, size)
        else:
            head = struct.pack(">BBQ", 128 | kind, 127, size)
        self._line.sendall(head + data)
