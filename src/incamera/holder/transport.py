"""The client's end of a held connection: `protocols.Transport`, whose programs the holder starts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from incamera.errors import ConnectionLost, DeviceError
from incamera.holder.dial import NoHolder, dial
from incamera.holder.messages import (
    BUFFER_BYTES,
    Stream,
    decode_error,
    encode_program,
    lost,
)
from incamera.transport import shell_files
from incamera.transport.protocols import Addresses, port_taken

if TYPE_CHECKING:
    from incamera.holder.place import Place
    from incamera.transport.device import Device
    from incamera.transport.protocols import Channel, Forward, Program, Ready, Terminal
    from incamera_agent.wire.frames import Message

_CHUNK = 1 << 16
# As many programs run at a time over one connection: a run, its guard, and what a save changes.
_CHANNELS = 3


class HeldTransport:
    """`protocols.Transport` over the connection *number* of the holder, which *stream* keeps for us."""

    guard_path = None

    def __init__(self, device: Device, place: Place, stream: Stream, opened: Message) -> None:
        self._device = device
        self._place = place
        self._stream = stream
        self._number = opened["number"]
        self.is_local = bool(opened["is_local"])
        self.is_reused = bool(opened["is_reused"])
        """Whether the connection was open already."""
        self._closed = False
        self._watching = asyncio.create_task(self._watch())
        self._channels: set[HeldChannel] = set()

    @property
    def device(self) -> Device:
        return self._device

    async def start(self, program: Program, *, terminal: Terminal | None = None) -> Channel:
        stream = await self.ask({"type": "start", **encode_program(program, terminal)})
        channel = HeldChannel(self._device, stream, self._channels.discard)
        self._channels.add(channel)
        return channel

    async def ask(self, message: Message) -> Stream:
        """Send a request about this connection, and return where more comes. Raises what the holder answers."""
        stream = await self.send(message)
        try:
            answer = await stream.read()
        except BaseException:
            stream.close()
            raise
        if answer is None or answer.type == "error":
            stream.close()
            raise decode_error(answer.message) if answer else lost(self._device)
        return stream

    async def send(self, message: Message) -> Stream:
        """Send a request about this connection, and return where the answer comes. Raises ConnectionLost."""
        if self._closed:
            raise ConnectionLost(f"the connection to {self._device} was closed")
        try:
            stream = await dial(self._place)
        except (OSError, NoHolder):
            raise lost(self._device) from None
        try:
            await stream.send({**message, "connection": self._number})
        except BaseException as error:
            stream.drop()
            if isinstance(error, OSError):
                raise lost(self._device) from None
            raise
        return stream

    async def put(self, path: str, data: bytes, *, executable: bool = False) -> None:
        await shell_files.put_file(self, path, data, executable=executable)

    async def get(self, path: str, *, limit: int) -> bytes:
        return await shell_files.get_file(self, path, limit=limit)

    async def get_all(self, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
        return await shell_files.get_files(self, paths, limit=limit)

    async def check_channels(self) -> None:
        # All are opened before the first ends.
        await asyncio.gather(*(self.addresses() for _ in range(_CHANNELS)))

    async def addresses(self) -> Addresses:
        return await shell_files.get_addresses(self)

    async def forward(self, remote_port: int, *, local_port: int, until_ready: Ready) -> Forward:
        # Tried beforehand: later, a refused connection would just end.
        (await self.ask({"type": "dial", "port": remote_port, "attempt": True})).close()

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer), suppress(DeviceError, OSError):
                if not await until_ready():
                    return
                there = await self.ask({"type": "dial", "port": remote_port})
                with contextlib.closing(there):
                    await asyncio.gather(_send_all(reader, there), _receive_all(there, writer))

        try:
            return HeldForward(await asyncio.start_server(carry, "127.0.0.1", local_port))
        except OSError as error:
            raise port_taken(local_port, error) from error

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        for channel in list(self._channels):
            channel.lose()
        await self._stream.finish()
        self._place.close()

    async def _watch(self) -> None:
        """Notice when the connection is lost, or the holder has ended."""
        await self._stream.read()
        for channel in list(self._channels):
            channel.lose()


async def _send_all(reader: asyncio.StreamReader, stream: Stream) -> None:
    while data := await reader.read(_CHUNK):
        await stream.send({"type": "data"}, data)
    await stream.send({"type": "eof"})


async def _receive_all(stream: Stream, writer: asyncio.StreamWriter) -> None:
    while (frame := await stream.read()) is not None and frame.type == "data":
        writer.write(frame.payload)
        await writer.drain()
    writer.close()


class HeldForward:
    """`protocols.Forward` through the holder."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self._server.close()


