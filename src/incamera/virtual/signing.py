"""The key that stands for Axis' own: virtual cameras take packages that are signed with it, and real ones do not.

Each store has one. Its virtual cameras are given the public key when they start.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.archives.openpgp import PublicKey, make_signature
from incamera.archives.signature import make_trailer
from incamera.errors import ConfigError
from incamera.virtual.keys import write_secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from incamera.store import Store

_BITS = 4096  # as Axis' key
_CHUNK = 1 << 20


def public_signing_key(store: Store) -> PublicKey:
    """Return the public part of the store's key, which is made on first use. Raises StoreError."""
    return _public(_ensure_key(store))


def sign_package(store: Store, package: Path, signed: Path) -> str:
    """Write the *package*, which has no signature, with one behind it to *signed*; return the key's ID.

    Raises OSError, StoreError, or ConfigError for a package that is signed already, or is to be overwritten.
    """
    from incamera.eap.summary import read_summary  # lazy: start-up; only this command needs it

    if read_summary(package).is_signed:
        raise ConfigError(f"{package} is signed already", hint="sign the package that `incamera package` has made")
    if signed.exists() and signed.samefile(package):
        raise ConfigError(f"{signed} is the package itself", hint="name another file for the signed one")
    private = _ensure_key(store)
    key = _public(private)
    with package.open("rb") as stream:
        signature = make_signature(_read(stream), key, int(time.time()), lambda digest: _sign(private, digest))
        stream.seek(0)
        temporary = signed.with_name(f".{signed.name}.{os.getpid()}")
        try:
            with temporary.open("xb") as output:
                for part in _read(stream):
                    output.write(part)
                output.write(make_trailer(signature))
            temporary.replace(signed)
        finally:
            temporary.unlink(missing_ok=True)
    return key.key_id


def _read(stream: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: stream.read(_CHUNK), b"")


def _sign(private: RSAPrivateKey, digest: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes  # lazy: start-up
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    return private.sign(digest, padding.PKCS1v15(), Prehashed(hashes.SHA512()))


def _public(private: RSAPrivateKey) -> PublicKey:
    numbers = private.public_key().public_numbers()
    return PublicKey(numbers.n, numbers.e)


def _ensure_key(store: Store) -> RSAPrivateKey:
    path = store.root / "keys" / "virtual_signing"
    key = _load(path)
    if key is None:
        with store.lock("keys"), store.reporting_disk_errors():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            key = _load(path) or _make(path)
    return key


def _load(path: Path) -> RSAPrivateKey | None:
    """Return the key in the file *path*; None when there is none, or when it is damaged."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # lazy: start-up
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError):
        return None
    return key if isinstance(key, RSAPrivateKey) and key.key_size == _BITS else None


def _make(path: Path) -> RSAPrivateKey:
    from cryptography.hazmat.primitives import serialization  # lazy: start-up
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, _BITS)
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_secret(temporary, pem)
    temporary.replace(path)
    return key
