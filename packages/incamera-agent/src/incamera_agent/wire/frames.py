"""Frames: length of the JSON, length of the payload (4 bytes each, big-endian), the JSON object, the payload."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple

    Message = Dict[str, Any]
    Frame = Tuple[Message, bytes]

PROTOCOL = 1
HEAD_BYTES = 8
# More than any frame has: what says otherwise is not of this protocol.
MAXIMUM_JSON_BYTES = 16 << 20
MAXIMUM_PAYLOAD_BYTES = 4 << 20


class FrameError(Exception):
    """What came is no frame."""


def encode(message: Message, payload: bytes = b"") -> bytes:
    text = json.dumps(message, separators=(",", ":")).encode()
    return b"".join((len(text).to_bytes(4, "big"), len(payload).to_bytes(4, "big"), text, payload))


class Decoder:
    """Puts frames together from pieces of any size."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> List[Frame]:
        """Return the frames that *data* completes. Raises FrameError."""
        self._data += data
        frames: List[Frame] = []
        start = 0
        while len(self._data) - start >= HEAD_BYTES:
            json_bytes = int.from_bytes(self._data[start : start + 4], "big")
            payload_bytes = int.from_bytes(self._data[start + 4 : start + 8], "big")
            if json_bytes > MAXIMUM_JSON_BYTES or payload_bytes > MAXIMUM_PAYLOAD_BYTES:
                raise FrameError("a frame of an impossible size")
            middle = start + HEAD_BYTES + json_bytes
            end = middle + payload_bytes
            if len(self._data) < end:
                break
            frames.append((_parse(bytes(self._data[start + HEAD_BYTES : middle])), bytes(self._data[middle:end])))
            start = end
        if start:
            del self._data[:start]
        return frames


def _parse(text: bytes) -> Message:
    try:
        message = json.loads(text)
    except ValueError as error:
        raise FrameError(f"a frame without JSON: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise FrameError("a frame without a type")
    return message


def protocol_error(hello: Message, agent: str) -> Message:
    """Return what is answered to whoever speaks another protocol; *agent* is our own version."""
    theirs, tool = hello.get("protocol"), hello.get("tool")
    return {
        "type": "error",
        "kind": "protocol",
        "message": f"incamera {tool} speaks protocol {theirs}, the agent {agent} in the camera protocol {PROTOCOL}",
        "hint": "deploy again with the incamera that you use now",
        "protocol": PROTOCOL,
        "agent": agent,
    }
