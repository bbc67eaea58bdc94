"""Colours of what is drawn over the video."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from .errors import BadDrawing

Color = str | Sequence[int]
Rgba = tuple[int, int, int, int]
NAMES: dict[str, tuple[int, int, int]] = {
    "black": (0, 0, 0), "white": (255, 255, 255), "gray": (128, 128, 128), "red": (255, 0, 0), "lime": (0, 255, 0),
    "green": (0, 128, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "orange": (255, 165, 0),
    "cyan": (0, 255, 255), "magenta": (255, 0, 255),
}  # fmt: skip


def rgba_of(color: Color) -> Rgba:
    """Return red, green, blue and opacity of *color*, each 0 to 255. Raises BadDrawing."""
    parts: Sequence[int] | None = None
    if not isinstance(color, str):
        parts = [int(part) for part in color]
    elif color.startswith("#"):
        with contextlib.suppress(ValueError):
            parts = list(bytes.fromhex(color[1:]))
    else:
        parts = NAMES.get(color.lower())
    if parts is None or len(parts) not in (3, 4) or not all(0 <= part <= 255 for part in parts):
        hint = f"use (red, green, blue), '#rrggbb', '#rrggbbaa' or one of {', '.join(NAMES)}"
        raise BadDrawing(f"{color!r} is no colour", hint=hint)
    red, green, blue, *rest = parts
    return red, green, blue, rest[0] if rest else 255
