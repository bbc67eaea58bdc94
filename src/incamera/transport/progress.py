"""How far a connection to a device came, and the error that says in words what stopped it there."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncssh

from incamera.errors import DeviceError, DeviceRefused, DeviceUnreachable, InCameraError
from incamera.transport.login import explain_refusal, too_many_keys
from incamera.transport.tcp import NameServerSilent

if TYPE_CHECKING:
    from incamera.transport.host_keys import HostKeyChecker
    from incamera.transport.login import Login
    from incamera.transport.proxy import ProxyCommand
    from incamera.transport.ssh_config import SshConfig

_KEPT_BYTES = 1000
_SHOWN_CHARACTERS = 200
_OFF = "is it on, on this network, and is SSH enabled on it?"


@dataclass(slots=True)
class Progress:
    """One connection under way to the host of *config*, which messages call *where*.

    *seconds* is the limit for the name and for TCP, *whole_seconds* that for all of it. *copy_id* is the command that
    puts a key on the device, *jump* the jump host through which it is reached.
    """

    where: str
    user: str
    config: SshConfig
    checker: HostKeyChecker
    login: Login
    seconds: float
    whole_seconds: float
    copy_id: str
    jump: str | None = None
    proxy: ProxyCommand | None = None
    made: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the TCP connection, or what stands for it, is made."""
    connection: asyncssh.SSHClientConnection | None = None
    said: bytearray = field(default_factory=bytearray)
    """What came before the server's version: the beginning of it."""
    banner: str = ""
    """What the server shows to those who log in."""
    is_late: bool = False
    """Whether the time is up."""

    def begin(self, connection: asyncssh.SSHClientConnection) -> None:
        """Note that TCP is connected. Called before anything is received over *connection*."""
        self.connection = connection
        receive = connection.data_received

        def note(data: bytes, datatype: Any = None) -> None:
            if self.version is None:
                self.said += data[: _KEPT_BYTES - len(self.said)]
            else:
                del connection.data_received  # the class has it
            receive(data, datatype)

        connection.data_received = note  # type: ignore[method-assign]
        self.made.set()

    @property
    def version(self) -> str | None:
        """What the server calls itself; None before it has told that it is one."""
        return self.connection.get_extra_info("server_version") if self.connection else None

    @property
    def step(self) -> str:
        """How far the connection has come."""
        if self.connection is None or self.version is None:
            return "before it told that it is an SSH server"
        return "at the key exchange" if self.connection.get_server_host_key() is None else "at the login"

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turn whatever goes wrong while connecting into one clear error."""
        try:
            yield
        except InCameraError:
            raise
        except (asyncssh.Error, NameServerSilent, OSError, ValueError) as error:
            # A refused host key shows in several ways.
            raise (self.checker.refusal or self._explain(error)) from error

    def _explain(self, error: Exception) -> DeviceError:
        if isinstance(error, asyncssh.HostKeyNotVerifiable | asyncssh.KeyExchangeFailed):
            return self._no_agreement(error)
        if isinstance(error, asyncssh.PermissionDenied):
            return explain_refusal(self.login, self.where, self.user, self.copy_id, self.banner)
        if isinstance(error, NameServerSilent):
            return DeviceUnreachable(
                f"no name server has told the address of {self.config.host} within {self.seconds:.0f} s",
                hint="is this computer on a network? An address, such as 192.0.2.10, needs no name server",
            )
        if isinstance(error, TimeoutError) and error.errno is None:
            return self._too_slow()
        if isinstance(error, socket.gaierror):
            return _unknown_name(error, self.config)
        if isinstance(error, asyncssh.ChannelOpenError):
            return self._not_led_on(error)
        if isinstance(error, OSError) and not self.made.is_set():
            return self._unreachable(error)
        if isinstance(error, OSError | asyncssh.DisconnectError):
            return self._ended(error)
        return DeviceError(f"cannot connect to {self.where}: {error}")

    def _no_agreement(self, error: asyncssh.DisconnectError) -> DeviceRefused:
        hint = self._algorithms_hint()
        if hint is None and isinstance(error, asyncssh.KeyExchangeFailed) and self.checker.knows_device:
            hint = "after a factory reset, it may have another kind of host key: remove the old key from known_hosts"
        return DeviceRefused(f"cannot agree with {self.where} on a secure connection: {error.reason}", hint=hint)

    def _not_led_on(self, error: asyncssh.ChannelOpenError) -> DeviceUnreachable:
        """Return the error for a jump host that does not lead to the device."""
        jump = f"the jump host {self.jump}" if self.jump else "the jump host"
        if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
            return DeviceUnreachable(
                f"{jump} does not lead on to {self.where}: {error.reason}",
                hint="its SSH server's settings forbid that (AllowTcpForwarding, PermitOpen), or `restrict` in "
                "authorized_keys there",
            )
        if "closed" in error.reason.lower():
            return DeviceUnreachable(
                f"{jump} ended the connection when it was to lead on to {self.where}",
                hint="its SSH server's settings may forbid that (ForceCommand, AllowTcpForwarding)",
            )
        return DeviceUnreachable(
            f"{jump} cannot reach {self.where}: {error.reason}",
            hint="is it on, and does the jump host allow TCP forwarding?",
        )

    def _unreachable(self, error: OSError) -> DeviceUnreachable:
        values, hint = self.config.values, _OFF
        reason = os.strerror(error.errno) if error.errno else str(error)
        if isinstance(error, ConnectionRefusedError):
            reason = f"nothing answers at its SSH port ({self.config.port})"
        if error.errno == errno.EADDRNOTAVAIL and "bindaddress" in values:
            hint = f"look at BindAddress of ~/.ssh/config: has this computer {values['bindaddress']}?"
        return DeviceUnreachable(f"cannot reach {self.where}: {reason}", hint=hint)

    def _ended(self, error: OSError | asyncssh.DisconnectError) -> DeviceError:
        """Return the error for a server that has ended the connection."""
        login, reason = self.login, getattr(error, "reason", "")
        if login.tried and (login.has_more or "oo many" in reason):
            return too_many_keys(login, self.where)
        if login.accepted:
            return explain_refusal(login, self.where, self.user, self.copy_id, self.banner)
        # What asyncssh and the kernel say of a connection that just ends tells nothing more.
        told = f": {reason}" if isinstance(error, asyncssh.DisconnectError) and reason != "Connection lost" else ""
        if self.version is not None:
            hint = self._algorithms_hint() if self.step == "at the key exchange" else None
            return DeviceUnreachable(
                f"{self.where} ended the connection {self.step}{told}",
                hint=hint
                or self._proxy_hint()
                or "try again: a server that has too many connections (MaxStartups), or that restarts, does that",
            )
        if self.proxy is not None:
            return DeviceUnreachable(
                f"the ProxyCommand for {self.where} ended before it passed on an SSH banner{self._heard()}",
                hint=self._proxy_hint(),
            )
        return DeviceUnreachable(
            f"{self.where} ended the connection {self.step}{told}{self._heard()}",
            hint=self._wrong_port()
            or "a server that has too many connections, or that has blocked this computer "
            "after failed logins, does that",
        )

    def _too_slow(self) -> DeviceUnreachable:
        """Return the error that names the step that took too long."""
        where, port, whole = self.where, f"port {self.config.port}", f"within {self.whole_seconds:.0f} s"
        if not self.made.is_set():
            through = f", through the jump host {self.jump}" if self.jump else ""
            return DeviceUnreachable(
                f"{where} does not answer within {self.seconds:.0f} s (TCP {port}{through})", hint=_OFF
            )
        version = self.version
        if version is None and self.proxy is not None:
            return DeviceUnreachable(
                f"the ProxyCommand for {where} passes no SSH banner on {whole}{self._heard()}", hint=self._proxy_hint()
            )
        if version is None:
            return DeviceUnreachable(
                f"{where} accepts connections at {port}, but sends no SSH banner {whole}{self._heard()}",
                hint=self._wrong_port() or "is that its SSH port? A server that is overloaded does that, too",
            )
        if self.step == "at the key exchange":
            return DeviceUnreachable(
                f"{where} ({version}) does not finish the key exchange {whole}",
                hint="a busy camera does that: try again. So does a network that loses large packets, as a VPN may",
            )
        if self.login.signing is not None:
            return DeviceUnreachable(
                f"your SSH agent does not sign with the key {self.login.signing} for {where} {whole}",
                hint="does it wait until you confirm that, or touch a security key?",
            )
        return DeviceUnreachable(
            f"{where} ({version}) does not decide {whole} whether to let you in",
            hint="a busy camera does that: try again. Or its server waits for a name server (UseDNS no) or a directory",
        )

    def _heard(self) -> str:
        """Return what was said instead of an SSH banner, as the end of a sentence."""
        told = [("it sent", bytes(self.said))]
        if self.proxy is not None:
            told.append(("it printed", self.proxy.errors()))
        words = [f'{verb} "{text}"' for verb, data in told if (text := shorten(data))]
        return f"; {', '.join(words)}" if words else ""

    def _wrong_port(self) -> str | None:
        """Return the hint for a server that speaks something other than SSH."""
        if self.said.startswith((b"HTTP/", b"<")):
            return f"port {self.config.port} is that of a web server: name the SSH port, usually 22"
        if self.said.startswith((b"\x15\x03", b"220", b"+OK", b"* OK", b"\xff")):
            return f"port {self.config.port} is that of another service: name the SSH port, usually 22"
        return None

    def _algorithms_hint(self) -> str | None:
        options = ("HostKeyAlgorithms", "KexAlgorithms", "Ciphers", "MACs")
        if named := [name for name in options if name.lower() in self.config.values]:
            return f"the device may have none of what ~/.ssh/config names: look at {' and '.join(named)} there"
        return None

    def _proxy_hint(self) -> str | None:
        return f"look at the ProxyCommand of ~/.ssh/config: {self.config.proxy_command}" if self.proxy else None


def shorten(data: bytes) -> str:
    """Return *data* as text of one line that a message can show."""
    text = " ".join(data.decode("utf-8", "replace").split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


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
