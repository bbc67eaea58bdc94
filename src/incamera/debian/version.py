"""Compare Debian version numbers, by the rules of deb-version(7)."""

from __future__ import annotations

import re
from functools import lru_cache

VersionKey = tuple[int, tuple[object, ...], tuple[object, ...]]

_PIECES = re.compile(r"([^0-9]*)([0-9]*)")
# The end of a part compares like "no letters, then zero".
_END = ((0,), 0)


def compare_versions(left: str, right: str) -> int:
    """Return -1, 0 or 1 when *left* is older than, equal to or newer than *right*."""
    a, b = version_key(left), version_key(right)
    return (a > b) - (a < b)


@lru_cache(maxsize=16384)
def version_key(version: str) -> VersionKey:
    """Return a value to sort *version* by."""
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
