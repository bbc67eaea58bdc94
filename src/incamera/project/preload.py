"""The modules that the agent's fork server imports before `run --watch` starts the app."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from incamera.errors import ConfigError

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def choose_preload(named: tuple[str, ...] | None, distributions: Iterable[str]) -> list[str]:
    """Return the modules that the user *named*; when that is None, those of *distributions* that import slowly."""
    if named is not None:
        return list(named)
    known = load_slow_imports()
    return sorted({module for name in distributions for module in known.get(name, ())})


@cache
def load_slow_imports() -> dict[str, tuple[str, ...]]:
    """Return `data/preload.toml`: for a distribution, the modules that take long to import."""
    table = tomllib.loads((Path(__file__).parent / "data" / "preload.toml").read_text("utf-8"))
    return {name: parse_modules(tuple(modules), f"imports.{name}") for name, modules in table["imports"].items()}


def parse_modules(names: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Return *names*. Raises ConfigError, with the key *where*, for one that cannot be the name of a module."""
    for name in names:
        if not _MODULE.fullmatch(name):
            raise ConfigError(f'{where}: "{name}" cannot be the name of a module', hint='write what follows "import"')
    return names
