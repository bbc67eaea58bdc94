"""The accounts of a camera (pwdgrp.cgi, usergroup.cgi), and the files by which Apache checks a login."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

_ROLES = ("admin", "operator", "viewer", "ptz")
_NAME = re.compile(r"[A-Za-z0-9]{1,14}")
_LONGEST_PASSWORD = 64
FIRST_USER = "root"


@dataclass(frozen=True, slots=True)
class Account:
    """An account, with what proves its password: *basic* for Basic, *digest* for Digest. *roles*: "admin", "viewer"…"""

    basic: str
    digest: str
    roles: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, table: Mapping[str, object]) -> Account:
        roles = table["roles"]
        assert isinstance(roles, list | tuple)
        return cls(str(table["basic"]), str(table["digest"]), tuple(map(str, roles)))


def make_account(user: str, password: str, realm: str, roles: Iterable[str] = _ROLES) -> Account:
    """Return the account of *user* with *password* for logins to *realm*."""
    return Account(
        "{SHA}" + base64.b64encode(hashlib.sha1(password.encode(), usedforsecurity=False).digest()).decode(),
        hashlib.md5(f"{user}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest(),
        tuple(roles),
    )


def change_accounts(
    accounts: Mapping[str, Account], fields: Mapping[str, str], realm: str
) -> tuple[dict[str, Account], str]:
    """Return *accounts* after what the *fields* of a request to pwdgrp.cgi ask for, and the text to show for it."""
    changed = dict(accounts)
    user, action = fields.get("user", ""), fields.get("action", "")
    match action:
        case "add":
            if user in accounts:
                return changed, "Error: this user name already exists, consult the system log file."
            if not _NAME.fullmatch(user):
                return changed, "Error: account user name."
            if not accounts and user != FIRST_USER:
                return changed, "Error: not a valid initial admin user."
            if not _is_password(fields.get("pwd", "")):
                return changed, "Error: invalid password."
            changed[user] = make_account(user, fields["pwd"], realm, _roles(fields.get("sgrp", "")))
            return changed, f"Created account {user}."
        case "update":
            if user not in accounts:
                return changed, "Error: account user name."
            if "pwd" in fields and not _is_password(fields["pwd"]):
                return changed, "Error: invalid password."
            old = accounts[user]
            roles = _roles(fields["sgrp"]) if "sgrp" in fields else old.roles
            new = make_account(user, fields["pwd"], realm, roles) if "pwd" in fields else old
            changed[user] = Account(new.basic, new.digest, roles)
            return changed, f"Modified account {user}."
        case "remove":
            if user not in accounts or user == FIRST_USER:
                return changed, "Error: account user name."
            del changed[user]
            return changed, f"Removed account {user}."
        case _:
            return changed, "Error: action must be specified"


def _is_password(password: str) -> bool:
    return 1 <= len(password) <= _LONGEST_PASSWORD and password.isascii() and password.isprintable()


def _roles(text: str) -> tuple[str, ...]:
    named = text.split(":")
    return tuple(role for role in _ROLES if role in named)


def page(text: str) -> str:
    """Return the page in which pwdgrp.cgi answers."""
    return f"<html><head><title>User accounts</title></head><body bgcolor=#ffffff>{text}\n</body>\n\n</html>\n"


def list_groups(accounts: Mapping[str, Account]) -> str:
    """Return what `pwdgrp.cgi?action=get` answers."""
    lines = [f'{role}="{",".join(_members(accounts, role))}"\n' for role in _ROLES]
    return "".join(lines) + f'digusers="{",".join(accounts)}"\n'


def describe_user(user: str, roles: Iterable[str]) -> str:
    """Return what usergroup.cgi answers to *user*."""
    return f"{user}\n{' '.join(roles)}\n"


def _members(accounts: Mapping[str, Account], role: str) -> list[str]:
    return [user for user, account in accounts.items() if role in account.roles]


def login_files(accounts: Mapping[str, Account], realm: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the files for Apache by their names: `passwords`, `digests`, `groups-http` and `groups-https`.

    *parameters* say over which transport each role may come (System.BoaGroupPolicy).
    """

    def groups(transport: str) -> str:
        allowed = [
            role
            for role in _ROLES
            if parameters.get(f"root.System.BoaGroupPolicy.{role}", "both") in ("both", transport)
        ]
        return "".join(f"{role}: {' '.join(_members(accounts, role))}\n" for role in allowed)

    return {
        "passwords": _passwords(accounts),
        "digests": "".join(f"{user}:{realm}:{account.digest}\n" for user, account in accounts.items()),
        "groups-http": groups("http"),
        "groups-https": groups("https"),
    }


def service_files(accounts: Mapping[str, Account]) -> dict[str, str]:
    """Return the files for Apache with the *accounts* of apps: `service-passwords` and `service-groups`."""
    # A line for each member of a group: Apache reads 8 KB of a line.
    members = [f"{role}: {user}\n" for user, account in accounts.items() for role in account.roles]
    return {"service-passwords": _passwords(accounts), "service-groups": "".join(members)}


def _passwords(accounts: Mapping[str, Account]) -> str:
    return "".join(f"{user}:{account.basic}\n" for user, account in accounts.items())
