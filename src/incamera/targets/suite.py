"""Debian's releases, and which Python each brings."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from incamera.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """One entry of `data/suites.toml`. `python` is None where the suite serves only as a camera's user land."""

    name: str
    release: int
    glibc: str
    security: str | None = None
    python: str | None = None


@cache
def load_suites() -> dict[str, Suite]:
    text = (Path(__file__).parent / "data" / "suites.toml").read_text("utf-8")
    return {name: Suite(name=name, **table) for name, table in tomllib.loads(text).items()}


def require_suite(name: str) -> Suite:
    return load_suites()[name]


def suite_for_python(version: str) -> Suite:
    """Return the suite that brings Python *version* (`3.11`). Raises ConfigError when none does."""
    for suite in load_suites().values():
        if suite.python == version:
            return suite
    known = sorted(suite.python for suite in load_suites().values() if suite.python)
    raise ConfigError(f"no Debian suite brings Python {version}", hint="choose one of: " + ", ".join(known))
