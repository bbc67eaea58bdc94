"""What a camera keeps over a restart: accounts, switches, own parameters that were changed, and installed apps."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from incamera.axis_os.accounts import Account
from incamera.axis_os.applications import Installed
from incamera.axis_os.ssh import SshUser

FIRST_UID = 2000


@dataclass
class Kept:
    """The values that are kept. *next_uid*: no later app gets the user of an earlier one.

    *version*: the AXIS OS that has run last, and *first_version* the one that ran first.
    *was_set_back*: by a factory default, after which a camera has no account until somebody makes the first.
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    switches: dict[str, bool] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    apps: dict[str, Installed] = field(default_factory=dict)
    next_uid: int = FIRST_UID
    ssh_users: dict[str, SshUser] = field(default_factory=dict)
    was_set_back: bool = False
    version: str = ""
    first_version: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "accounts": {name: account.to_json() for name, account in self.accounts.items()},
            "switches": self.switches,
            "parameters": self.parameters,
            "apps": {name: app.to_json() for name, app in self.apps.items()},
            "next_uid": self.next_uid,
            "ssh_users": {name: user.to_json() for name, user in self.ssh_users.items()},
            "was_set_back": self.was_set_back,
            "version": self.version,
            "first_version": self.first_version,
        }

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> Kept:
        return cls(
            accounts={name: Account.from_json(one) for name, one in table["accounts"].items()},
            switches=dict(table["switches"]),
            parameters=dict(table["parameters"]),
            apps={name: Installed.from_json(one) for name, one in table["apps"].items()},
            next_uid=int(table["next_uid"]),
            ssh_users={name: SshUser(**one) for name, one in table.get("ssh_users", {}).items()},
            was_set_back=table.get("was_set_back") is True,
            version=str(table.get("version", "")),
            first_version=str(table.get("first_version", "")),
        )


def load_kept(path: Path) -> Kept:
    """Return what is kept in the file *path*; nothing when there is none, or when it is damaged."""
    try:
        return Kept.from_json(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Kept()


def save_kept(path: Path, kept: Kept) -> None:
    """Write *kept* to the file *path*. Raises OSError."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(kept.to_json(), stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    # Without this, a power cut may bring the file back as it was.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
