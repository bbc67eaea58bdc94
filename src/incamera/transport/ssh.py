"""Devices over SSH: how a connection is made, and the error when it cannot be."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import ConfigError, DeviceError, DeviceRefused, DeviceUnreachable
from incamera.transport.host_keys import HostKeyChecker
from incamera.transport.session import Session

if TYPE_CHECKING:
    import asyncssh

    from incamera.transport.device import Device
    from incamera.transport.protocols import Transport

# AXIS OS up to 11 lets root in; where another user is meant, the device or ~/.ssh/config says so.
DEFAULT_USER = "root"
CONNECT_SECONDS = 10.0
# What comes after the TCP connection: a slow processor needs seconds for the key exchange.
_LOGIN_SECONDS = 10.0
# A dead peer is noticed after three of these without an answer.
_KEEPALIVE_SECONDS = 5.0
_KEEPALIVE_COUNT = 3
# In the order in which a device that is met for the first time is asked for them.
_HOST_KEY_ALGORITHMS = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"),
)


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
    home = Path((os.environ if environment is None else environment).get("HOME") or Path.home())
    with Session(lambda: _open(device, known_hosts, home, timeout)) as session:
        yield session


async def _open(device: Device, known_hosts: Path, home: Path, timeout: float) -> Transport:
    import asyncssh  # lazy: slow to import

    from incamera.transport.ssh_transport import SshTransport

    asyncssh.set_log_level("CRITICAL")  # its messages are not for users
    options = _load_options(device, home)
    user = str(device.address.user or options.config.get("User", DEFAULT_USER))
    named: Any = options.config.get("UserKnownHostsFile", ())
    files = [Path(str(name)).expanduser() for name in named] or [home / ".ssh" / "known_hosts"]
    checker = HostKeyChecker(device, [*files, Path("/etc/ssh/ssh_known_hosts"), known_hosts])

    class Client(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            checker.refuse(key)
            return False

    with _explaining(device, checker, user, timeout):
        connection = await asyncio.wait_for(
            asyncssh.connect(
                device.address.host,
                options=options,
                username=user,
                known_hosts=checker.match,
                client_factory=Client,
                connect_timeout=timeout,
                login_timeout=timeout + _LOGIN_SECONDS,
                keepalive_interval=_KEEPALIVE_SECONDS,
                keepalive_count_max=_KEEPALIVE_COUNT,
                # A camera knows neither, and asking costs a round trip each.
                gss_kex=False,
                gss_auth=False,
                password_auth=False,
                kbdint_auth=False,
                **_device_options(device, checker, options),
            ),
            timeout + _LOGIN_SECONDS + 5,
        )
    return SshTransport(device, connection)


def _load_options(device: Device, home: Path) -> asyncssh.SSHClientConnectionOptions:
    """Return what the user's ~/.ssh/config says of *device*. Raises ConfigError."""
    import asyncssh  # lazy: slow to import

    config = home / ".ssh" / "config"
    try:
        return asyncssh.SSHClientConnectionOptions(
            host=device.address.host,
            port=device.address.port or (),
            config=[str(config)] if os.access(config, os.R_OK) else None,
        )
    except (asyncssh.Error, ValueError) as error:
        raise ConfigError(f"cannot use {config}: {error}") from error


def _device_options(
    device: Device, checker: HostKeyChecker, options: asyncssh.SSHClientConnectionOptions
) -> dict[str, Any]:
    """Return the arguments of asyncssh that only some devices need."""
    address = device.address
    arguments: dict[str, Any] = {}
    configured: Any = options.config.get("Port", None)
    name = str(options.host_key_alias or options.config.get("Hostname", address.host))
    if not any(checker.match(name, "", address.port or configured)[0]):
        # Some small servers offer RSA without having such a key, and give up when it is chosen.
        arguments["server_host_key_algs"] = _HOST_KEY_ALGORITHMS
    if address.port is not None:
        arguments["port"] = address.port
    if address.keys:
        arguments["client_keys"] = [str(key) for key in address.keys]
        arguments["agent_path"] = None
    return arguments


@contextmanager
def _explaining(device: Device, checker: HostKeyChecker, user: str, timeout: float) -> Iterator[None]:
    """Turn whatever goes wrong while connecting into one clear error."""
    import asyncssh  # lazy: slow to import

    host = device.address.host
    where = device.name if device.name == host else f"{device.name} ({host})"
    off = "is it on, on this network, and is SSH enabled on it?"
    try:
        yield
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        if checker.refusal is not None:
            raise checker.refusal from error
        hint = None
        if isinstance(error, asyncssh.KeyExchangeFailed) and checker.knows_device:
            hint = "after a factory reset, it may have another kind of host key: remove the old key from known_hosts"
        raise DeviceRefused(f"cannot agree with {where} on a secure connection: {error.reason}", hint=hint) from error
    except asyncssh.PermissionDenied as error:
        raise DeviceRefused(
            f"{where} does not let {user} in with any of your keys",
            hint=f"put your public key on it: ssh-copy-id {_ssh_words(device, user)} (it asks for the password once)",
        ) from error
    except TimeoutError as error:
        raise DeviceUnreachable(f"{where} does not answer within {timeout:.0f} s", hint=off) from error
    except socket.gaierror as error:
        raise DeviceUnreachable(
            f"there is no host called {host}",
            hint="name a device of `incamera device list`, a host of ~/.ssh/config, or an address",
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


def _ssh_words(device: Device, user: str) -> str:
    """Return how `ssh` and its kin are told the address."""
    address = device.address
    return f"-p {address.port} {user}@{address.host}" if address.port else f"{user}@{address.host}"
