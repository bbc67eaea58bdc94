"""What the guard prints: JSON objects, one a line. They are parsed and checked here, once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from incamera.errors import DeviceError
from incamera.guard.values import parse_value
from incamera.runtime.launcher.protocol import ANSWERS, PARTS, Answer
from incamera_agent.wire.frames import load_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.transport.device import Device
    from incamera.transport.protocols import Channel

# The longest answer lists the missing files of a bundle: some 10 bytes for each one or two of them.
LONGEST_LINE = 1 << 20
_CHUNK = 1 << 16
_ERROR_BYTES = 4096


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

    async def read_raw(self, limit: int) -> bytes:
        """Return up to *limit* bytes of what follows the last answer, which are no answers; b"" at the end."""
        if not self._data:
            return await self._channel.read(limit)
        data = bytes(self._data[:limit])
        del self._data[:limit]
        return data


async def keep_last_errors(channel: Channel, kept: bytearray) -> None:
    """Read the guard's standard error, so that it never waits for a reader, and keep the end in *kept*."""
    with suppress(DeviceError):  # reading its answers raises that, too
        while data := await channel.read_error(_ERROR_BYTES):
            kept += data
            del kept[:-_ERROR_BYTES]


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
    document = load_json(line)
    kind = document.pop("kind", None) if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in ANSWERS:
        raise ValueError("no answer of a known kind")
    class_, types = ANSWERS[kind]
    return class_(**_parse_fields(document, types))


def _parse_fields(document: object, types: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(document, dict) or document.keys() != types.keys():
        raise ValueError(f"not the fields {', '.join(types)}")
    return {name: parse_value(document[name], type_, _parse_part) for name, type_ in types.items()}


def _parse_part(value: object, type_: str) -> object:
    class_, types = PARTS[type_]
    return class_(**_parse_fields(value, types))
