"""A share as a value: a folder of this computer, and what a camera must know to mount it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from incamera.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# Sections of Samba's settings that are no shares.
_RESERVED = frozenset({"global", "homes", "printers", "printer$", "ipc$"})
# A name server, a workgroup or a domain is none of ours.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")


class Protocol(StrEnum):
    smb = "smb"
    nfs = "nfs"

    @property
    def port(self) -> int:
        """The port that everybody expects; a share served from here has another, unless root serves it."""
        return 445 if self is Protocol.smb else 2049


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """`folder` is what this computer sees of it, `path` what the server at `address`, `port` calls it.

    `served`: that server is ours, `incamera share serve`, and not one of the user's own. An SMB share without a user
    is open to guests.
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
    def here(self) -> tuple[str, int]:
        """Where this computer itself reaches the server."""
        return ("127.0.0.1" if self.everywhere else self.address), self.port

    @property
    def everywhere(self) -> bool:
        """Whether it is served on all addresses of this computer."""
        return self.address in ("0.0.0.0", "::")

    @property
    def loopback(self) -> bool:
        return self.address in ("127.0.0.1", "::1", "localhost")


def require_name(name: str) -> str:
    """Raises UsageError."""
    if not NAME.fullmatch(name) or name.lower() in _RESERVED:
        raise UsageError(f'"{name}" cannot be a share\'s name', hint="use letters, digits, dots and hyphens")
    return name


def require_user(user: str) -> str:
    """Raises UsageError."""
    if not _USER.fullmatch(user):
        raise UsageError(f'"{user}" cannot be a share\'s user', hint="use letters, digits, dots and hyphens")
    return user


def require_port(port: int | None) -> int | None:
    """Raises UsageError."""
    if port is not None and not 0 < port < 65536:
        raise UsageError(f"{port} is no port", hint="ports are numbers from 1 to 65535")
    return port
