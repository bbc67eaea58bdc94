"""A transport that leads nowhere else: commands run on this computer, for folders that a camera has mounted from it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from incamera.errors import DeviceError
from incamera.proc import minimal_environment, running
from incamera.transport.session import Session

if TYPE_CHECKING:
    from incamera.transport.device import Device
    from incamera.transport.protocols import Channel, Program, Terminal

_LIMIT = 1 << 16
# A shell, since it ends with 126 or 127 where the program cannot be started.
_START = 'cd "$1" && shift && exec "$@"'


def open_local(device: Device) -> Session:
    """Return a session whose commands run here; errors speak of *device*."""

    async def open_transport() -> LocalTransport:
        return LocalTransport(device)

    return Session(open_transport)


class LocalTransport:
    """`protocols.Transport` without a network."""

    def __init__(self, device: Device) -> None:
        self._device = device

    @property
    def device(self) -> Device:
        return self._device

    async def start(self, program: Program, *, terminal: Terminal | None = None) -> Channel:
        if terminal is not None:
            raise DeviceError(f"{self._device} is a folder of this computer: there are no terminals")
        return LocalChannel(program)

    async def close(self) -> None: ...


class LocalChannel:
    """`protocols.Channel` over pipes."""

    def __init__(self, program: Program) -> None:
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
        self._line = b""

    async def read(self, limit: int) -> bytes:
        if self._line:
            data, self._line = self._line, b""
            return data
        return await asyncio.to_thread(_read, self._process.stdout, limit)

    async def read_error(self, limit: int) -> bytes:
        return await asyncio.to_thread(_read, self._process.stderr, limit)

    async def read_line(self) -> bytes:
        while b"\n" not in self._line:
            data = await asyncio.to_thread(_read, self._process.stdout, _LIMIT)
            if not data:
                break
            self._line += data
        line, end, self._line = self._line.partition(b"\n")
        return line + end

    async def write(self, data: bytes) -> None:
        await asyncio.to_thread(_write, self._process.stdin, data)

    async def write_eof(self) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended: its exit code tells more than this
                self._process.stdin.close()

    def resize(self, columns: int, rows: int) -> None: ...

    async def wait(self) -> int:
        code = await asyncio.to_thread(self._process.wait)
        return code if code >= 0 else 128 - code

    async def close(self) -> None:
        await asyncio.to_thread(self._stack.close)


def _read(stream: object, limit: int) -> bytes:
    return os.read(stream.fileno(), limit)  # type: ignore[attr-defined]


def _write(stream: object, data: bytes) -> None:
    view = memoryview(data)
    with suppress(BrokenPipeError):
        while view:
            view = view[os.write(stream.fileno(), view) :]  # type: ignore[attr-defined]
