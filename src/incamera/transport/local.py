"""A transport without a network: programs run on this computer, for folders that a camera has mounted from it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from incamera.errors import ConnectionLost, DeviceError
from incamera.proc import minimal_environment, running
from incamera.transport.protocols import (
    Addresses,
    check_path,
    exit_code_of,
    missing,
    port_taken,
    too_large,
    write_error,
)
from incamera.transport.session import Session
from incamera.units import format_count

if TYPE_CHECKING:
    from incamera.transport.device import Device
    from incamera.transport.protocols import Channel, Forward, Program, Ready, Terminal

T = TypeVar("T")

_CHUNK = 1 << 16
# Many times what one user's programs need, three or four of which a channel can wait in.
_THREADS = 256
# A shell, since it ends with 126 or 127 where the program cannot be started.
_START = 'cd "$1" && shift && exec "$@"'


def open_local(device: Device) -> Session:
    """Return a session whose programs run here; errors speak of *device*."""

    async def open_transport() -> LocalTransport:
        return LocalTransport(device)

    return Session(open_transport)


class LocalTransport:
    """`protocols.Transport` without a network."""

    is_local = True
    guard_path: str | None = None

    def __init__(self, device: Device) -> None:
        self._device = device
        self._closed = False
        # A thread for each pipe that somebody waits for: the loop's own executor has too few on a small computer.
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="incamera-local")

    @property
    def device(self) -> Device:
        return self._device

    async def start(self, program: Program, *, terminal: Terminal | None = None) -> Channel:
        self._require_open()
        if terminal is not None:
            raise DeviceError(f"{self._device} is a folder of this computer: there are no terminals")
        return LocalChannel(self._device, program, self._threads)

    async def put(self, path: str, data: bytes, *, executable: bool = False) -> None:
        self._require_open()
        try:
            await asyncio.to_thread(_write_file, Path(check_path(path)), data, 0o755 if executable else 0o644)
        except OSError as error:
            raise write_error(self._device, path, error.strerror or str(error)) from error

    async def get(self, path: str, *, limit: int) -> bytes:
        self._require_open()
        try:
            data = await asyncio.to_thread(_read_file, check_path(path), limit + 1)
        except FileNotFoundError as error:
            raise missing(self._device, path) from error
        except OSError as error:
            raise DeviceError(f"cannot read {path} on {self._device}: {error.strerror}") from error
        if len(data) > limit:
            raise too_large(self._device, path, limit)
        return data

    async def get_all(self, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
        self._require_open()
        files: dict[str, bytes] = {}
        left = limit
        for path in paths:
            with suppress(OSError):
                files[path] = await asyncio.to_thread(_read_file, check_path(path), left + 1)
                left -= len(files[path])
            if left < 0:
                raise too_large(self._device, format_count(len(paths), "file"), limit)
        return files

    async def forward(self, remote_port: int, *, local_port: int, until_ready: Ready) -> Forward:
        self._require_open()

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with closing(writer), suppress(DeviceError, OSError):
                if await until_ready():
                    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", remote_port)
                    with closing(there_writer):
                        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))

        try:
            return LocalForward(await asyncio.start_server(carry, "127.0.0.1", local_port))
        except OSError as error:
            raise port_taken(local_port, error) from error

    async def check_channels(self) -> None:
        """Nothing limits them here."""

    async def addresses(self) -> Addresses:
        return Addresses("127.0.0.1", "127.0.0.1")

    async def close(self) -> None:
        self._closed = True
        self._threads.shutdown(wait=False)

    def _require_open(self) -> None:
        if self._closed:
            raise closed(self._device)


def closed(device: Device) -> ConnectionLost:
    """Return the error for a connection that this process has closed."""
    return ConnectionLost(f"the connection to {device} was closed")


class LocalForward:
    """`protocols.Forward` from one port of this computer to another."""

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        self._server.close()


class LocalChannel:
    """`protocols.Channel` over pipes."""

    def __init__(self, device: Device, program: Program, threads: Executor) -> None:
        self._device = device
        self._threads = threads
        self._stack = ExitStack()
        pipe = subprocess.PIPE
        self._process = self._stack.enter_context(
            running(
                ["sh", "-c", _START, "sh", program.folder or ".", *program.arguments],
                purpose=f"start {program.arguments[0]}",
                env=minimal_environment(**program.environment),
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
            )
        )

    async def read(self, limit: int) -> bytes:
        return await self._in_thread(_read, self._process.stdout, limit)

    async def read_error(self, limit: int) -> bytes:
        return await self._in_thread(_read, self._process.stderr, limit)

    async def write(self, data: bytes) -> None:
        await self._in_thread(_write, self._process.stdin, data)

    async def write_eof(self) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended: its exit code tells more than this
                self._process.stdin.close()

    def resize(self, columns: int, rows: int) -> None: ...

    async def wait(self) -> int:
        return exit_code_of(await self._in_thread(self._process.wait))

    async def close(self) -> None:
        await asyncio.to_thread(self._stack.close)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        except RuntimeError as error:  # there are no more threads
            raise closed(self._device) from error


def _read(stream: object, limit: int) -> bytes:
    return os.read(stream.fileno(), limit)  # type: ignore[attr-defined]


def _write(stream: object, data: bytes) -> None:
    view = memoryview(data)
    with suppress(BrokenPipeError):
        while view:
            view = view[os.write(stream.fileno(), view) :]  # type: ignore[attr-defined]


def _read_file(path: str, limit: int) -> bytes:
    with Path(path).open("rb") as stream:
        return stream.read(limit)


def _write_file(path: Path, data: bytes, mode: int) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".incamera-put-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()
