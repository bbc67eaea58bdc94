"""Devices over SSH: one connection, many channels."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from incamera.device.host_keys import Decide, HostKey, HostKeyChecker
from incamera.device.session import Session
from incamera.errors import ConfigError, ConnectionLost, DeviceError, DeviceRefused, DeviceUnreachable, UsageError

if TYPE_CHECKING:
    import asyncssh

    from incamera.device.protocols import Channel, Terminal
    from incamera.device.values import Device

T = TypeVar("T")

# AXIS OS up to 11 lets root in; where another user is meant, the device or ~/.ssh/config says so.
DEFAULT_USER = "root"
CONNECT_SECONDS = 10.0
# A dead peer is noticed after three of these without an answer.
_KEEPALIVE_SECONDS = 5.0
_KEEPALIVE_COUNT = 3
# In the order in which a device that is met for the first time is asked for them.
_HOST_KEY_ALGORITHMS = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"),
)


def refuse_unknown(key: HostKey) -> bool:
    """For callers that cannot ask: trust nobody new."""
    return False


@contextmanager
def connect(
    device: Device,
    *,
    known_hosts: Path,
    decide: Decide = refuse_unknown,
    environment: Mapping[str, str] | None = None,
    timeout: float = CONNECT_SECONDS,
) -> Iterator[Session]:
    """Connect to *device* for as long as the block lasts.

    *known_hosts* is our own file (`<store>/devices/known_hosts`), read besides the user's and the only one written.
    *decide* is asked about a device met for the first time. Raises DeviceUnreachable, DeviceRefused.
    """
    home = Path((os.environ if environment is None else environment).get("HOME") or Path.home())
    with Session(lambda: _open(device, known_hosts, decide, home, timeout)) as session:
        yield session


async def _open(device: Device, known_hosts: Path, decide: Decide, home: Path, timeout: float) -> SshTransport:
    import asyncssh

    asyncssh.set_log_level("CRITICAL")  # its messages are not for users
    config = home / ".ssh" / "config"
    try:
        options = asyncssh.SSHClientConnectionOptions(
            host=device.host, port=device.port or (), config=[str(config)] if os.access(config, os.R_OK) else None
        )
    except (asyncssh.Error, ValueError) as error:
        raise ConfigError(f"cannot use {config}: {error}") from error
    user = device.user or options.config.get("User", DEFAULT_USER)
    named: Any = options.config.get("UserKnownHostsFile", ())
    files = [Path(str(name)).expanduser() for name in named] or [home / ".ssh" / "known_hosts"]
    checker = HostKeyChecker(device, [*files, Path("/etc/ssh/ssh_known_hosts")], known_hosts, decide)

    class Client(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            return checker.check(key)

    arguments: dict[str, Any] = {}
    configured: Any = options.config.get("Port", None)
    port = device.port or configured
    name = str(options.host_key_alias or options.config.get("Hostname", device.host))
    if not any(checker.match(name, "", port)[0]):
        # Some small servers offer RSA without having such a key, and give up when it is chosen.
        arguments["server_host_key_algs"] = _HOST_KEY_ALGORITHMS
    if device.port is not None:
        arguments["port"] = device.port
    if device.keys:
        arguments["client_keys"] = [str(key) for key in device.keys]
        arguments["agent_path"] = None
    with _explaining(device, checker, str(user), timeout):
        connection = await asyncio.wait_for(
            asyncssh.connect(
                device.host,
                options=options,
                username=str(user),
                known_hosts=checker.match,
                client_factory=Client,
                connect_timeout=timeout,
                login_timeout=timeout + 10,
                keepalive_interval=_KEEPALIVE_SECONDS,
                keepalive_count_max=_KEEPALIVE_COUNT,
                # A camera knows neither, and asking costs a round trip each.
                gss_kex=False,
                gss_auth=False,
                password_auth=False,
                kbdint_auth=False,
                **arguments,
            ),
            timeout + 15,
        )
    return SshTransport(device, connection)


@contextmanager
def _explaining(device: Device, checker: HostKeyChecker, user: str, timeout: float) -> Iterator[None]:
    """Turn what can go wrong while connecting into one clear message."""
    import asyncssh

    where = device.name if device.name == device.host else f"{device.name} ({device.host})"
    off = "is it on, on this network, and is SSH enabled on it?"
    try:
        yield
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        if checker.refusal is not None:
            raise checker.refusal from error
        hint = None
        if isinstance(error, asyncssh.KeyExchangeFailed) and checker.knows_device:
            hint = "it may have lost the kind of host key that is known of it, as after a factory default"
        raise DeviceRefused(f"cannot agree with {where} on a secure connection: {error.reason}", hint=hint) from error
    except asyncssh.PermissionDenied as error:
        raise DeviceRefused(
            f"{where} does not let {user} in with any of your keys",
            hint=f"put your public key on it: ssh-copy-id {_address(device, user)} (it asks for the password once)",
        ) from error
    except TimeoutError as error:
        raise DeviceUnreachable(f"{where} does not answer within {timeout:.0f} s", hint=off) from error
    except socket.gaierror as error:
        raise DeviceUnreachable(
            f"there is no host called {device.host}",
            hint="known are the devices of `incamera device list`, the hosts of ~/.ssh/config, and addresses",
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
            reason = "nothing answers at its SSH port"
        raise DeviceUnreachable(f"cannot reach {where}: {reason}", hint=off) from error
    except asyncssh.DisconnectError as error:
        if checker.refusal is not None:
            raise checker.refusal from error
        raise DeviceUnreachable(f"{where} ended the connection at once: {error.reason}", hint=off) from error
    except (asyncssh.Error, ValueError) as error:
        if checker.refusal is not None:
            raise checker.refusal from error
        raise DeviceError(f"cannot connect to {where}: {error}") from error


def _address(device: Device, user: str) -> str:
    return f"-p {device.port} {user}@{device.host}" if device.port else f"{user}@{device.host}"


class SshTransport:
    """`protocols.Transport` over one SSH connection."""

    def __init__(self, device: Device, connection: asyncssh.SSHClientConnection) -> None:
        self._device = device
        self._connection = connection

    @property
    def device(self) -> Device:
        return self._device

    async def open(self, command: str, *, terminal: Terminal | None = None) -> Channel:
        import asyncssh

        with _noticing_loss(self._device):
            if self._connection.is_closed():
                raise asyncssh.ConnectionLost("closed")
            process: asyncssh.SSHClientProcess[bytes] = await self._connection.create_process(
                command,
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
