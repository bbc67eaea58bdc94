"""Devices over SSH: how a connection is made, and the error when it cannot be."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import ConfigError, DeviceRefused, DeviceUnreachable, UsageError
from incamera.home import find_home
from incamera.transport.device import Device, parse_address
from incamera.transport.host_keys import HostKeyChecker
from incamera.transport.keepalive import KEEPALIVE_COUNT, KEEPALIVE_SECONDS, use_confirmations
from incamera.transport.revoked_keys import load_revoked
from incamera.transport.session import Session
from incamera.transport.ssh_config import Place, ask_known_hosts_command, read_config
from incamera.waiting import in_daemon_thread

if TYPE_CHECKING:
    import asyncssh

    from incamera.transport.login import Keys
    from incamera.transport.progress import Progress
    from incamera.transport.protocols import Transport
    from incamera.transport.ssh_config import SshConfig
    from incamera.transport.ssh_transport import SshTransport

# AXIS OS up to 11 lets root in; where another user is meant, the device or ~/.ssh/config says so.
DEFAULT_USER = "root"
CONNECT_SECONDS = 10.0
# For all of it, with each host on the way: a slow processor needs seconds for the key exchange, and some servers for
# the login.
WHOLE_SECONDS = 30.0
_MARGIN_SECONDS = 0.5
# In the order in which a device that is met for the first time is asked for them.
_HOST_KEY_ALGORITHMS = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"),
)
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_JUMPS = 8


@contextmanager
def connect(
    device: Device,
    *,
    known_hosts: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = CONNECT_SECONDS,
) -> Iterator[Session]:
    """Connect to *device* for as long as the block lasts.

    *known_hosts* is our own list of host keys (`<store>/devices/known_hosts`), read besides the user's. *timeout*, in
    seconds, is for the TCP connection. Raises UnknownHostKey, DeviceRefused, DeviceUnreachable, ConfigError; nobody is
    asked anything.
    """
    variables = os.environ if environment is None else environment
    with ExitStack() as proxies:

        async def open_transport() -> Transport:
            return await open_ssh(
                device, known_hosts=known_hosts, environment=variables, proxies=proxies, timeout=timeout
            )

        with Session(open_transport) as session:
            yield session


async def open_ssh(
    device: Device,
    *,
    known_hosts: Path,
    environment: Mapping[str, str],
    proxies: ExitStack,
    timeout: float = CONNECT_SECONDS,
) -> SshTransport:
    """Connect to *device* as `connect` does. What runs as ProxyCommand ends when *proxies* is closed."""
    import asyncssh  # lazy: slow to import

    from incamera.transport.ssh_transport import SshTransport

    asyncssh.set_log_level("CRITICAL")  # its messages are not for users
    attempt = _Attempt(device, known_hosts, find_place(environment), timeout, proxies)
    return SshTransport(device, await attempt.connect())


def find_place(environment: Mapping[str, str]) -> Place:
    """Return where SSH's configuration is read for a user with *environment*."""
    return Place(home=find_home(environment), environment=environment)


