"""Debian's suites (its releases), and which Python each has."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from incamera.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """One entry of `data/suites.toml`.

    *security* is the name of its security archive. *python* is None where the suite is only the user land of virtual
    cameras.
    """

    name: str
    release: int
    glibc: str
    security: str | None = None
    python: str | None = None


@cache
def load_suites() -> dict[str, Suite]:
    """Return all suites by name."""
    text = (Path(__file__).parent / "data" / "suites.toml").read_text("utf-8")
    return {name: Suite(name=name, **table) for name, table in tomllib.loads(text).items()}


def require_suite(name: str) -> Suite:
    """Return the suite called *name*. Raises KeyError."""
    return load_suites()[name]


def suite_for_python(version: str) -> Suite:
    """Return the suite whose Python is *version* (`3.11`). Raises ConfigError when there is none."""
    for suite in load_suites().values():
        if suite.python == version:
            return suite
    raise ConfigError(f"no Debian suite has Python {version}", hint="choose one of: " + ", ".join(target_pythons()))


def target_pythons() -> tuple[str, ...]:
    """Return the Python versions that a target can have, the oldest first: `3.11`."""
    pythons = [suite.python for suite in load_suites().values() if suite.python]
    return tuple(sorted(pythons, key=lambda python: tuple(map(int, python.split(".")))))
