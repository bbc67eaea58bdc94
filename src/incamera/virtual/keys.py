"""The SSH keys of virtual cameras: one to log in with, and the cameras' host key. Each store has one pair of them."""

from __future__ import annotations

import os
import struct
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.store import Store

_ALGORITHM = b"ssh-ed25519"
_KEY_BYTES = 32
# A host key in dropbear's format: two lengths, the algorithm, the private and the public key.
_HOST_BYTES = 4 + len(_ALGORITHM) + 4 + 2 * _KEY_BYTES
_PEM_END = "-----END OPENSSH PRIVATE KEY-----"


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraKeys:
    """The keys of a store's virtual cameras.

    `login`: the file of the private key to log in with, in OpenSSH's format.
    `host`: the private host key, in dropbear's format; `openssh_host`: in OpenSSH's.
    `login_public`, `host_public`: the public keys as lines `ssh-ed25519 AAAA…`.
    """

    login: Path
    login_public: str
    host: bytes
    host_public: str

    @property
    def openssh_host(self) -> bytes:
        from cryptography.hazmat.primitives import serialization  # lazy: start-up; needed once for each firmware
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        seed = self.host[-64:-32]  # before the public key
        return Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )


def ensure_keys(store: Store) -> CameraKeys:
    """Return the store's keys; make them on first use, and when they are damaged. Raises StoreError."""
    folder = store.root / "keys"
    login, host = folder / "virtual_login", folder / "virtual_host"
    if not _are_whole(login, host):
        with store.lock("keys"), store.reporting_disk_errors():
            folder.mkdir(mode=0o700, exist_ok=True)
            if not _are_whole(login, host):
                _make_keys(login, host)
    return CameraKeys(
        login=login,
        login_public=_public(login).read_text().strip(),
        host=host.read_bytes(),
        host_public=_public(host).read_text().strip(),
    )


def _are_whole(login: Path, host: Path) -> bool:
    """Whether each private key is there, and has the public key that is recorded beside it."""
    try:
        host_public = host.read_bytes()[-_KEY_BYTES:]
        pem = login.read_text("ascii")
        if not pem.rstrip().endswith(_PEM_END):  # cut off
            return False
        login_public = b64decode(_public(login).read_text("ascii").split()[1])
        return (
            len(host.read_bytes()) == _HOST_BYTES
            and _public(host).read_text("ascii").strip() == public_line(host_public)
            and login_public in b64decode("".join(pem.split("\n")[1:-2]))
        )
    except (OSError, ValueError, IndexError):
        return False


def _public(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")


def _make_keys(login: Path, host: Path) -> None:
    from cryptography.hazmat.primitives import serialization  # lazy: start-up; needed once for each store
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    raw = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    for path in (login, host):
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(*raw)
        if path is login:
            text = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            )
        else:
            text = dropbear_key(key.private_bytes_raw(), public)
        temporary = path.with_name(f"{path.name}.new")
        temporary.unlink(missing_ok=True)
        write_secret(temporary, text)
        temporary.replace(path)
        _public(path).write_text(public_line(public) + "\n")


def write_secret(path: Path, data: bytes) -> None:
    """Write *data* to the new file *path*, which from its first moment only the user can read. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def dropbear_key(seed: bytes, public: bytes) -> bytes:
    """Return the private ed25519 key (32 bytes of *seed*, 32 of *public*) in dropbear's file format."""
    return _string(_ALGORITHM) + _string(seed + public)


def public_line(public: bytes) -> str:
    """Return the line `ssh-ed25519 AAAA…` for the 32 bytes of a *public* key."""
    return f"{_ALGORITHM.decode()} {b64encode(_string(_ALGORITHM) + _string(public)).decode()}"


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
