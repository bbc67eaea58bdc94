"""A device as a value: its name, and the address at which one route reaches it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from incamera.errors import UsageError

# A user's name may have an @: some gateways are told with it which host is meant.
_ADDRESS = re.compile(r"(?:(?P<user>[^:/\s]+)@)?(?P<host>\[[0-9A-Za-z:.%]+\]|[^@:/\s\[\]]+)(?::(?P<port>\d{1,5}))?")
_DEFAULT_PORT = 22


@dataclass(frozen=True, kw_only=True, slots=True)
class SshAddress:
    """Where a device answers SSH.

    `host` may be a `Host` of ~/.ssh/config; what is None or empty here is taken from there, as `ssh` does.
    `host_key` is the only key that is accepted (`ssh-ed25519 AAAA…`), for a virtual camera, which got it from us.
    """

    route: ClassVar[str] = "ssh"

    host: str
    port: int | None = None
    user: str | None = None
    keys: tuple[Path, ...] = ()
    host_key: str | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{user}{host}{f':{self.port}' if self.port else ''}"

    @property
    def for_ssh(self) -> str:
        """The words that name it to `ssh` and `ssh-copy-id`: `-p 2222 root@cam`."""
        return f"{f'-p {self.port} ' if self.port else ''}{f'{self.user}@' if self.user else ''}{self.host}"

    @property
    def identity(self) -> str:
        """What tells this device from another of the same name: virtual cameras differ in their ports alone."""
        return str(self.port or _DEFAULT_PORT)

    def to_table(self) -> dict[str, Any]:
        """Return the address as a TOML table, without what is left open."""
        keys = [str(key) for key in self.keys]
        table = {"host": self.host, "port": self.port, "user": self.user, "keys": keys, "host_key": self.host_key}
        return {name: value for name, value in table.items() if value not in (None, [])}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> SshAddress:
        """Return the address that `to_table` made *table* of. Raises ValueError, which names the key."""
        types = {"host": str, "port": int, "user": str, "keys": list, "host_key": str}
        for name, value in table.items():
            if name not in types:
                raise ValueError(f"{name} is unknown")
            if not isinstance(value, types[name]):
                raise ValueError(f"{name} is not of the type {types[name].__name__}")
        if "host" not in table:
            raise ValueError("host is missing")
        return cls(**{**table, "keys": tuple(Path(key) for key in table.get("keys", ()))})


# One class for each route; the others will follow.
Address = SshAddress


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One reachable camera, real or virtual."""

    name: str
    address: Address

    def __str__(self) -> str:
        return self.name

    @property
    def identity(self) -> str:
        """A file name for what is kept of this device and of no other."""
        return f"{self.name}-{self.address.identity}"


def parse_address(text: str) -> Address:
    """Parse `[user@]host[:port]` (an IPv6 address in brackets). Raises UsageError."""
    match = _ADDRESS.fullmatch(text)
    # A leading dash would be an option to another program, one day.
    if match is None or text.startswith("-"):
        raise UsageError(
            f'"{text}" is not an address',
            hint="write HOST, USER@HOST or USER@HOST:PORT for SSH, https://HOST for its web server",
        )
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise UsageError(f'"{text}": a port is a number from 1 to 65535')
    return SshAddress(host=match["host"].strip("[]"), port=port, user=match["user"])
