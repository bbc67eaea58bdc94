"""A device that is a value in this process: programs are coroutines, files a dictionary, connections can be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from incamera.errors import ConnectionLost, DeviceError
from incamera.transport.protocols import Addresses, Program, check_path, missing, port_taken, too_large, write_error
from incamera.transport.session import Session

if TYPE_CHECKING:
    from incamera.transport.device import Device
    from incamera.transport.protocols import Channel, Forward, Ready, Terminal

# What a pipe holds before whoever writes into it has to wait.
_PIPE_BYTES = 1 << 16


class Pipe:
    """Bytes on their way from one task to another."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ended = False
        self._error: Exception | None = None
        self._changed = asyncio.Condition()

    async def write(self, data: bytes) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._buffer) < _PIPE_BYTES or self._ended or self._error)
            self._raise()
            if not self._ended:
                self._buffer += data
                self._changed.notify_all()

    async def read(self, limit: int) -> bytes:
        async with self._changed:
            await self._changed.wait_for(lambda: self._buffer or self._ended or self._error)
            self._raise()
            data = bytes(self._buffer[:limit])
            del self._buffer[:limit]
            self._changed.notify_all()
            return data

    async def read_line(self) -> bytes:
        async with self._changed:
            await self._changed.wait_for(lambda: b"\n" in self._buffer or self._ended or self._error)
            self._raise()
            size = self._buffer.find(b"\n") + 1 or len(self._buffer)
            data = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._changed.notify_all()
            return data

    async def end(self, error: Exception | None = None) -> None:
        """Nothing more comes; with *error*, whoever reads or writes gets that."""
        async with self._changed:
            self._ended = True
            self._error = self._error or error
            self._changed.notify_all()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


@dataclass(slots=True)
class FakeProcess:
    """What a program of the fake device works with. It returns its exit code."""

    program: Program
    terminal: Terminal | None
    stdin: Pipe = field(default_factory=Pipe)
    stdout: Pipe = field(default_factory=Pipe)
    stderr: Pipe = field(default_factory=Pipe)


Run = Callable[[FakeProcess], Awaitable[int]]


def answering(stdout: bytes = b"", stderr: bytes = b"", exit_code: int = 0) -> Run:
    """Return a program that prints this and ends."""

    async def run(process: FakeProcess) -> int:
        await process.stdout.write(stdout)
        await process.stderr.write(stderr)
        return exit_code

    return run


class FakeTransport:
    """`protocols.Transport` to a device in this process.

    *programs* are found by the first argument, or by the first two, with a space between: `/guard activate`. What was
    started is in `started`, files are in `files`, the folders that they may be in in `folders`; `services` are what
    listens at the device's ports.
    """

    def __init__(self, device: Device, programs: dict[str, Run] | None = None) -> None:
        self._device = device
        self.programs = programs or {}
        self.files: dict[str, bytes] = {}
        self.folders = {"/tmp"}
        self.executable: set[str] = set()
        self.services: dict[int, Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]] = {}
        self.started: list[Program] = []
        self.is_local = False
        self.guard_path: str | None = None
        self._lost: ConnectionLost | None = None
        self._channels: list[FakeChannel] = []
        self._servers: list[asyncio.Server] = []

    @property
    def device(self) -> Device:
        return self._device

    async def start(self, program: Program, *, terminal: Terminal | None = None) -> Channel:
        self._require_connection()
        self.started.append(program)
        run = self.programs.get(" ".join(program.arguments[:2])) or self.programs.get(program.arguments[0])
        if run is None:
            run = answering(stderr=f"{program.arguments[0]}: not found\n".encode(), exit_code=127)
        channel = FakeChannel(FakeProcess(program, terminal), run)
        self._channels.append(channel)
        return channel

    async def put(self, path: str, data: bytes, *, executable: bool = False) -> None:
        self._require_connection()
        if check_path(path) in self.folders or path.rpartition("/")[0] not in self.folders:
            raise write_error(self._device, path, "it is a folder, or its folder is not there")
        self.files[path] = data
        self.executable -= {path}
        self.executable |= {path} if executable else set()

    async def get(self, path: str, *, limit: int) -> bytes:
        self._require_connection()
        if check_path(path) in self.folders:
            raise DeviceError(f"cannot read {path} on {self._device}: it is a folder")
        if path not in self.files:
            raise missing(self._device, path)
        if len(self.files[path]) > limit:
            raise too_large(self._device, path, limit)
        return self.files[path]

    async def get_all(self, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
        self._require_connection()
        found = {path: self.files[path] for path in map(check_path, paths) if path in self.files}
        if sum(map(len, found.values())) > limit:
            raise too_large(self._device, f"{len(paths)} files", limit)
        return found

    async def forward(self, remote_port: int, *, local_port: int, until_ready: Ready) -> Forward:
        self._require_connection()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                if await until_ready() and remote_port in self.services:
                    await self.services[remote_port](reader, writer)
            writer.close()

        try:
            server = await asyncio.start_server(serve, "127.0.0.1", local_port)
        except OSError as error:
            raise port_taken(local_port, error) from error
        self._servers.append(server)
        return FakeForward(server)

    async def check_channels(self) -> None:
        """Nothing limits them here."""

    async def addresses(self) -> Addresses:
        return Addresses("192.0.2.1", "192.0.2.10")

    async def lose(self) -> None:
        """Lose the connection, as a restart of the device would."""
        self._lost = self._lost or ConnectionLost(f"the connection to {self._device} was lost")
        for channel in self._channels:
            await channel.lose(self._lost)

    async def close(self) -> None:
        await self.lose()
        for server in self._servers:
            server.close()

    def _require_connection(self) -> None:
        if self._lost is not None:
            raise self._lost


class FakeForward:
    """`protocols.Forward` into the fake device."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        self._server.close()


class FakeChannel:
    """`protocols.Channel` to a coroutine."""

    def __init__(self, process: FakeProcess, run: Run) -> None:
        self._process = process
        self._task = asyncio.create_task(self._run(run))
        self._lost: ConnectionLost | None = None

    async def _run(self, run: Run) -> int:
        try:
            return await run(self._process)
        finally:
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                await pipe.end()

    async def read(self, limit: int) -> bytes:
        return await self._process.stdout.read(limit)

    async def read_error(self, limit: int) -> bytes:
        return await self._process.stderr.read(limit)

    async def write(self, data: bytes) -> None:
        await self._process.stdin.write(data)

    async def write_eof(self) -> None:
        await self._process.stdin.end()

    def resize(self, columns: int, rows: int) -> None: ...

    async def wait(self) -> int:
        await asyncio.wait([self._task])
        if self._lost is not None:
            raise self._lost
        return self._task.result()

    async def lose(self, error: ConnectionLost) -> None:
        """End the program, and give *error* to whoever waits for something of it."""
        if self._lost is None:
            self._lost = error
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                await pipe.end(error)
            self._task.cancel()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


def open_fake(transport: Callable[[], FakeTransport]) -> Session:
    """Return a session with the transport that *transport* makes, in the session's own event loop."""

    async def open_transport() -> FakeTransport:
        return transport()

    return Session(open_transport)
