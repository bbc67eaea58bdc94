"""Debian version numbers: which is newer. The rules are those of deb-version(7)."""

from __future__ import annotations

import re
from functools import lru_cache

VersionKey = tuple[int, tuple[object, ...], tuple[object, ...]]

_PIECES = re.compile(r"([^0-9]*)([0-9]*)")
# A part that has ended compares as "no letters, then zero".
_END = ((0,), 0)


def compare_versions(left: str, right: str) -> int:
    """Return a negative number, 0 or a positive one, as *left* is older than, as old as or newer than *right*."""
    a, b = version_key(left), version_key(right)
    return (a > b) - (a < b)


@lru_cache(maxsize=16384)
def version_key(version: str) -> VersionKey:
    """Return a value that sorts as *version* does."""
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isascii() or not epoch.isdigit():
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch), _part_key(upstream), _part_key(revision)


def _part_key(part: str) -> tuple[object, ...]:
    first, *others = _PIECES.findall(part)
    pieces = [first, *(piece for piece in others if piece != ("", ""))]
    return (*((_text_key(text), int(number or "0")) for text, number in pieces), _END)


def _text_key(text: str) -> tuple[int, ...]:
    # `~` sorts before the end of the part, letters after it, anything else after letters.
    return (*(-1 if c == "~" else ord(c) if c.isalpha() else ord(c) + 0x110000 for c in text), 0)
