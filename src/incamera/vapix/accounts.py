"""The accounts of a camera (pwdgrp.cgi): make the first one of a camera that is factory-new."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from urllib.parse import urlencode

from incamera.errors import DeviceError, DeviceRefused, UsageError
from incamera.http_connection import Body
from incamera.vapix.client import FORM, UNREAD, Call, Client, UnexpectedStatus, shorten

_TAGS = re.compile(r"<[^<>]*+>")
_BODY = re.compile(r"<body[^<>]*+>(.*)", re.DOTALL | re.IGNORECASE)
_ALL_ROLES = "admin:operator:viewer:ptz"
_FIRST_USER = "root"
_LONGEST_PASSWORD = 64
_CLASSES = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789")
# What each policy demands: the fewest characters, and of how many classes.
_POLICIES = {"length": (15, 1), "complex": (12, 4)}


def check_passphrase(password: str, policy: str) -> str | None:
    """Return what *password* lacks by the passphrase *policy* of a camera; None when it will do."""
    if not password.isascii() or not password.isprintable():
        return "has characters that not every camera takes: use those of ASCII"
    if not 1 <= len(password) <= _LONGEST_PASSWORD:
        return f"has {len(password)} characters: a camera takes 1 to {_LONGEST_PASSWORD}"
    fewest, classes = _POLICIES.get(policy, (1, 1))
    if len(password) < fewest:
        return f"has {len(password)} characters, and this camera demands at least {fewest}"
    found = sum(any(sign in letters for sign in password) for letters in _CLASSES)
    found += any(not sign.isalnum() for sign in password)
    if found < classes:
        return "must have small and capital letters, digits and other signs on this camera"
    return None


def describe_policy(policy: str) -> str:
    """Return in words what the passphrase *policy* demands."""
    return {
        "length": "at least 15 characters",
        "complex": "at least 12 characters: small and capital letters, digits and other signs",
    }.get(policy, f"1 to {_LONGEST_PASSWORD} characters")


def create_first_account(client: Client, user: str, password: str) -> None:
    """Make the administrator's account *user* in a camera that has no account yet. Raises UsageError, DeviceError.

    The password goes in the body of the request, since addresses stand in logs; where AXIS OS does not read that (some
    versions of 12), in the address.
    """
    if not client.device.address.is_encrypted:
        raise UsageError(
            f"{client.device} has no account yet, and over http the first password could be read on the way",
            hint=f"use its https address: `incamera device add {client.device} https://{client.device.address.host}`",
        )
    words = {"action": "add", "user": user, "pwd": password, "sgrp": _ALL_ROLES}
    words["grp"] = _FIRST_USER if user == _FIRST_USER else "users"
    call = Call(path="axis-cgi/pwdgrp.cgi", what=f"make the account {user}", again=False)
    form = replace(call, method="POST", content_type=FORM, body=Body.of(urlencode(words).encode("ascii")))
    try:
        text = parse_message(client.call(form).body)
    except (DeviceRefused, UnexpectedStatus):
        text = UNREAD
    if UNREAD in text:
        text = parse_message(client.call(replace(call, query=words)).body)
    if text.startswith("Created account"):
        return
    if "initial admin user" in text and user != _FIRST_USER:
        raise UsageError(
            f"the first account of {client.device} must be called {_FIRST_USER}",
            hint=f"type `incamera device add {client.device} https://{_FIRST_USER}@{client.device.address.host}`",
        )
    raise DeviceError(f"{client.device} cannot {call.what}: {shorten(text) or 'it gives no reason'}")


def parse_message(data: bytes) -> str:
    """Return the text of the page *data* in which pwdgrp.cgi answers."""
    text = data.decode("utf-8", "replace")
    body = _BODY.search(text)
    return unescape(_TAGS.sub("", body[1] if body else text)).strip().removeprefix("Error:").strip()
