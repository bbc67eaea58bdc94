"""A lent agent: the channel to an agent that the holder keeps, for one command at a time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from incamera.errors import ConnectionLost, DeviceError, StoreError
from incamera.holder.dial import NoHolder, dial
from incamera.holder.messages import decode_error, encode_program, lost
from incamera.holder.place import Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from incamera.holder.messages import Stream
    from incamera.holder.transport import HeldTransport
    from incamera.transport.device import Device
    from incamera.transport.protocols import Program


class LeasedAgent:
    """`protocols.Channel` to an agent. `give_back` lets it wait for the next command, `close` ends it and its app.

    *state* is what the command that used it before has given back with it.
    """

    def __init__(self, device: Device, stream: Stream, state: dict[str, Any]) -> None:
        self.device = device
        self.state = state
        self._stream = stream
        self._closed = asyncio.Event()

    async def read(self, limit: int) -> bytes:
        """Return whole frames of the agent, whatever *limit* is."""
        frame = await self._stream.read()
        if frame is None or frame.type != "data":
            self._closed.set()
            error = decode_error(frame.message) if frame else lost(self.device)
            raise error if isinstance(error, DeviceError) else DeviceError(str(error), hint=error.hint)
        return frame.payload

    async def read_error(self, limit: int) -> bytes:
        await self._closed.wait()
        return b""

    async def write(self, data: bytes) -> None:
        try:
            await self._stream.send({"type": "data"}, data)
        except OSError:
            raise ConnectionLost(f"the connection to {self.device} was lost") from None

    async def write_eof(self) -> None:
        """An agent's input has no end before its own."""

    def resize(self, columns: int, rows: int) -> None:
        """An agent has no terminal."""

    async def wait(self) -> int:
        raise NotImplementedError

    async def give_back(self, state: Mapping[str, Any]) -> None:
        """Let the agent wait. Nothing of ours may run in it, and nothing be on its way."""
        with suppress(OSError):
            await self._stream.send({"type": "release", "state": dict(state)})
            await self._stream.finish()
        await self.close()

    async def close(self) -> None:
        self._closed.set()
        self._stream.close()
        with suppress(OSError):
            await self._stream.writer.wait_closed()


async def lease_agent(store: Path, device: Device, name: str) -> LeasedAgent | None:
    """Return the agent *name* that waits in the camera; None without one."""
    try:
        place = Place(store)
    except (OSError, StoreError):
        return None
    try:
        stream = await dial(place)
        await stream.send({"type": "lease", "name": name})
    except (OSError, NoHolder):
        return None
    finally:
        place.close()
    return await _accept(device, stream)


async def keep_agent(transport: HeldTransport, program: Program, request: Mapping[str, Any]) -> LeasedAgent | None:
    """Start an agent with *program*, which may wait in the camera afterwards. None where another command uses it.

    *request* has the agent's `name`, the `app`, the path of the `guard` and the limits of its memory. Raises
    DeviceError.
    """
    stream = await transport.send({"type": "keep", **request, **encode_program(program, None)})
    return await _accept(transport.device, stream)


async def _accept(device: Device, stream: Stream) -> LeasedAgent | None:
    try:
        frame = await stream.read()
    except BaseException:
        stream.close()
        raise
    if frame is not None and frame.type == "leased":
        return LeasedAgent(device, stream, dict(frame.message["state"]))
    stream.close()
    if frame is not None and frame.type == "error":
        raise decode_error(frame.message)
    return None