class HeldChannel:
    """`protocols.Channel` of a program that the holder has started. *on_end* is called when nothing more will come."""

    def __init__(self, device: Device, stream: Stream, on_end: Callable[[HeldChannel], None]) -> None:
        self._device = device
        self._stream = stream
        self._on_end = on_end
        self._buffers = {"stdout": bytearray(), "stderr": bytearray()}
        self._ended = {"stdout": False, "stderr": False}
        self._code: int | None = None
        self._failure: DeviceError | None = None
        self._over = False
        self._news = asyncio.Condition()
        self._receiving = asyncio.create_task(self._receive())
        self._losing: asyncio.Task[None] | None = None

    async def read(self, limit: int) -> bytes:
        return await self._read("stdout", limit)

    async def read_error(self, limit: int) -> bytes:
        return await self._read("stderr", limit)

    async def write(self, data: bytes) -> None:
        try:
            for start in range(0, len(data), _CHUNK):
                if self._over:
                    break
                await self._stream.send({"type": "stdin"}, data[start : start + _CHUNK])
        except OSError:
            pass  # the holder's end tells why
        if self._failure is not None:
            raise self._failure

    async def write_eof(self) -> None:
        with suppress(OSError):
            if not self._over:
                await self._stream.send({"type": "eof"})
        if self._failure is not None:
            raise self._failure

    def resize(self, columns: int, rows: int) -> None:
        if not self._over:
            self._stream.send_soon({"type": "resize", "columns": columns, "rows": rows})

    async def wait(self) -> int:
        async with self._news:
            await self._news.wait_for(lambda: self._over)
        if self._code is None:
            raise self._failure or lost(self._device)
        return self._code

    async def close(self) -> None:
        self._receiving.cancel()
        self._stream.drop()  # what the program has not taken yet goes nowhere
        if not self._over:
            self._failure = ConnectionLost(f"the connection to {self._device} was closed")
            self._over = True
            async with self._news:
                self._news.notify_all()
        self._on_end(self)

    def lose(self) -> None:
        """Call the connection lost: the program's end will not be known."""
        if not self._over:
            self._receiving.cancel()
            self._stream.drop()
            self._losing = asyncio.create_task(self._finish(lost_connection(self._device)))

    async def _receive(self) -> None:
        failure: DeviceError | None = lost(self._device)
        while (frame := await self._stream.read()) is not None:
            kind = frame.type
            if kind in self._buffers:
                async with self._news:
                    if frame.payload:
                        self._buffers[kind] += frame.payload
                    else:
                        self._ended[kind] = True
                    self._news.notify_all()
                    # The program has to wait while nobody reads what it prints.
                    await self._news.wait_for(lambda: sum(map(len, self._buffers.values())) < BUFFER_BYTES)
            elif kind == "exited":
                self._code, failure = int(frame.message["code"]), None
                break
            elif kind == "error":
                error = decode_error(frame.message)
                failure = error if isinstance(error, DeviceError) else DeviceError(str(error), hint=error.hint)
                break
        await self._stream.abort()  # the program takes no more input
        await self._finish(failure)

    async def _finish(self, failure: DeviceError | None) -> None:
        async with self._news:
            if not self._over:
                self._over, self._failure = True, failure
            self._news.notify_all()
        self._on_end(self)

    async def _read(self, kind: str, limit: int) -> bytes:
        async with self._news:
            await self._news.wait_for(lambda: bool(self._buffers[kind]) or self._is_at_end(kind))
            self._raise_if_lost(kind)
            return self._take(kind, limit)

    def _is_at_end(self, kind: str) -> bool:
        return self._ended[kind] or self._over

    def _raise_if_lost(self, kind: str) -> None:
        if not self._buffers[kind] and not self._ended[kind] and self._failure is not None:
            raise self._failure

    def _take(self, kind: str, size: int) -> bytes:
        buffer = self._buffers[kind]
        data = bytes(buffer[:size])
        del buffer[:size]
        self._news.notify_all()
        return data


def lost_connection(device: Device) -> ConnectionLost:
    """Return the error for a device that has gone."""
    return ConnectionLost(
        f"the connection to {device} was lost",
        hint="has it restarted, or left the network? In the camera, the guard ends what this connection was running",
    )
