"""OpenPGP signatures of files, version 4 (RFC 9580, 5.2.3): read, verified and written, with RSA and SHA-512.

It needs nothing but Python, since virtual cameras use it, too.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

ARMOUR = b"-----BEGIN PGP SIGNATURE-----"
_ARMOUR_END = b"-----END PGP SIGNATURE-----"
RSA, SHA512 = 1, 10
_VERSION, _BINARY, _SIGNATURE_TAG = 4, 0, 2
_CREATED, _ISSUER, _FINGERPRINT = 2, 16, 33
_KEY_ID_BYTES = 8
_LINE = 64
_MOST_NUMBER_BYTES = 1024
# What stands before a SHA-512 digest in an RSA signature (RFC 8017, 9.2).
_DIGEST_INFO = bytes.fromhex("3051300d060960864801650304020305000440")
_CRC_START, _CRC_POLYNOMIAL = 0xB704CE, 0x1864CFB


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An RSA key. It is known by its *fingerprint*, and by the *key_id* that is the end of it."""

    modulus: int
    exponent: int = 65537

    @property
    def fingerprint(self) -> bytes:
        """The SHA-1 of the key as a packet of version 4 that was made at the time 0."""
        body = bytes([_VERSION]) + bytes(4) + bytes([RSA]) + encode_mpi(self.modulus) + encode_mpi(self.exponent)
        return hashlib.sha1(b"\x99" + struct.pack(">H", len(body)) + body, usedforsecurity=False).digest()

    @property
    def key_id(self) -> str:
        return self.fingerprint[-_KEY_ID_BYTES:].hex().upper()

    @property
    def size(self) -> int:
        """How many bytes a signature has."""
        return (self.modulus.bit_length() + 7) // 8


@dataclass(frozen=True, slots=True)
class SignaturePacket:
    """A signature packet. *key_id* is "" where it names no key, and *kinds* are the numbers of its algorithms.

    *signed* is the part of the packet that is signed with the file, *digest_start* the first two bytes of the digest,
    *value* the signature itself.
    """

    key_id: str
    kinds: tuple[int, int]
    signed: bytes
    digest_start: bytes
    value: int

    def fits(self, digest: bytes) -> bool:
        """Whether *digest* can be the one that was signed. Of other files, one in 65536 fits, too."""
        return self.kinds == (RSA, SHA512) and digest[:2] == self.digest_start

    def is_by(self, key: PublicKey, digest: bytes) -> bool:
        """Whether *key* has signed *digest*."""
        if not self.fits(digest) or not 0 < self.value < key.modulus:
            return False
        return pow(self.value, key.exponent, key.modulus) == int.from_bytes(pad_digest(digest, key.size), "big")


def read_packet(packet: bytes) -> SignaturePacket | None:
    """Return the signature in *packet*; None for one of another version. Raises IndexError when it is cut off."""
    body = _packet_body(packet)
    if body[0] != _VERSION:
        return None
    hashed_end = 6 + int.from_bytes(body[4:6], "big")
    others_end = hashed_end + 2 + int.from_bytes(body[hashed_end : hashed_end + 2], "big")
    key = ""
    for kind, data in (*_subpackets(body[6:hashed_end]), *_subpackets(body[hashed_end + 2 : others_end])):
        if (kind == _ISSUER and len(data) == _KEY_ID_BYTES) or (kind == _FINGERPRINT and len(data) > _KEY_ID_BYTES):
            key = data[-_KEY_ID_BYTES:].hex().upper()
    start = body[others_end : others_end + 2]
    number = body[others_end + 2 :]
    size = (int.from_bytes(number[:2], "big") + 7) // 8
    value = int.from_bytes(number[2 : 2 + min(size, _MOST_NUMBER_BYTES)], "big")
    return SignaturePacket(key, (body[2], body[3]), body[:hashed_end], start, value)


def make_signature(parts: Iterable[bytes], key: PublicKey, created: int, sign: Callable[[bytes], bytes]) -> bytes:
    """Return the signature of the file that *parts* make up, in armour. *created*: seconds since 1970.

    *sign* gets the SHA-512 digest and returns the RSA signature, as by PKCS#1 version 1.5.
    """
    subpackets = _subpacket(_FINGERPRINT, bytes([_VERSION]) + key.fingerprint)
    subpackets += _subpacket(_CREATED, struct.pack(">I", created))
    signed = bytes([_VERSION, _BINARY, RSA, SHA512]) + struct.pack(">H", len(subpackets)) + subpackets
    digest = digest_of(parts, signed)
    issuer = _subpacket(_ISSUER, key.fingerprint[-_KEY_ID_BYTES:])
    value = encode_mpi(int.from_bytes(sign(digest), "big"))
    body = signed + struct.pack(">H", len(issuer)) + issuer + digest[:2] + value
    # The old form of a packet's head, as GnuPG writes it.
    return _armour(bytes([0x80 | _SIGNATURE_TAG << 2 | 1]) + struct.pack(">H", len(body)) + body)


def digest_of(parts: Iterable[bytes], signed: bytes) -> bytes:
    """Return the digest that is signed, of a file's *parts* and *signed*, a part of the signature's own packet."""
    digest = hashlib.sha512()
    for part in parts:
        digest.update(part)
    digest.update(signed + bytes([_VERSION, 0xFF]) + struct.pack(">I", len(signed)))
    return digest.digest()


def pad_digest(digest: bytes, size: int) -> bytes:
    """Return the *size* bytes that are signed for *digest* (RFC 8017, 9.2)."""
    end = b"\0" + _DIGEST_INFO + digest
    return b"\0\1" + b"\xff" * (size - 2 - len(end)) + end


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


def _subpacket(kind: int, data: bytes) -> bytes:
    return bytes([len(data) + 1, kind]) + data


def encode_mpi(value: int) -> bytes:
    """Return *value* as a multiprecision integer (RFC 9580, 3.2)."""
    bits = value.bit_length()
    return struct.pack(">H", bits) + value.to_bytes((bits + 7) // 8, "big")


def _armour(packet: bytes) -> bytes:
    text = base64.b64encode(packet)
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    check = b"=" + base64.b64encode(_crc24(packet).to_bytes(3, "big"))
    return b"\n".join([ARMOUR, b"", *lines, check, _ARMOUR_END, b""])


def _crc24(data: bytes) -> int:
    crc = _CRC_START
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= _CRC_POLYNOMIAL
    return crc
