"""The hash MD4 (RFC 1320). Samba stores passwords as MD4 hashes, and OpenSSL 3 no longer has it."""

from __future__ import annotations

import struct

_MASK = 0xFFFFFFFF
_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
# For each round: the word that each step uses, the four shifts of the steps in turn, and the constant that is added.
_ROUNDS = (
    (tuple(range(16)), (3, 7, 11, 19), 0),
    ((0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), (3, 5, 9, 13), 0x5A827999),
    ((0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15), (3, 9, 11, 15), 0x6ED9EBA1),
)


def md4(data: bytes) -> bytes:
    """Return the 16 bytes of *data*'s hash."""
    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + struct.pack("<Q", 8 * len(data))
    state: tuple[int, ...] = _START
    for start in range(0, len(padded), 64):
        mixed = _mix(state, struct.unpack_from("<16I", padded, start))
        state = tuple((a + b) & _MASK for a, b in zip(state, mixed, strict=True))
    return struct.pack("<4I", *state)


def nt_hash(password: str) -> str:
    """Return the NT hash of *password*, 32 hexadecimal digits, which an SMB server stores instead of it."""
    return md4(password.encode("utf-16-le")).hex().upper()


def _mix(state: tuple[int, ...], words: tuple[int, ...]) -> tuple[int, ...]:
    a, b, c, d = state
    for number, (order, shifts, constant) in enumerate(_ROUNDS):
        for step, word in enumerate(order):
            if number == 0:
                mixed = (b & c) | (~b & d)
            elif number == 1:
                mixed = (b & c) | (b & d) | (c & d)
            else:
                mixed = b ^ c ^ d
            total = (a + mixed + words[word] + constant) & _MASK
            shift = shifts[step % 4]
            a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
    return a, b, c, d
