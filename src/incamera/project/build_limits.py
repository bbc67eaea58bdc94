"""The table [tool.incamera.build-limits]: what the steps of a build may use, where the defaults are too small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from incamera.errors import ConfigError
from incamera.project.tables import find_string, refuse_unknown
from incamera.units import parse_bytes

_WHERE = "tool.incamera.build-limits"
_SIZES = ("memory", "disk")
_HOURS = "hours"


def parse_build_limits(table: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the limits in *table* by their keys: bytes for "memory" and "disk", and "hours". Raises ConfigError."""
    refuse_unknown(table, (*_SIZES, _HOURS), _WHERE)
    limits: dict[str, float] = {}
    for key in _SIZES:
        if (text := find_string(table, key, f"{_WHERE}.{key}")) is not None:
            try:
                limits[key] = parse_bytes(text)
            except ValueError as error:
                raise ConfigError(f"{_WHERE}.{key}: {error}") from error
    hours = table.get(_HOURS)
    if isinstance(hours, bool) or not isinstance(hours, int | float | None):
        raise ConfigError(f"{_WHERE}.{_HOURS} must be a number", hint=f"write {_HOURS} = 48, for example")
    if hours is not None:
        limits[_HOURS] = hours
    for key, value in limits.items():
        if not 0 < value < float("inf"):
            raise ConfigError(f"{_WHERE}.{key} must be more than nothing", hint="leave it out for the default")
    return limits
