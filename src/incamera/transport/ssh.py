"""Devices over SSH: how a connection is made, and the error when it cannot be."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera import proc
from incamera.errors import ConfigError, DeviceError, DeviceRefused, DeviceUnreachable, UsageError
from incamera.home import find_home
from incamera.transport.device import Device, parse_address
from incamera.transport.host_keys import HostKeyChecker
from incamera.transport.session import Session
from incamera.transport.ssh_config import Place, read_config

if TYPE_CHECKING:
    import asyncssh

    from incamera.transport.login import Login
    from incamera.transport.protocols import Transport
    from incamera.transport.ssh_config import SshConfig
    from incamera.transport.ssh_transport import SshTransport

# AXIS OS up to 11 lets root in; where another user is meant, the device or ~/.ssh/config says so.
DEFAULT_USER = "root"
CONNECT_SECONDS = 10.0
# For all of it: a slow processor needs seconds for the key exchange, and some servers for the login.
WHOLE_SECONDS = 30.0
# A dead peer is noticed within 20 seconds: after four of these without an answer. An outage of 10 seconds is survived,
# for TCP may need as long again until it repeats what was lost.
_KEEPALIVE_SECONDS = 4.5
_KEEPALIVE_COUNT = 3
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
    made: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the TCP connection, or what stands for it, is made."""
    connection: asyncssh.SSHClientConnection | None = None

    async def connect(self) -> asyncssh.SSHClientConnection:
        from incamera.transport.login import Login, load_keys  # lazy: asyncssh is slow to import
        from incamera.transport.quick_login import KnownLogins, digest_of, is_quick

        address = self.device.address
        config = await asyncio.to_thread(read_config, self.place, address.host, user=address.user, port=address.port)
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
        checker = HostKeyChecker(self.device, [*config.known_hosts, self.known_hosts], is_jump=self.depth > 0)
        agent = self.place.environment.get("SSH_AUTH_SOCK")
        keys = await load_keys(config, address.keys, agent)
        logins = KnownLogins(self.known_hosts.with_name("logins.json"))
        server = f"{user}@{config.host}:{config.port}"
        known = keys.put_first(logins.find(server))
        tunnel = None
        try:
            tunnel = await self._open_tunnel(config)
            login = Login(keys)
            try:
                connection = await self._log_in(config, user, checker, login, tunnel, quickly=known)
            except (DeviceRefused, DeviceUnreachable):
                if known is None or checker.refusal is not None or not self._has_answered:
                    raise
                # The key may have been removed there. The login that asks first tells why it is refused.
                logins.keep(server, None)
                login = Login(keys)
                connection = await self._log_in(config, user, checker, login, tunnel)
            if login.last is not None and is_quick(connection):
                logins.keep(server, digest_of(login.last))
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

    async def _log_in(
        self,
        config: SshConfig,
        user: str,
        checker: HostKeyChecker,
        login: Login,
        tunnel: asyncssh.SSHClientConnection | None,
        *,
        quickly: asyncssh.SSHKeyPair | None = None,
    ) -> asyncssh.SSHClientConnection:
        """Connect and log in once. With *quickly*, the key that the server took last, few answers are waited for."""
        import asyncssh  # lazy: slow to import

        from incamera.transport.quick_login import hasten

        attempt = self
        self.made, self.connection = asyncio.Event(), None

        class Client(asyncssh.SSHClient):
            def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
                attempt.connection = conn
                if quickly is not None:
                    hasten(conn, quickly)
                attempt.made.set()

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

        with self._explaining(checker, login, user, config):
            return await self._in_time(
                asyncssh.connect(
                    config.host,
                    config.port,
                    username=user,
                    client_factory=Client,
                    tunnel=tunnel or (),
                    sock=self._start_proxy(config),
                    known_hosts=lambda host, addr, port: checker.match(
                        host, addr, None if config.host_key_alias else port
                    ),
                    **_arguments(config, checker),
                )
            )

    @property
    def _has_answered(self) -> bool:
        """Whether the server has told that it is one."""
        return self.connection is not None and self.connection.get_extra_info("server_version") is not None

    async def _open_tunnel(self, config: SshConfig) -> asyncssh.SSHClientConnection | None:
        """Connect to the last of the jump hosts, which is reached through those before it."""
        jumps = config.proxy_jump if self.jumps is None else self.jumps
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

    def _start_proxy(self, config: SshConfig) -> socket.socket | None:
        """Start what leads to the host instead of a TCP connection, and return our end of its input and output."""
        if not config.proxy_command:
            return None
        shell = self.place.environment.get("SHELL") or "/bin/sh"
        ours, theirs = socket.socketpair()
        with theirs:
            self.proxies.enter_context(
                proc.running(
                    [shell, "-c", f"exec {config.proxy_command}"],
                    purpose="run the ProxyCommand of ~/.ssh/config",
                    env=self.place.environment,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                )
            )
        return ours

    async def _in_time(self, connecting: Awaitable[asyncssh.SSHClientConnection]) -> asyncssh.SSHClientConnection:
        """Return the connection. Raises TimeoutError when TCP, or all of it, takes too long."""
        task = asyncio.ensure_future(connecting)
        made = asyncio.ensure_future(self.made.wait())
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                await asyncio.wait({task, made}, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
                if not task.done() and not self.made.is_set():
                    raise TimeoutError
                return await asyncio.shield(task)
        finally:
            made.cancel()
            if not task.done():
                task.cancel()
            await asyncio.gather(task, made, return_exceptions=True)
            if self.connection is not None and (task.cancelled() or task.exception()):
                self.connection.abort()

    @contextmanager
    def _explaining(self, checker: HostKeyChecker, login: Login, user: str, config: SshConfig) -> Iterator[None]:
        """Turn whatever goes wrong while connecting into one clear error."""
        import asyncssh  # lazy: slow to import

        from incamera.transport.login import explain_refusal, too_many_keys

        host = config.host
        where = self.device.name if self.device.name == host else f"{self.device.name} ({host})"
        off = "is it on, on this network, and is SSH enabled on it?"
        try:
            yield
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
            if checker.refusal is not None:
                raise checker.refusal from error
            hint = None
            if named := [
                name
                for name in ("HostKeyAlgorithms", "KexAlgorithms", "Ciphers", "MACs")
                if name.lower() in config.values
            ]:
                hint = f"the device may have none of what ~/.ssh/config names: look at {' and '.join(named)} there"
            elif isinstance(error, asyncssh.KeyExchangeFailed) and checker.knows_device:
                hint = (
                    "after a factory reset, it may have another kind of host key: remove the old key from known_hosts"
                )
            raise DeviceRefused(
                f"cannot agree with {where} on a secure connection: {error.reason}", hint=hint
            ) from error
        except asyncssh.PermissionDenied as error:
            raise explain_refusal(login, where, user, self._copy_id(user)) from error
        except TimeoutError as error:
            raise self._too_slow(where, config) from error
        except socket.gaierror as error:
            raise _unknown_name(error, config) from error
        except asyncssh.ChannelOpenError as error:  # of the jump host
            raise DeviceUnreachable(
                f"the jump host cannot reach {where}: {error.reason}",
                hint="is it on, and does the jump host allow TCP forwarding?",
            ) from error
        except OSError as error:
            reason = error.strerror or str(error)
            if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
                reason = f"nothing answers at its SSH port ({config.port})"
            hint = self._proxy_hint(config) or off
            if error.errno == errno.EADDRNOTAVAIL and "bindaddress" in config.values:
                hint = f"look at BindAddress of ~/.ssh/config: has this computer {config.values['bindaddress']}?"
            raise DeviceUnreachable(f"cannot reach {where}: {reason}", hint=hint) from error
        except asyncssh.DisconnectError as error:
            if checker.refusal is not None:
                raise checker.refusal from error
            if login.tried and (login.has_more or "oo many" in error.reason):
                raise too_many_keys(login, where) from error
            if login.accepted:
                raise explain_refusal(login, where, user, self._copy_id(user)) from error
            raise DeviceUnreachable(
                f"{where} ended the connection {self._step()}: {error.reason}", hint=self._proxy_hint(config) or off
            ) from error
        except (asyncssh.Error, ValueError) as error:
            if checker.refusal is not None:
                raise checker.refusal from error
            raise DeviceError(f"cannot connect to {where}: {error}") from error

    def _step(self) -> str:
        """Return how far the connection has come."""
        connection = self.connection
        if connection is None or connection.get_extra_info("server_version") is None:
            return "before it told that it is an SSH server"
        return "at the key exchange" if connection.get_server_host_key() is None else "at the login"

    def _too_slow(self, where: str, config: SshConfig) -> DeviceUnreachable:
        """Return the error that names the step that took too long."""
        if not self.made.is_set():
            return DeviceUnreachable(
                f"{where} does not answer within {self.timeout:.0f} s (TCP port {config.port})",
                hint="is it on, on this network, and is SSH enabled on it?",
            )
        port, whole = f"port {config.port}", f"within {WHOLE_SECONDS:.0f} s"
        version = self.connection.get_extra_info("server_version") if self.connection else None
        if version is None and (hint := self._proxy_hint(config)):
            return DeviceUnreachable(f"the ProxyCommand for {where} passes no SSH banner on {whole}", hint=hint)
        if version is None:
            return DeviceUnreachable(
                f"{where} accepts connections at {port}, but sends no SSH banner {whole}",
                hint="is that its SSH port? A server that is overloaded does that, too",
            )
        if self._step() == "at the key exchange":
            return DeviceUnreachable(
                f"{where} ({version}) does not finish the key exchange {whole}",
                hint="a busy camera does that: try again. So does a network that loses large packets, as a VPN may",
            )
        return DeviceUnreachable(
            f"{where} ({version}) does not decide {whole} whether to let you in",
            hint="a busy camera does that: try again. Or its server waits for a name server (UseDNS no) or a "
            "directory, or your SSH agent for you",
        )

    def _proxy_hint(self, config: SshConfig) -> str | None:
        return f"look at the ProxyCommand of ~/.ssh/config: {config.proxy_command}" if config.proxy_command else None

    def _copy_id(self, user: str) -> str:
        """Return the command that puts a key on the device."""
        return f"ssh-copy-id {replace(self.device.address, user=user).for_ssh}"


def _unknown_name(error: socket.gaierror, config: SshConfig) -> DeviceUnreachable:
    """Return the error for a host, or a BindAddress, whose name has no address."""
    host, values = config.host, config.values
    if error.errno == socket.EAI_AGAIN:
        return DeviceUnreachable(
            f"no name server tells the address of {host}: {error.strerror}",
            hint="is this computer on a network? An address, such as 192.0.2.10, needs no name server",
        )
    options = [name for name in ("AddressFamily", "BindAddress") if name.lower() in values]
    if options:
        said = ", ".join(f"{name} {values[name.lower()]}" for name in options)
        return DeviceUnreachable(
            f"{host} has no address that {said} allows: {error.strerror}",
            hint="look at these options in ~/.ssh/config; is the name right?",
        )
    return DeviceUnreachable(
        f"there is no host called {host}",
        hint="name a device of `incamera device list`, a host of ~/.ssh/config, or an address",
    )


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
        "keepalive_interval": _KEEPALIVE_SECONDS,
        "keepalive_count_max": _KEEPALIVE_COUNT,
        # A camera does not know it, and asking costs a round trip each.
        "gss_kex": False,
        "gss_auth": False,
        "host_key_alias": config.host_key_alias,
        "family": _FAMILIES.get(values.get("addressfamily", "any"), socket.AF_UNSPEC),
        **select_algorithms(values),
    }
    if "server_host_key_algs" not in arguments and not any(
        checker.match(config.host_key_alias or config.host, "", config.port)[0]
    ):
        # Some small servers offer RSA without having such a key, and give up when it is chosen.
        arguments["server_host_key_algs"] = _HOST_KEY_ALGORITHMS
    if "bindaddress" in values:
        arguments["local_addr"] = (values["bindaddress"], 0)
    if config.flag("compression", default=False):
        arguments["compression_algs"] = "zlib@openssh.com,zlib,none"
    return arguments
