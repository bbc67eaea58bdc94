"""Where an app keeps its data in a camera: `data = "flash:20M"` in [tool.incamera]."""

from __future__ import annotations

from dataclasses import dataclass

from incamera.errors import ConfigError
from incamera.names import did_you_mean
from incamera.targets.form import PLACES, Kind
from incamera.units import parse_bytes

_KEY = "tool.incamera.data"
# A file takes a block at least. A smaller limit is one whose unit was forgotten.
_LEAST_LIMIT = 4096
# What people call the place in which AXIS OS keeps packages.
_ALIASES = {"flash": Kind.package}


@dataclass(frozen=True, kw_only=True, slots=True)
class DataPlace:
    """The kind of place of an app's data folder, and how many bytes the app may keep there. None: no limit."""

    kind: Kind = Kind.ram
    limit: int | None = None


def parse_data(text: str) -> DataPlace:
    """Return what PLACE[:LIMIT] says. Raises ConfigError."""
    name, colon, limit = text.partition(":")
    names = (*PLACES, *_ALIASES)
    if name not in names:
        hint = did_you_mean(name, names) or "choose one of: " + ", ".join(names)
        raise ConfigError(f'{_KEY}: unknown place "{name}"', hint=hint)
    try:
        size = parse_bytes(limit) if colon else None
    except ValueError as error:
        raise ConfigError(f"{_KEY}: {error}", hint='write, for example, data = "flash:20M"') from error
    if size is not None and size < _LEAST_LIMIT:
        raise ConfigError(
            f"{_KEY}: the limit is {size} bytes, and must be at least {_LEAST_LIMIT}",
            hint='write, for example, data = "flash:20M"',
        )
    return DataPlace(kind=_ALIASES.get(name) or Kind(name), limit=size)