@dataclass(slots=True)
class _Attempt:
    """One attempt to connect to *device*, or to a jump host *via* which another is reached."""

    device: Device
    known_hosts: Path
    place: Place
    timeout: float
    proxies: ExitStack
    """What runs as ProxyCommand, until the session is closed."""
    jumps: tuple[str, ...] | None = None
    """The jump hosts, instead of those that the configuration names."""
    depth: int = 0
    """How many hosts are reached through this one: it is a jump host unless that is 0."""

    async def connect(self) -> asyncssh.SSHClientConnection:
        from incamera.transport.login import load_keys  # lazy: asyncssh is slow to import
        from incamera.transport.quick_login import KnownLogins, digest_of, is_quick

        address = self.device.address
        # It may ask name servers and run programs.
        config = await in_daemon_thread(
            lambda: read_config(self.place, address.host, user=address.user, port=address.port)
        )
        user = address.user or config.user or DEFAULT_USER
        _require_names(user, config.host, configured=config.user if not address.user else None)
        self.timeout = float(config.values.get("connecttimeout", 0)) or self.timeout
        if not config.flag("pubkeyauthentication", default=True):
            raise ConfigError(
                f"~/.ssh/config says `PubkeyAuthentication no` for {address.host}; incamera logs in with a key only",
                hint="remove that line, or put it where it is not about this host",
            )
        if config.proxy_command and config.flag("proxyusefdpass", default=False):
            raise ConfigError(
                f"~/.ssh/config says `ProxyUseFdpass yes` for {address.host}, which incamera cannot do",
                hint="name a ProxyCommand that passes the data on itself, and remove that line",
            )
        told = ""
        if config.known_hosts_command:
            told = await in_daemon_thread(lambda: ask_known_hosts_command(config, self.place.environment))
        revoked = load_revoked(config.revoked_keys) if config.revoked_keys is not None else None
        checker = HostKeyChecker(
            self.device,
            [*config.known_hosts, self.known_hosts],
            told=told,
            is_jump=self.depth > 0,
            revoked=revoked,
        )
        agent = self.place.environment.get("SSH_AUTH_SOCK")
        keys = await load_keys(config, address.keys, agent)
        logins = KnownLogins(self.known_hosts.with_name("logins.json"))
        server = f"{user}@{config.host}:{config.port}"
        known = keys.put_first(logins.find(server))
        tunnel = None
        try:
            tunnel = await self._open_tunnel(config)
            # Each host on the way has as long.
            end = asyncio.get_running_loop().time() + WHOLE_SECONDS
            progress = self._begin(config, user, checker, keys)
            try:
                connection = await self._log_in(progress, tunnel, end, quickly=known)
            except (DeviceRefused, DeviceUnreachable):
                if known is None or checker.refusal is not None or progress.version is None:
                    raise
                # The key may have been removed there. The login that asks first tells why it is refused.
                logins.keep(server, None)
                if progress.is_late:
                    raise
                progress = self._begin(config, user, checker, keys)
                connection = await self._log_in(progress, tunnel, end)
            if progress.login.last is not None and is_quick(connection):
                logins.keep(server, digest_of(progress.login.last))
            if tunnel is not None:
                connection.set_tunnel(tunnel)  # which ends with it
            return connection
        except BaseException:
            if tunnel is not None:
                tunnel.close()
            raise
        finally:
            if keys.agent is not None:
                keys.agent.close()
                await keys.agent.wait_closed()

    def _begin(self, config: SshConfig, user: str, checker: HostKeyChecker, keys: Keys) -> Progress:
        """Return the state of one attempt to log in."""
        from incamera.transport.login import Login  # lazy: asyncssh is slow to import
        from incamera.transport.progress import Progress

        device, jumps = self.device, self._jumps_of(config)
        return Progress(
            where=device.name if device.name == config.host else f"{device.name} ({config.host})",
            user=user,
            config=config,
            checker=checker,
            login=Login(keys, config.values.get("pubkeyacceptedalgorithms"), user=user),
            seconds=self.timeout,
            whole_seconds=WHOLE_SECONDS,
            copy_id=f"ssh-copy-id {replace(device.address, user=user).for_ssh}",
            jump=jumps[-1] if jumps else None,
        )

    async def _log_in(
        self,
        progress: Progress,
        tunnel: asyncssh.SSHClientConnection | None,
        end: float,
        *,
        quickly: asyncssh.SSHKeyPair | None = None,
    ) -> asyncssh.SSHClientConnection:
        """Connect and log in once, until *end* at the latest, as the event loop counts.

        With *quickly*, the key that the server took last, few answers are waited for.
        """
        import asyncssh  # lazy: slow to import

        from incamera.transport.progress import shorten
        from incamera.transport.quick_login import hasten

        config, checker, login = progress.config, progress.checker, progress.login

        class Client(asyncssh.SSHClient):
            def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
                login.algorithms = conn._sig_algs
                use_confirmations(conn, through_jump=tunnel is not None)
                if quickly is not None:
                    hasten(conn, quickly)
                progress.begin(conn)

            def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
                checker.refuse(key)
                return False

            def public_key_auth_requested(self) -> list[asyncssh.SSHKeyPair] | None:
                return [key] if (key := login.next_key()) else None

            # Neither is used: they are asked for only so that the cause of a refusal can be told.
            def password_auth_requested(self) -> None:
                login.methods.append("a password")

            def kbdint_auth_requested(self) -> None:
                login.methods.append("keyboard-interactive")

            def auth_banner_received(self, msg: str, lang: str) -> None:
                progress.banner = progress.banner or shorten(msg.encode())

        async def log_in() -> asyncssh.SSHClientConnection:
            arguments = _arguments(config, checker)
            sock = None if tunnel else await self._open_socket(progress)
            try:
                return await asyncssh.connect(
                    config.host,
                    config.port,
                    username=progress.user,
                    client_factory=Client,
                    tunnel=tunnel or (),
                    sock=sock,
                    known_hosts=lambda host, addr, port: checker.match(
                        host, addr, None if config.host_key_alias else port
                    ),
                    **arguments,
                )
            except BaseException:
                if sock is not None and not progress.made.is_set():  # later it belongs to the connection
                    sock.close()
                raise

        with progress.explaining():
            return await _in_time(log_in(), progress, end)

    async def _open_socket(self, progress: Progress) -> socket.socket:
        """Return a socket that is connected to the host, or to the ProxyCommand that leads there."""
        from incamera.transport.proxy import ProxyCommand  # lazy: a command with a held connection opens none
        from incamera.transport.tcp import open_socket

        config = progress.config
        if config.proxy_command:
            progress.proxy = ProxyCommand(config.proxy_command, self.place.environment, self.proxies)
            return progress.proxy.socket
        return await open_socket(
            config.host,
            config.port,
            family=_FAMILIES.get(config.values.get("addressfamily", "any"), socket.AF_UNSPEC),
            local_address=config.values.get("bindaddress"),
            seconds=self.timeout,
        )

    def _jumps_of(self, config: SshConfig) -> tuple[str, ...]:
        return config.proxy_jump if self.jumps is None else self.jumps

    async def _open_tunnel(self, config: SshConfig) -> asyncssh.SSHClientConnection | None:
        """Connect to the last of the jump hosts, which is reached through those before it."""
        jumps = self._jumps_of(config)
        if not jumps:
            return None
        if self.depth == _JUMPS:
            raise ConfigError(f"~/.ssh/config has {self.device} reached through itself (ProxyJump)")
        *before, last = jumps
        try:
            device = Device(name=f"the jump host {last}", address=parse_address(last))
        except UsageError as error:
            raise ConfigError(f"ProxyJump of ~/.ssh/config ({','.join(jumps)}): {error}", hint=error.hint) from error
        hop = _Attempt(
            device, self.known_hosts, self.place, self.timeout, self.proxies, tuple(before) or None, self.depth + 1
        )
        return await hop.connect()


