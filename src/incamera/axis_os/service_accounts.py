"""The accounts that a camera gives its apps for its web server: in memory only, and valid at one loopback address."""

from __future__ import annotations

import re
import secrets
import string
import threading
from collections.abc import Mapping
from types import MappingProxyType

from incamera.axis_os.accounts import Account, make_account

# Where these accounts log in, and no others.
ADDRESS = "127.0.0.12"
# Of all apps together (documented).
MOST_ACCOUNTS = 200
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LETTERS = string.ascii_letters + string.digits
_PASSWORD_LENGTH = 32


class NoAccount(Exception):
    """The camera gives no account; the text says why."""


class ServiceAccounts:
    """The accounts since the camera's start. Threads may call it."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._lock = threading.Lock()

    @property
    def accounts(self) -> Mapping[str, Account]:
        return MappingProxyType(self._accounts)

    def add(self, name: str, realm: str) -> str:
        """Make an account that is called after *name*, and return `USER:PASSWORD`. Raises NoAccount."""
        if not _NAME.fullmatch(name):
            raise NoAccount("the name of an account has 1 to 64 letters, digits, _, . and -")
        password = "".join(secrets.choice(_LETTERS) for _ in range(_PASSWORD_LENGTH))
        with self._lock:
            number = len(self._accounts)
            if number >= MOST_ACCOUNTS:
                raise NoAccount(f"there are {MOST_ACCOUNTS} accounts, and no more are made until the camera restarts")
            user = f"a{number}-{name}"
            # A new table: readers have no lock.
            self._accounts = {**self._accounts, user: make_account(user, password, realm)}
        return f"{user}:{password}"
