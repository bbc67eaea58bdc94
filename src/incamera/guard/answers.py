"""What the guard prints: JSON objects, one a line. They are parsed and checked here, once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from incamera.errors import DeviceError
from incamera.runtime.launcher.protocol import ANSWERS, PARTS, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.transport.device import Device
    from incamera.transport.protocols import Channel

# The longest answer lists the missing files of a bundle: some 10 bytes for each one or two of them.
LONGEST_LINE = 1 << 20
_LARGEST = 1 << 64
_CHUNK = 1 << 16


class AnswerReader:
    """Reads the answers of the guard on *device* from *channel*, as they come."""

    def __init__(self, channel: Channel, device: Device) -> None:
        self._channel = channel
        self._device = device
        self._data = bytearray()

    async def next(self) -> Answer | None:
        """Return the next answer, None at the end of the output. Raises DeviceError for what is no answer."""
        searched = 0
        while (end := self._data.find(b"\n", searched)) < 0:
            searched = len(self._data)
            if searched > LONGEST_LINE:
                raise not_an_answer(self._device, bytes(self._data))
            data = await self._channel.read(_CHUNK)
            if not data:
                # The guard has ended in the middle of a line: its exit code tells why.
                return None
            self._data += data
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        return read_answer(line, self._device)


def read_answer(line: bytes, device: Device) -> Answer:
    """Return the answer in *line*. Raises DeviceError for what is no answer."""
    try:
        return parse_answer(line)
    except ValueError:
        raise not_an_answer(device, line) from None


def not_an_answer(device: Device, line: bytes) -> DeviceError:
    text = line.decode("utf-8", "replace").strip()
    return DeviceError(
        f'the guard on {device} printed "{text[:80]}", which is not an answer',
        hint="does a start-up file of the device's shell print that? It should print nothing without a terminal",
    )


def parse_answer(line: bytes) -> Answer:
    """Return the answer in *line*. Raises ValueError unless it is exactly what protocol.toml describes."""
    if len(line) > LONGEST_LINE:
        raise ValueError("too long")
    try:
        document = json.loads(line)
    except RecursionError:
        raise ValueError("too deep") from None
    kind = document.pop("kind", None) if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in ANSWERS:
        raise ValueError("no answer of a known kind")
    class_, types = ANSWERS[kind]
    return class_(**_parse_fields(document, types))


def _parse_fields(document: object, types: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(document, dict) or document.keys() != types.keys():
        raise ValueError(f"not the fields {', '.join(types)}")
    return {name: _parse_value(document[name], type_) for name, type_ in types.items()}


def _parse_value(value: object, type_: str) -> object:
    if type_.endswith("?"):
        return None if value is None else _parse_value(value, type_[:-1])
    if type_.startswith("[") and isinstance(value, list):
        return tuple(_parse_value(item, type_[1:-1]) for item in value)
    if type_ in PARTS:
        class_, types = PARTS[type_]
        return class_(**_parse_fields(value, types))
    if (
        (type_ == "text" and isinstance(value, str))
        or (type_ == "flag" and isinstance(value, bool))
        or (type_ == "number" and type(value) is int and 0 <= value < _LARGEST)
    ):
        return value
    raise ValueError(f"{value!r} is no {type_}")
