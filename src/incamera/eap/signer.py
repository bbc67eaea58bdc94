"""Who has signed a package, by the rules of virtual cameras: in them, a key of the store stands for Axis' own.

Axis' public key is not published. Of a signature that names it, only the two bytes of the digest that it tells can be
compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from incamera.archives import find_signature
from incamera.archives.openpgp import PublicKey, digest_of
from incamera.archives.signature import TRAILER_BYTES

# Of five packages that Axis has signed (facts: the signature behind the archive's end).
AXIS_KEY_ID = "DB55B3CA61462D87"
_CHUNK = 1 << 16
_MOST_TRAILER_BYTES = 1_000_000


def find_signature_problem(path: Path, key: PublicKey | None) -> str | None:
    """Return what is wrong with the signature of the package *path*, or None. *key* stands for Axis' own.

    Raises OSError.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - TRAILER_BYTES))
        length = int.from_bytes(stream.read(4), "big") + TRAILER_BYTES
        if not TRAILER_BYTES < length <= min(size, _MOST_TRAILER_BYTES):
            return "the package has no signature"
        stream.seek(size - length)
        signature = find_signature(stream.read(length))
        if signature is None or signature.packet is None:
            return "its signature cannot be read"
        packet = signature.packet
        is_own = key is not None and packet.key_id == key.key_id
        if not is_own and packet.key_id != AXIS_KEY_ID:
            return f"its signature is by the key {packet.key_id or 'of nobody'}, which is not known"
        stream.seek(0)
        digest = digest_of(_read(stream, size - length), packet.signed)
    fits = packet.is_by(key, digest) if key is not None and is_own else packet.fits(digest)
    return None if fits else "its signature is that of other bytes: the package was changed after it was signed"


def _read(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (data := stream.read(min(size, _CHUNK))):
        size -= len(data)
        yield data
