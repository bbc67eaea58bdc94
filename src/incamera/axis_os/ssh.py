"""The accounts for SSH (`/config/rest/ssh`), from AXIS OS 12 on the only ones there: none of them is root."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any

from incamera.axis_os.exchange import Reply, Request

# `v1beta` is where discovery says that the first version is, and `v1` where clients have been recorded to ask.
PATHS = tuple(f"/config/rest/ssh/{version}/users" for version in ("v1", "v1beta", "v2"))
ENABLED = "root.Network.SSH.Enabled"
SSH_GID = 1010
# Below the users of apps.
FIRST_SSH_UID = 1500
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}[a-z0-9_$-]|[a-z_]")
_COMMENT = re.compile(r"[^:\n]{0,256}")
_RESERVED = ("root", "nobody", "sshd", "www-data", "messagebus")
_LONGEST_PASSWORD = 256
_MOST_USERS = 100
# The numbers of errors (device configuration framework).
_NO_RESOURCE, _NO_ITEM, _INVALID, _EXISTS, _CONTENT_TYPE = 1, 2, 5, 6, 11


@dataclass(frozen=True, slots=True)
class SshUser:
    """An account for SSH. *secret*: the hash of its password, as /etc/shadow has it."""

    uid: int
    secret: str
    comment: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class _Refused(Exception):
    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def answer_users(
    users: Mapping[str, SshUser], request: Request, hash_password: Callable[[str], str]
) -> tuple[dict[str, SshUser], Reply]:
    """Return *users* after *request*, and the reply. *hash_password* makes the hash of a password."""
    changed = dict(users)
    name = next(request.path.removeprefix(path) for path in PATHS if request.path.startswith(path)).strip("/")
    try:
        match request.method:
            case "GET":
                shown: Any = [_show(user, one) for user, one in users.items()]
                return changed, _reply(200, _show(name, _require(users, name)) if name else shown)
            case "POST" if not name:
                fields = _parse(request)
                user = _valid(fields, "username", _NAME)
                if user in users or user in _RESERVED or user.startswith("acap-"):
                    raise _Refused(409, _EXISTS, f"The item '{user}' already exists")
                if len(users) >= _MOST_USERS:
                    raise _Refused(400, _INVALID, "There are too many accounts")
                comment = _valid(fields, "comment", _COMMENT, "")
                taken = {one.uid for one in users.values()}
                uid = next(number for number in count(FIRST_SSH_UID) if number not in taken)
                changed[user] = SshUser(uid, hash_password(_password(fields)), comment)
                return changed, _reply(201, _show(user, changed[user]))
            case "PATCH" if name:
                old, fields = _require(users, name), _parse(request)
                new = replace(old, comment=_valid(fields, "comment", _COMMENT, old.comment))
                changed[name] = replace(new, secret=hash_password(_password(fields))) if "password" in fields else new
                return changed, _reply(200)
            case "DELETE" if name:
                _require(users, name)
                del changed[name]
                return changed, _reply(200)
            case _:
                raise _Refused(404, _NO_RESOURCE, "The resource was not found")
    except _Refused as refused:
        document = {"status": "error", "error": {"code": refused.code, "message": str(refused)}}
        return dict(users), Reply(json.dumps(document).encode(), "application/json", refused.status)


def _reply(status: int, data: object = None) -> Reply:
    document = {"status": "success"} | ({} if data is None else {"data": data})
    return Reply(json.dumps(document).encode(), "application/json", status)


def _show(name: str, user: SshUser) -> dict[str, str]:
    return {"comment": user.comment, "username": name}


def _require(users: Mapping[str, SshUser], name: str) -> SshUser:
    if name not in users:
        raise _Refused(404, _NO_ITEM, f"The item '{name[:40]}' does not exist")
    return users[name]


def _parse(request: Request) -> dict[str, Any]:
    if not request.content_type.startswith("application/json"):
        raise _Refused(400, _CONTENT_TYPE, "The content type is not application/json")
    try:
        document = json.loads(request.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("data"), dict):
        raise _Refused(400, _INVALID, "The body has no object data")
    fields: dict[str, Any] = document["data"]
    return fields


def _valid(fields: Mapping[str, Any], key: str, pattern: re.Pattern[str], default: str | None = None) -> str:
    value = fields.get(key, default)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _Refused(400, _INVALID, f"The value of {key} is not valid")
    return value


def _password(fields: Mapping[str, Any]) -> str:
    password = fields.get("password")
    if not isinstance(password, str) or not 1 <= len(password) <= _LONGEST_PASSWORD or "\n" in password:
        raise _Refused(400, _INVALID, "The value of password is not valid")
    return password
