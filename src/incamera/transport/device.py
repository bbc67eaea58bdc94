"""A device as a value: what is needed to reach it, and nothing about how."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from incamera.errors import UsageError

_ADDRESS = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[0-9A-Za-z:.%]+\]|[^@:\s\[\]]+)(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One reachable camera, real or virtual.

    `host` may be a `Host` of ~/.ssh/config; what is None or empty here is taken from there, as `ssh` does.
    `host_key` pins the key (`ssh-ed25519 AAAA…`), as for a virtual camera that we gave it to ourselves.
    """

    name: str
    host: str
    port: int | None = None
    user: str | None = None
    keys: tuple[Path, ...] = ()
    host_key: str | None = None

    def __str__(self) -> str:
        return self.name


def parse_address(text: str, *, name: str | None = None) -> Device:
    """Parse `[user@]host[:port]` (an IPv6 address in brackets). Raises UsageError."""
    match = _ADDRESS.fullmatch(text)
    # A leading dash would be an option to someone, one day.
    if match is None or text.startswith("-"):
        raise UsageError(f'"{text}" is not an address', hint="write HOST, USER@HOST or USER@HOST:PORT")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise UsageError(f'"{text}": a port is a number from 1 to 65535')
    return Device(name=name or text, host=match["host"].strip("[]"), port=port, user=match["user"])
