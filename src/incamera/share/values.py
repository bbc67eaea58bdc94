"""A share: a folder of this computer, and what a camera needs to mount it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from incamera.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# Sections of Samba's settings with a special meaning.
_RESERVED = frozenset({"global", "homes", "printers", "printer$", "ipc$"})
# A host name, an IPv4 address or an IPv6 address: no URL, no port.
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._-]+)?")
# Names without a domain.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")


class Protocol(StrEnum):
    smb = "smb"
    nfs = "nfs"

    @property
    def port(self) -> int:
        """The protocol's standard port. Only root can serve a share on it."""
        return 445 if self is Protocol.smb else 2049


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A share of the server at `address`, `port`.

    `folder`: its folder on this computer. `path`: its name on the server.
    `user`: None for an SMB share that is open to guests, and for NFS.
    `served`: `incamera share serve` serves it, not a server of the user's own.
    """

    name: str
    folder: Path
    protocol: Protocol
    address: str
    port: int
    path: str
    user: str | None = None
    password: str = field(default="", repr=False)
    served: bool = False

    @property
    def url(self) -> str:
        port = "" if self.port == self.protocol.port else f":{self.port}"
        return f"{self.protocol}://{self.address}{port}/{self.path.lstrip('/')}"

    @property
    def local_address(self) -> tuple[str, int]:
        """The address and port at which this computer itself reaches the server."""
        return ("127.0.0.1" if self.on_all_addresses else self.address), self.port

    @property
    def on_all_addresses(self) -> bool:
        """Whether it is served on all addresses of this computer."""
        return self.address in ("0.0.0.0", "::")

    @property
    def is_loopback(self) -> bool:
        """Whether it is served on an address that only this computer reaches."""
        return self.address in ("127.0.0.1", "::1", "localhost")


def require_name(name: str) -> str:
    """Return *name*. Raises UsageError when it is not valid for a share."""
    if not NAME.fullmatch(name) or name.lower() in _RESERVED:
        raise UsageError(f'"{name}" is not a valid name for a share', hint="use letters, digits, dots and hyphens")
    return name


def require_user(user: str) -> str:
    """Return *user*. Raises UsageError when it is not valid for a share's user."""
    if not _USER.fullmatch(user):
        raise UsageError(f'"{user}" is not a valid user of a share', hint="use letters, digits, dots and hyphens")
    return user


def require_address(address: str) -> str:
    """Return *address*. Raises UsageError when it is not a host name or an IP address alone."""
    if not _ADDRESS.fullmatch(address):
        raise UsageError(
            f'"{address}" is not an address', hint="write a host name or an IP address; --port and --path name the rest"
        )
    return address


def require_port(port: int | None) -> int | None:
    """Return *port*. Raises UsageError when it is not a valid port."""
    if port is not None and not 0 < port < 65536:
        raise UsageError(f"{port} is not a port", hint="ports are numbers from 1 to 65535")
    return port
