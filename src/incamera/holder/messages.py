"""What the holder and its clients say to each other: the agent's frames, with messages of their own.

Each connection to the holder is for one thing: a device, a program on it, an agent. The client's first frame says
which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from incamera.errors import (
    ConfigError,
    ConnectionLost,
    DeviceError,
    DeviceRefused,
    DeviceUnreachable,
    InCameraError,
)
from incamera.transport.device import Device, SshAddress
from incamera.transport.protocols import Program, Terminal
from incamera_agent.wire.frames import HEAD_BYTES, MAXIMUM_PAYLOAD_BYTES, Frame, encode, load_json

if TYPE_CHECKING:
    from incamera_agent.wire.frames import Message

# The longest message: a program with the arguments and the environment that a kernel takes.
_LONGEST_JSON = 4 << 20
BUFFER_BYTES = 1 << 18
_FINISH_SECONDS = 2.0

_ERRORS = {kind.__name__: kind for kind in (DeviceError, DeviceUnreachable, DeviceRefused, ConnectionLost, ConfigError)}


class Stream:
    """One connection between the holder and a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def read(self) -> Frame | None:
        """Return the next frame; None when the other end has closed the connection, or sends what is no frame."""
        try:
            head = await self._reader.readexactly(HEAD_BYTES)
            json_bytes, payload_bytes = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
            if json_bytes > _LONGEST_JSON or payload_bytes > MAXIMUM_PAYLOAD_BYTES:
                return None
            message = load_json(await self._reader.readexactly(json_bytes))
            payload = await self._reader.readexactly(payload_bytes) if payload_bytes else b""
        except (asyncio.IncompleteReadError, OSError, ValueError):
            return None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            return None
        return Frame(message, payload)

    async def send(self, message: Message, payload: bytes = b"") -> None:
        """Send a frame; waits while the other end takes none. Raises OSError when it has gone."""
        self.send_soon(message, payload)
        await self.writer.drain()

    def send_soon(self, message: Message, payload: bytes = b"") -> None:
        self.writer.write(encode(message, payload))

    async def finish(self) -> None:
        """Close the connection once the other end has done so: it has read then all that it was told."""
        with suppress(OSError, TimeoutError):
            self.writer.write_eof()
            async with asyncio.timeout(_FINISH_SECONDS):
                while await self._reader.read(BUFFER_BYTES):
                    pass
        self.close()

    def close(self) -> None:
        self.writer.close()

    def drop(self) -> None:
        """Close the connection at once, without what has not been sent yet. `close` sends that first."""
        self.writer.transport.abort()

    async def abort(self) -> None:
        """Close the connection as `drop` does, and wait until it is closed."""
        self.drop()
        with suppress(OSError):
            await self.writer.wait_closed()


def encode_device(device: Device) -> dict[str, Any]:
    return {"name": device.name, "address": device.address.to_table()}


def decode_device(table: Mapping[str, Any]) -> Device:
    """Return the device that `encode_device` made *table* of. Raises ValueError, KeyError."""
    return Device(name=str(table["name"]), address=SshAddress.from_table(table["address"]))


def encode_program(program: Program, terminal: Terminal | None) -> dict[str, Any]:
    return {
        "arguments": list(program.arguments),
        "environment": dict(program.environment),
        "folder": program.folder,
        "terminal": asdict(terminal) if terminal else None,
    }


def decode_program(table: Mapping[str, Any]) -> tuple[Program, Terminal | None]:
    """Return what `encode_program` made *table* of. Raises ValueError, KeyError, TypeError."""
    terminal = table["terminal"]
    program = Program(tuple(table["arguments"]), environment=dict(table["environment"]), folder=table["folder"])
    return program, Terminal(**terminal) if terminal else None


def encode_error(error: InCameraError) -> Message:
    """Return the message that makes the client raise an error like *error*."""
    kind = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS), DeviceError.__name__)
    exact = type(error).__name__ == kind
    return {"type": "error", "kind": kind, "exact": exact, "message": str(error), "hint": error.hint}


def decode_error(message: Message) -> InCameraError:
    """Return the error that `encode_error` made *message* of."""
    kind = _ERRORS.get(str(message.get("kind")), DeviceError)
    return kind(str(message.get("message")), hint=message.get("hint"))


def lost(device: Device) -> ConnectionLost:
    """Return the error for a holder that has ended."""
    return ConnectionLost(f"the connection to {device} was lost: incamera's connection holder has ended")
