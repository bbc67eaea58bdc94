"""`RevokedHostKeys` of OpenSSH's configuration: a list of public keys, or a key revocation list of `ssh-keygen -k`."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import ConfigError

if TYPE_CHECKING:
    import asyncssh

# OpenSSH, PROTOCOL.krl: what a list begins with (magic number, versions, time, flags), and the kinds of its sections.
_MAGIC = b"SSHKRL\n\0"
_HEAD = struct.Struct(">8sIQQQ")
_KEYS, _SHA1, _SIGNATURE, _SHA256 = 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class RevokedKeys:
    """The keys that *file* revokes: whole, or as digests of them. Certificates that it names are not read."""

    file: Path
    blobs: set[bytes] = field(default_factory=set)

    def has(self, key: asyncssh.SSHKey) -> bool:
        """Return whether *key* is revoked."""
        data = key.public_data
        return not self.blobs.isdisjoint({data, hashlib.sha1(data).digest(), hashlib.sha256(data).digest()})


def load_revoked(file: Path) -> RevokedKeys:
    """Return the keys that *file* revokes. Raises ConfigError: without the file, `ssh` refuses any host, too."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from error
    try:
        return RevokedKeys(file, set(_read_list(data) if data.startswith(_MAGIC) else _read_lines(data)))
    except (ValueError, struct.error) as error:
        raise _unusable(file, str(error)) from error


def _unusable(file: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"RevokedHostKeys of ~/.ssh/config names {file}, which cannot be read: {reason}",
        hint="without that list no host key is trusted: put it there, or remove the line",
    )


def _read_lines(data: bytes) -> Iterator[bytes]:
    import asyncssh  # lazy: slow to import

    for line in data.decode("utf-8", "replace").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield asyncssh.import_public_key(line.strip()).public_data


def _read_list(data: bytes) -> Iterator[bytes]:
    rest = data[_HEAD.size :]
    for _ in range(2):  # a field without a meaning, and a comment
        _, rest = _take_string(rest)
    while rest and rest[0] != _SIGNATURE:
        kind = rest[0]
        section, rest = _take_string(rest[1:])
        while section and kind in (_KEYS, _SHA1, _SHA256):
            one, section = _take_string(section)
            yield one


def _take_string(data: bytes) -> tuple[bytes, bytes]:
    """Return the string that *data* begins with, and what comes behind it. Raises ValueError, struct.error."""
    (length,) = struct.unpack_from(">I", data)
    if len(data) < 4 + length:
        raise ValueError("it ends too early")
    return data[4 : 4 + length], data[4 + length :]
