"""Parse and format sizes, counts and texts."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)(?:i?B)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def parse_bytes(text: str) -> int:
    """Return how many bytes *text* stands for: `200M`, `1.5 GB`, `65536`. The units are decimal (k is 1000).

    Raises ValueError for anything else.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'"{text}" is not a size; write 200M or 1.5G')
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def format_bytes(count: int) -> str:
    """Return *count* bytes in decimal units: `44.7 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def format_count(number: int, thing: str) -> str:
    """Return *number* and *thing*, in the plural where need be: `1 file`, `2 files`, `2 processes`."""
    if number == 1:
        return f"{number} {thing}"
    return f"{number} {thing}{'es' if thing.endswith('s') else 's'}"


def printable(text: str) -> str:
    """Return *text* with U+FFFD in place of control characters and of what UTF-8 cannot encode."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
