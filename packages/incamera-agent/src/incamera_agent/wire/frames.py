"""Frames: a JSON object and bytes behind it, each with its length in front.

`<length of the JSON><length of the payload><JSON><payload>`: the lengths are 4 bytes each, big-endian. The host and
the agent both read and write frames with this module.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator

    Message = Dict[str, Any]

HEAD_BYTES = 8
# No longer frame is sent. A head that announces more was not written by this protocol.
MAXIMUM_JSON_BYTES = 16 << 20
MAXIMUM_PAYLOAD_BYTES = 4 << 20


class FrameError(ValueError):
    """Received bytes are not a frame, or a message is too long for one."""


class Frame:
    """A message and its payload."""

    __slots__ = ("message", "payload")

    def __init__(self, message: Message, payload: bytes = b"") -> None:
        self.message = message
        self.payload = payload

    @property
    def type(self) -> str:
        return str(self.message["type"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return self.message == other.message and self.payload == other.payload

    def __repr__(self) -> str:
        return f"Frame({self.message!r}, {self.payload!r})"


def encode(message: Message, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame. Raises FrameError when *message* or *payload* is too long."""
    text = json.dumps(message, separators=(",", ":")).encode()
    if len(text) > MAXIMUM_JSON_BYTES or len(payload) > MAXIMUM_PAYLOAD_BYTES:
        raise FrameError(f"`{message.get('type')}` is too long: {len(text)} bytes of JSON, {len(payload)} of payload")
    return b"".join((len(text).to_bytes(4, "big"), len(payload).to_bytes(4, "big"), text, payload))


class Decoder:
    """Puts frames together from pieces of any size. Keeps at most one unfinished frame besides the last piece."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take the next piece; the iterator returns the frames that are complete.

        Frames that are not taken from it come with the next piece. It raises FrameError for what is not a frame.
        """
        self._data += data
        return self._take_frames()

    def _take_frames(self) -> Iterator[Frame]:
        while len(self._data) >= HEAD_BYTES:
            json_bytes = int.from_bytes(self._data[:4], "big")
            payload_bytes = int.from_bytes(self._data[4:HEAD_BYTES], "big")
            if json_bytes > MAXIMUM_JSON_BYTES or payload_bytes > MAXIMUM_PAYLOAD_BYTES:
                raise FrameError(f"expected a frame, received {bytes(self._data[:200])!r}")
            middle = HEAD_BYTES + json_bytes
            end = middle + payload_bytes
            if len(self._data) < end:
                return
            frame = Frame(_parse(bytes(self._data[HEAD_BYTES:middle])), bytes(self._data[middle:end]))
            del self._data[:end]
            yield frame


def _parse(text: bytes) -> Message:
    try:
        message = json.loads(text)
    except ValueError as error:
        raise FrameError(f"a frame without JSON: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise FrameError("a frame without a type")
    return message
