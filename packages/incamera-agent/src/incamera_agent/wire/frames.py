"""Frames: a JSON object and bytes behind it, each with its length in front.

`<length of the JSON><length of the payload><JSON><payload>`: the lengths are 4 bytes each, big-endian. The host and
the agent both read and write frames with this module.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Tuple

    Message = Dict[str, Any]

HEAD_BYTES = 8
# No longer frame is sent. A head that announces more was not written by this protocol.
MAXIMUM_JSON_BYTES = 16 << 20
MAXIMUM_PAYLOAD_BYTES = 4 << 20
# The agent takes shorter ones only: the camera's memory must hold them, and values in JSON take thirty times as much
# memory as their text.
MAXIMUM_REQUEST_BYTES = 1 << 20
_INFINITE = float("inf")


class FrameError(ValueError):
    """Received bytes are not a frame, or a message is too long for one."""


class MessageError(FrameError):
    """A frame's JSON is not a message, or too long. The decoder leaves the frame out, and goes on with the next one."""


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
    """Puts frames together from pieces of any size. Keeps at most one unfinished frame besides the last piece.

    It leaves out frames with more than *maximum_json* bytes of JSON or *maximum_payload* bytes behind it.
    """

    def __init__(self, *, maximum_json: int = MAXIMUM_JSON_BYTES, maximum_payload: int = MAXIMUM_PAYLOAD_BYTES) -> None:
        self._maximum_json = maximum_json
        self._maximum_payload = maximum_payload
        self._data = bytearray()
        self._skip = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take the next piece; the iterator returns the frames that are complete.

        Frames that are not taken from it come with the next piece. It raises FrameError for what is not a frame, and
        MessageError for a frame that it leaves out. After a MessageError, `feed(b"")` returns the frames that follow.
        """
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._data += data[skipped:] if skipped else data
        return self._take_frames()

    def _take_frames(self) -> Iterator[Frame]:
        while len(self._data) >= HEAD_BYTES:
            json_bytes = int.from_bytes(self._data[:4], "big")
            payload_bytes = int.from_bytes(self._data[4:HEAD_BYTES], "big")
            if json_bytes > MAXIMUM_JSON_BYTES or payload_bytes > MAXIMUM_PAYLOAD_BYTES:
                raise FrameError(f"expected a frame, received {bytes(self._data[:200])!r}")
            middle = HEAD_BYTES + json_bytes
            end = middle + payload_bytes
            if json_bytes > self._maximum_json or payload_bytes > self._maximum_payload:
                self._skip = max(0, end - len(self._data))
                del self._data[:end]
                raise MessageError(f"a frame of {end} bytes is too long")
            if len(self._data) < end:
                return
            text, payload = bytes(self._data[HEAD_BYTES:middle]), bytes(self._data[middle:end])
            del self._data[:end]
            yield Frame(_parse(text), payload)


def load_json(text: bytes) -> Any:
    """Return the value of *text*, which somebody else wrote. Raises ValueError, also where Python takes more than JSON.

    So it is UTF-8, no key comes twice, and no number is NaN or infinite.
    """
    try:
        return json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_make_object,
            parse_constant=_refuse_constant,
            parse_float=_parse_finite,
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _parse(text: bytes) -> Message:
    try:
        message = load_json(text)
    except ValueError as error:
        raise MessageError(f"a frame without JSON: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise MessageError("a frame without a type")
    return message


def _make_object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return made


def _parse_finite(text: str) -> float:
    number = float(text)
    if number in (_INFINITE, -_INFINITE):  # 1e999 is JSON, and infinite in Python
        raise ValueError(f"{text[:40]} is too large")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
