"""The signature behind the end of a signed .eap: an OpenPGP signature in ASCII armour, then 16 bytes.

Nothing is verified: that takes the key of the signer, which only a camera has.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

ARMOUR = b"-----BEGIN PGP SIGNATURE-----"
TRAILER_BYTES = 16
"""How long the last part is. It begins with the length of the signature."""
_BODY = re.compile(
    rb"\A-----BEGIN PGP SIGNATURE-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n(?P<body>[A-Za-z0-9+/=\s]+?)(?:\r?\n=|\r?\n-)"
)
_HASHES = {1: "MD5", 2: "SHA-1", 8: "SHA-256", 9: "SHA-384", 10: "SHA-512"}
_KEYS = {1: "RSA", 17: "DSA", 19: "ECDSA", 22: "EdDSA"}
_SIGNATURE_TAG = 2
_ISSUER, _FINGERPRINT = 16, 33
_KEY_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature says of itself: its *size* in bytes, the *key* that made it (16 hexadecimal digits), and how.

    *key* and *method* are "" where its content cannot be read.
    """

    size: int
    key: str = ""
    method: str = ""


def find_signature(trailer: bytes) -> Signature | None:
    """Return the signature in *trailer*, the bytes behind an archive; None when they are something else."""
    signature, length = trailer[:-TRAILER_BYTES], trailer[-TRAILER_BYTES:][:4]
    if not signature.startswith(ARMOUR) or int.from_bytes(length, "big") != len(signature):
        return None
    match = _BODY.match(signature)
    try:
        packet = base64.b64decode(b"".join(match["body"].split()), validate=True) if match else b""
        key, method = _read_packet(packet)
    except (binascii.Error, IndexError):
        key = method = ""
    return Signature(len(trailer), key, method)


def _read_packet(packet: bytes) -> tuple[str, str]:
    """Return the key and the method of a signature packet of version 4 (RFC 9580, 5.2.3). Raises IndexError."""
    body = _packet_body(packet)
    if body[0] != 4:
        return "", ""
    method = f"{_KEYS.get(body[2], 'another key')}, {_HASHES.get(body[3], 'another digest')}"
    hashed_end = 6 + int.from_bytes(body[4:6], "big")
    others_end = hashed_end + 2 + int.from_bytes(body[hashed_end : hashed_end + 2], "big")
    key = ""
    for kind, data in (*_subpackets(body[6:hashed_end]), *_subpackets(body[hashed_end + 2 : others_end])):
        if (kind == _ISSUER and len(data) == _KEY_ID_BYTES) or (kind == _FINGERPRINT and len(data) > _KEY_ID_BYTES):
            key = data[-_KEY_ID_BYTES:].hex().upper()
    return key, method


def _packet_body(packet: bytes) -> bytes:
    first = packet[0]
    if first & 0x40:
        if first & 0x3F != _SIGNATURE_TAG:
            raise IndexError
        return packet[1 + _length_bytes(packet[1]) :]
    if (first >> 2) & 0xF != _SIGNATURE_TAG:
        raise IndexError
    return packet[1 + (1, 2, 4, 0)[first & 3] :]


def _length_bytes(first: int) -> int:
    return 1 if first < 192 else 2 if first < 255 else 5


def _subpackets(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(data):
        width = _length_bytes(data[place])
        if width == 1:
            length = data[place]
        elif width == 2:
            length = ((data[place] - 192) << 8) + data[place + 1] + 192
        else:
            length = int.from_bytes(data[place + 1 : place + 5], "big")
        content = data[place + width : place + width + length]
        yield content[0] & 0x7F, content[1:]
        place += width + length