async def _in_time(
    connecting: Coroutine[Any, Any, asyncssh.SSHClientConnection], progress: Progress, end: float
) -> asyncssh.SSHClientConnection:
    """Return the connection. Raises TimeoutError when TCP, or all of it, takes too long."""
    task = asyncio.create_task(connecting)
    made = asyncio.create_task(progress.made.wait())
    try:
        async with asyncio.timeout_at(end):
            # A socket has the same limit of its own, which tells more. This one is for the channel of a jump host.
            limit = progress.seconds + _MARGIN_SECONDS
            await asyncio.wait({task, made}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not progress.made.is_set():
                raise TimeoutError
            return await asyncio.shield(task)
    except TimeoutError:
        progress.is_late = True
        raise
    finally:
        made.cancel()
        if not task.done():
            task.cancel()
        await asyncio.gather(task, made, return_exceptions=True)
        if progress.connection is not None and (task.cancelled() or task.exception()):
            progress.connection.abort()


def _require_names(user: str, host: str, *, configured: str | None) -> None:
    """Raise ConfigError unless the names of the *user* and the *host* are such that SSH can send them.

    *configured* is the user that ~/.ssh/config names; None where the device's address does.
    """
    from asyncssh.saslprep import saslprep  # lazy: slow to import

    try:
        saslprep(user).encode()
    except ValueError:
        source = "of ~/.ssh/config" if configured else "of the device"
        raise ConfigError(
            f'the user "{_shown(user)}" {source} cannot be sent: SSH needs UTF-8 without control characters',
            hint="correct the line `User` there" if configured else "name the device with another user (USER@HOST)",
        ) from None
    try:
        host.encode("idna")
    except ValueError:
        raise ConfigError(
            f'"{_shown(host)}" cannot be the name of a host',
            hint="name a device of `incamera device list`, a host of ~/.ssh/config, or an address",
        ) from None


def _shown(text: str) -> str:
    """Return *text*, which may come from a file that is not UTF-8, with what is not UTF-8 escaped."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _arguments(config: SshConfig, checker: HostKeyChecker) -> dict[str, Any]:
    """Return the arguments of asyncssh that do not depend on how far the connection has come."""
    from incamera.transport.algorithms import select_algorithms  # lazy: asyncssh is slow to import

    values = config.values
    arguments: dict[str, Any] = {
        "config": None,  # read already
        "client_keys": None,  # handed out one by one
        "preferred_auth": "publickey,keyboard-interactive,password",
        # Time is kept here, for each step.
        "connect_timeout": None,
        "login_timeout": 2 * WHOLE_SECONDS,
        "keepalive_interval": KEEPALIVE_SECONDS,
        "keepalive_count_max": KEEPALIVE_COUNT,
        # A camera does not know it, and asking costs a round trip each.
        "gss_kex": False,
        "gss_auth": False,
        "host_key_alias": config.host_key_alias,
        **select_algorithms(values),
    }
    trusted, authorities, *_ = checker.match(config.host_key_alias or config.host, "", config.port)
    if "server_host_key_algs" not in arguments and not trusted and not authorities:
        # Some small servers offer RSA without having such a key, and give up when it is chosen.
        arguments["server_host_key_algs"] = _HOST_KEY_ALGORITHMS
    if config.flag("compression", default=False):
        arguments["compression_algs"] = "zlib@openssh.com,zlib,none"
    return arguments
