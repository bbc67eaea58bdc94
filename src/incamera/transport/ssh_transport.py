"""One SSH connection, many channels."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from incamera.errors import ConnectionLost, DeviceError, UsageError

if TYPE_CHECKING:
    import asyncssh

    from incamera.transport.device import Device
    from incamera.transport.protocols import Channel, Program, Terminal
    from incamera.transport.session import Session

T = TypeVar("T")


class SshTransport:
    """`protocols.Transport` over one SSH connection."""

    def __init__(self, device: Device, connection: asyncssh.SSHClientConnection) -> None:
        self._device = device
        self._connection = connection

    @property
    def device(self) -> Device:
        return self._device

    async def start(self, program: Program, *, terminal: Terminal | None = None) -> Channel:
        import asyncssh

        with _noticing_loss(self._device):
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

    async def close(self) -> None:
        self._connection.close()
        with suppress(TimeoutError, OSError):
            await asyncio.wait_for(self._connection.wait_closed(), 3)


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
        with _noticing_loss(self._device):
            try:
                self._process.stdin.write(data)
                await self._process.stdin.drain()
            except BrokenPipeError:
                if self._connection.is_closed():
                    raise
                # The command has ended without reading all: its exit code tells more than this.

    async def write_eof(self) -> None:
        with _noticing_loss(self._device), suppress(BrokenPipeError):
            self._process.stdin.write_eof()

    def resize(self, columns: int, rows: int) -> None:
        with suppress(OSError):
            self._process.change_terminal_size(columns, rows)

    async def wait(self) -> int:
        import signal

        with _noticing_loss(self._device):
            await self._process.wait_closed()
        if self._process.exit_signal is not None:
            number = getattr(signal, f"SIG{self._process.exit_signal[0]}", None)
            return 128 + int(number) if number else 255
        if self._process.exit_status is None:
            raise _lost(self._device)
        return self._process.exit_status

    async def close(self) -> None:
        self._process.close()

    async def _guarded(self, read: Callable[[], Awaitable[T]]) -> T:
        with _noticing_loss(self._device):
            return await read()


@contextmanager
def forwarded(
    session: Session, port: int, *, local_port: int, until_ready: Callable[[], Awaitable[bool]]
) -> Iterator[None]:
    """Have *local_port* of our loopback lead to *port* of the device's, for as long as the block lasts.

    Nobody listens at *port* yet; who connects waits until *until_ready* says True. Raises UsageError when *local_port*
    is taken, DeviceError when the device's server does not do such things.
    """
    transport = session.transport
    if not isinstance(transport, SshTransport):
        raise DeviceError(f"{session.device} is not reached over SSH, which the connection must go through")

    async def accept(host: str, client_port: int) -> bool:
        return await until_ready()

    async def listen() -> asyncssh.SSHListener:
        import asyncssh

        # Asked for beforehand: later, whoever connects would only see his connection end.
        try:
            _, writer = await transport._connection.open_connection("127.0.0.1", port)
            writer.close()
        except asyncssh.ChannelOpenError as error:
            if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                raise DeviceError(
                    f"the SSH server of {session.device} leads no connections on: {error.reason}",
                    hint="TCP forwarding must be allowed in its settings",
                ) from error
        return await transport._connection.forward_local_port(
            "127.0.0.1", local_port, "127.0.0.1", port, accept_handler=accept
        )

    try:
        listener = session.call(listen())
    except OSError as error:
        raise UsageError(
            f"port {local_port} on this computer cannot be used: {error.strerror}", hint="choose another with --port"
        ) from error
    try:
        yield
    finally:

        async def close() -> None:
            listener.close()

        session.call(close())


@contextmanager
def _noticing_loss(device: Device) -> Iterator[None]:
    import asyncssh

    try:
        yield
    except asyncssh.ChannelOpenError as error:
        if "closed" not in error.reason.lower():
            raise DeviceError(f"{device} opens no further channel: {error.reason}") from error
        raise _lost(device) from error
    except (asyncssh.Error, OSError) as error:
        raise _lost(device) from error


def _lost(device: Device) -> ConnectionLost:
    return ConnectionLost(
        f"the connection to {device} was lost",
        hint="has it restarted, or left the network? what ran there over this connection is ended by its guard",
    )
