"""One SSH connection, many channels."""

from __future__ import annotations

import asyncio
import ipaddress
import shlex
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import asyncssh

from incamera.errors import ConnectionLost, DeviceError
from incamera.transport import shell_files
from incamera.transport.protocols import Addresses, Script, port_taken
from incamera.transport.session import run_bounded
from incamera_agent.wire.protocol import signal_exit_code

if TYPE_CHECKING:
    from incamera.transport.device import Device
    from incamera.transport.protocols import Channel, Forward, Program, Ready, Terminal

T = TypeVar("T")

# The server tells its programs the client's address and port, then its own.
_ADDRESSES = Script("addresses", 'echo "$SSH_CONNECTION"')


class SshTransport:
    """`protocols.Transport` over one SSH connection."""

    guard_path = None

    def __init__(self, device: Device, connection: asyncssh.SSHClientConnection) -> None:
        self._device = device
        self._connection = connection

    @property
    def device(self) -> Device:
        return self._device

    async def start(self, program: Program, *, terminal: Terminal | None = None) -> Channel:
        with _translating_errors(self._device):
            if self._connection.is_closed():
                raise asyncssh.ConnectionLost("closed")
            process: asyncssh.SSHClientProcess[bytes] = await self._connection.create_process(
                to_shell(program),
                encoding=None,
                request_pty=terminal is not None,
                term_type=terminal.kind if terminal else None,
                term_size=(terminal.columns, terminal.rows) if terminal else (),
            )
        return SshChannel(self._device, self._connection, process)

    @property
    def is_local(self) -> bool:
        peer = self._connection.get_extra_info("peername")
        try:
            return ipaddress.ip_address(peer[0]).is_loopback
        except (TypeError, IndexError, ValueError):
            return False

    async def put(self, path: str, data: bytes, *, executable: bool = False) -> None:
        await shell_files.put_file(self, path, data, executable=executable)

    async def get(self, path: str, *, limit: int) -> bytes:
        return await shell_files.get_file(self, path, limit=limit)

    async def get_all(self, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
        return await shell_files.get_files(self, paths, limit=limit)

    async def addresses(self) -> Addresses:
        result = await run_bounded(self, _ADDRESSES.program())
        host, _, device, _ = [*result.text.split(), "", "", "", ""][:4]
        return Addresses(host, device)

    async def forward(self, remote_port: int, *, local_port: int, until_ready: Ready) -> Forward:
        async def accept(host: str, client_port: int) -> bool:
            with suppress(DeviceError):
                return await until_ready()
            return False

        with _translating_errors(self._device):
            # Tried beforehand: later, a refused connection would just end.
            try:
                _, writer = await self._connection.open_connection("127.0.0.1", remote_port)
                writer.close()
            except asyncssh.ChannelOpenError as error:
                if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                    raise DeviceError(
                        f"the SSH server of {self._device} does not allow TCP forwarding: {error.reason}",
                        hint="allow it in the server's settings",
                    ) from error
        try:
            listener = await self._connection.forward_local_port(
                "127.0.0.1", local_port, "127.0.0.1", remote_port, accept_handler=accept
            )
        except OSError as error:
            raise port_taken(local_port, error) from error
        return SshForward(listener)

    async def close(self) -> None:
        self._connection.close()
        with suppress(TimeoutError, OSError):
            await asyncio.wait_for(self._connection.wait_closed(), 3)


class SshForward:
    """`protocols.Forward` of an SSH connection."""

    def __init__(self, listener: asyncssh.SSHListener) -> None:
        self._listener = listener

    @property
    def port(self) -> int:
        return self._listener.get_port()

    async def close(self) -> None:
        self._listener.close()


def to_shell(program: Program) -> str:
    """Return *program* as text for the device's shell, which is all that SSH has for starting one."""
    parts = [f"export {name}={shlex.quote(value)}; " for name, value in program.environment.items()]
    if program.folder is not None:
        parts.append(f"cd {shlex.quote(program.folder)} && ")
    return "".join(parts) + "exec " + shlex.join(program.arguments)


class SshChannel:
    """`protocols.Channel` over one SSH channel."""

    def __init__(
        self, device: Device, connection: asyncssh.SSHClientConnection, process: asyncssh.SSHClientProcess[bytes]
    ) -> None:
        self._device = device
        self._connection = connection
        self._process = process

    async def read(self, limit: int) -> bytes:
        return await self._guarded(lambda: self._process.stdout.read(limit))

    async def read_error(self, limit: int) -> bytes:
        return await self._guarded(lambda: self._process.stderr.read(limit))

    async def read_line(self) -> bytes:
        return await self._guarded(self._process.stdout.readline)

    async def write(self, data: bytes) -> None:
        with _translating_errors(self._device):
            try:
                self._process.stdin.write(data)
                await self._process.stdin.drain()
            except BrokenPipeError:
                if self._connection.is_closed():
                    raise
                # The command has ended without reading all: its exit code tells more than this.

    async def write_eof(self) -> None:
        with _translating_errors(self._device), suppress(BrokenPipeError):
            self._process.stdin.write_eof()

    def resize(self, columns: int, rows: int) -> None:
        with suppress(OSError):
            self._process.change_terminal_size(columns, rows)

    async def wait(self) -> int:
        with _translating_errors(self._device):
            await self._process.wait_closed()
        if self._process.exit_signal is not None:
            number = getattr(signal, f"SIG{self._process.exit_signal[0]}", None)
            return signal_exit_code(int(number)) if number else 255
        if self._process.exit_status is None:
            raise _lost(self._device)
        return self._process.exit_status

    async def close(self) -> None:
        self._process.close()

    async def _guarded(self, read: Callable[[], Awaitable[T]]) -> T:
        with _translating_errors(self._device):
            return await read()


@contextmanager
def _translating_errors(device: Device) -> Iterator[None]:
    try:
        yield
    except asyncssh.ChannelOpenError as error:
        if "closed" not in error.reason.lower():
            raise DeviceError(f"{device} refuses another channel of the connection: {error.reason}") from error
        raise _lost(device) from error
    except (asyncssh.Error, OSError) as error:
        raise _lost(device) from error


def _lost(device: Device) -> ConnectionLost:
    return ConnectionLost(
        f"the connection to {device} was lost",
        hint="has it restarted, or left the network? In the camera, the guard ends what this connection was running",
    )
