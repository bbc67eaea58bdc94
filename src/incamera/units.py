"""Quantities in words."""

from __future__ import annotations


def format_bytes(count: int) -> str:
    """Return *count* in decimal units, as disks and networks count: `44.7 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
