"""The signature behind the end of a signed .eap: an OpenPGP signature in ASCII armour, then 16 bytes."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass, field

from incamera.archives.openpgp import ARMOUR, SignaturePacket, read_packet

TRAILER_BYTES = 16
"""How long the last part is. It begins with the length of the signature."""
_BODY = re.compile(
    rb"\A-----BEGIN PGP SIGNATURE-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n(?P<body>[A-Za-z0-9+/=\s]+?)(?:\r?\n=|\r?\n-)"
)
# What stands behind the length: a number, and bytes that are the same in all signed packages.
_TRAILER_END = struct.pack(">I", 1) + bytes.fromhex("658d14ab4207aac6")
_HASHES = {1: "MD5", 2: "SHA-1", 8: "SHA-256", 9: "SHA-384", 10: "SHA-512"}
_KEYS = {1: "RSA", 17: "DSA", 19: "ECDSA", 22: "EdDSA"}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature says of itself: its *size* in bytes, the *key* that made it (16 hexadecimal digits), and how.

    *key* and *method* are "" and *packet* is None where its content cannot be read.
    """

    size: int
    key: str = ""
    method: str = ""
    packet: SignaturePacket | None = field(default=None, repr=False, compare=False)


def find_signature(trailer: bytes) -> Signature | None:
    """Return the signature in *trailer*, the bytes behind an archive; None when they are something else."""
    signature, length = trailer[:-TRAILER_BYTES], trailer[-TRAILER_BYTES:][:4]
    if not signature.startswith(ARMOUR) or int.from_bytes(length, "big") != len(signature):
        return None
    match = _BODY.match(signature)
    try:
        packet = read_packet(base64.b64decode(b"".join(match["body"].split()), validate=True)) if match else None
    except (binascii.Error, IndexError):
        packet = None
    if packet is None:
        return Signature(len(trailer))
    key, digest = packet.kinds
    method = f"{_KEYS.get(key, 'another key')}, {_HASHES.get(digest, 'another digest')}"
    return Signature(len(trailer), packet.key_id, method, packet)


def make_trailer(signature: bytes) -> bytes:
    """Return what is appended to a package: *signature*, which is in armour, and the last part."""
    return signature + struct.pack(">I", len(signature)) + _TRAILER_END
