"""A login with few round trips: what need not wait for an answer is sent without waiting.

SSH lets both sides begin the key exchange behind their version lines, and lets a client log in with one signed request
instead of asking first whether the server knows the key. asyncssh waits each time. Seven turns become three.

All of that is done only with a server that is known: one that has let us in with that key before.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncssh

from incamera.disk import write_cache

if TYPE_CHECKING:
    from pathlib import Path

# Servers that are known to read the key exchange behind the version line, as RFC 4253 asks of all.
_SERVERS = ("OpenSSH", "dropbear", "AsyncSSH")
# For RSA, which signature a server takes is known only from what it sends later.
_ALGORITHMS = (b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp521")
_MOST_KNOWN = 200
_ASKS, _SIGNS = b"\x00", b"\x01"


@dataclass(frozen=True, slots=True)
class KnownLogins:
    """The file that says which key each server, `USER@HOST:PORT`, took last. It holds digests of public keys."""

    file: Path

    def find(self, server: str) -> str | None:
        """Return the digest of the key that *server* took last."""
        found = self._load().get(server)
        return found if isinstance(found, str) else None

    def keep(self, server: str, key: str | None) -> None:
        """Write down that *server* takes *key*; with None, that none is known."""
        known = self._load()
        if known.pop(server, None) == key:
            return
        if key is not None:
            known[server] = key
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_cache(self.file, json.dumps(dict(list(known.items())[-_MOST_KNOWN:])).encode())

    def _load(self) -> dict[str, Any]:
        try:
            known = json.loads(self.file.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def digest_of(pair: asyncssh.SSHKeyPair) -> str:
    """Return what `KnownLogins` calls the key *pair*."""
    return hashlib.sha256(pair.public_data).hexdigest()


def is_quick(connection: asyncssh.SSHClientConnection) -> bool:
    """Return whether the server of *connection*, which has logged in, is of a kind that can be logged in to quickly."""
    version = str(connection.get_extra_info("server_version"))
    return any(name in version for name in _SERVERS)


def hasten(connection: asyncssh.SSHClientConnection, pair: asyncssh.SSHKeyPair) -> None:
    """Make *connection*, over which nothing has been sent yet, log in quickly. *pair* is the key to offer first."""
    connection.__class__ = _QuickConnection
    quick: Any = connection
    quick.quick_pair = pair


class _QuickConnection(asyncssh.SSHClientConnection):
    """asyncssh's connection, whose methods of these names are called in this order."""

    quick_pair: asyncssh.SSHKeyPair | None = None
    _sent_early = False
    _has_requested = False

    def _send_version(self) -> None:
        super()._send_version()
        super()._send_kexinit()
        self._sent_early = True

    def _send_kexinit(self) -> None:
        if self._sent_early:
            self._sent_early = False
        else:
            super()._send_kexinit()

    def send_service_request(self, service: bytes) -> None:
        super().send_service_request(service)
        pair = self.quick_pair
        if pair is None or self._has_requested:
            return
        # Without asking for the methods that the server has.
        self._auth_methods = [b"publickey"]
        if pair.algorithm in _ALGORITHMS:
            self.try_next_auth()
            self._has_requested = True

    def try_next_auth(self, *, next_method: bool = False) -> None:
        if self._has_requested:
            # The server accepts the service now. The request behind that has been sent.
            self._has_requested = False
        else:
            super().try_next_auth(next_method=next_method)

    async def send_userauth_request(self, method: bytes, *args: bytes, key: Any = None, trivial: bool = True) -> None:
        pair, self.quick_pair = self.quick_pair, None
        if pair is not None and method == b"publickey" and args[0] == _ASKS and key is None:
            args, key, trivial = (_SIGNS, *args[1:]), pair, False
        await super().send_userauth_request(method, *args, key=key, trivial=trivial)
