"""Which distribution has a well-known module."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any


def is_standard_library(name: str) -> bool:
    """Whether the module that a distribution called *name* would have is part of Python."""
    return name.replace("-", "_") in {module.lower() for module in sys.stdlib_module_names}


def distribution_of(module: str) -> str | None:
    """Return the distribution that has the well-known *module*, where the names differ; else None."""
    return _load("import_names.toml").get(module.lower())


def place_in_python3(module: str) -> str | None:
    """Return what Python 3 has instead of Python 2's *module* (urllib.request for urllib2); None for any other."""
    return _load("python2_modules.toml").get(module.lower())


def known_distributions() -> list[str]:
    """Return the names of well-known distributions, sorted."""
    tables = ("import_names.toml", "deprecated_names.toml")
    names = {name for table in tables for name in _load(table).values()}
    return sorted({*names, *_load("preload.toml")["imports"]})


def successor_of(name: str) -> str | None:
    """Return the distribution that took the place of the deprecated *name*; None when it is not deprecated."""
    return _load("deprecated_names.toml").get(name)


def known_distribution(module: str) -> str | None:
    """Return the distribution that certainly has the top-level *module*; None where that is not known.

    A module's name alone says nothing: anybody can upload a package of that name to an index.
    """
    if found := distribution_of(module):
        return found
    imports: Mapping[str, list[str]] = _load("preload.toml")["imports"]
    return next((name for name, modules in imports.items() if any(_top(text) == module for text in modules)), None)


def _top(module: str) -> str:
    return module.partition(".")[0]


@cache
def _load(name: str) -> Mapping[str, Any]:
    return tomllib.loads(resources.files("incamera.project").joinpath("data", name).read_text("utf-8"))
