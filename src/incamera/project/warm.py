"""What the edit loop imports beforehand, so that a start of the app need not."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from incamera.errors import ConfigError

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def warm_imports(named: tuple[str, ...] | None, distributions: Iterable[str]) -> list[str]:
    """Return the modules that are *named* by the user, else the heavy ones of *distributions*, a lock's."""
    if named is not None:
        return list(named)
    known = load_heavy()
    return sorted({module for name in distributions for module in known.get(name, ())})


@cache
def load_heavy() -> dict[str, tuple[str, ...]]:
    table = tomllib.loads((Path(__file__).parent / "data" / "warm.toml").read_text("utf-8"))
    return {name: parse_modules(tuple(modules), f"imports.{name}") for name, modules in table["imports"].items()}


def parse_modules(names: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Raises ConfigError for what cannot be the name of a module."""
    for name in names:
        if not _MODULE.fullmatch(name):
            raise ConfigError(f'{where}: "{name}" cannot be the name of a module', hint='write what follows "import"')
    return names
