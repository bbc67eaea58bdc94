"""What is meant by a name that nothing has: a module of another package, a misspelt name, a Debian package."""

from __future__ import annotations

import re
from collections.abc import Iterable

from incamera.names import closest, join_or
from incamera.project.import_names import (
    distribution_of,
    is_standard_library,
    known_distributions,
    place_in_python3,
    successor_of,
)

# What back ends and their plug-ins are called, for typing errors in build-system.requires.
_TOOLS = """
cffi cmake cython flit-core hatch-fancy-pypi-readme hatch-vcs hatchling mako maturin meson meson-python nanobind ninja
numpy oldest-supported-numpy packaging pbr pdm-backend pip poetry-core poetry-dynamic-versioning pybind11
pyproject-metadata pythran scikit-build scikit-build-core setuptools setuptools-rust setuptools-scm sip uv-build
versioneer versioningit wheel
"""
BUILD_TOOLS = tuple(_TOOLS.split())
_SHOWN = 3


def explain_name(name: str) -> str | None:
    """Return what to write for *name*, where that is well known; else None."""
    if name == "python":
        return "the Python that a project needs is requires-python in [project], no dependency"
    if place := place_in_python3(name):
        return f"{name} is a module of Python 2: Python 3 has {place} in its standard library"
    if is_standard_library(name):
        return f"{name} is in Python's standard library: remove it from the dependencies"
    if distribution := distribution_of(name) or successor_of(name):
        return f"the package is called {distribution}"
    return None


def find_similar(name: str, known: Iterable[str]) -> list[str]:
    """Return up to 3 of the distributions *known* (and of well-known ones) that *name* may be meant for."""
    names = [*dict.fromkeys([*known_distributions(), *known])]
    plain = _without_separators(name)
    if same := [one for one in names if _without_separators(one) == plain and one != name]:
        return same[:_SHOWN]
    return [one for one in closest(name, names, among_many=True) if one != name]


def did_you_mean(names: list[str]) -> str | None:
    return f"did you mean {join_or(names)}?" if names else None


def _without_separators(name: str) -> str:
    """Return *name* without what people forget: scikitlearn, py-yaml."""
    return re.sub(r"[-_.]", "", name)
