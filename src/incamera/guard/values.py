"""Values in the JSON that programs on a device print: checked before anything else sees them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from incamera.digest import Sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LARGEST = 1 << 64


def parse_value(value: object, type_: str, parse_part: Callable[[object, str], object]) -> object:
    """Return *value* of a device's JSON if it is of the type *type_*. Raises ValueError otherwise.

    Types are `text`, `flag`, `number` (a whole one of at most 64 bits), `seconds`, `sha256`, `X?` (or null), `[X]`,
    `{X}` (by names), and others that *parse_part* knows.
    """
    if type_.endswith("?"):
        return None if value is None else parse_value(value, type_[:-1], parse_part)
    if type_ == "sha256":
        return Sha256(str(value))
    if type_.startswith("["):
        if isinstance(value, list):
            return tuple(parse_value(item, type_[1:-1], parse_part) for item in value)
    elif type_.startswith("{"):
        if isinstance(value, dict):
            return {_parse_text(name): parse_value(item, type_[1:-1], parse_part) for name, item in value.items()}
    elif (check := _CHECKS.get(type_)) is None:
        return parse_part(value, type_)
    elif check(value):
        return value
    raise ValueError(f"{type(value).__name__} in place of {type_}")


def _parse_text(text: str) -> str:
    """Return *text*. Raises ValueError unless it can be a path: the guard has surrogates for bytes not in UTF-8."""
    if "\0" in text:
        raise ValueError("a text with a NUL")
    text.encode("utf-8", "surrogateescape")
    return text


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


_CHECKS: Mapping[str, Callable[[object], bool]] = {
    "text": lambda value: isinstance(value, str) and _parse_text(value) is value,
    "flag": lambda value: isinstance(value, bool),
    "number": _is_number,
    "seconds": lambda value: _is_number(value) or (isinstance(value, float) and math.isfinite(value) and value >= 0),
}
