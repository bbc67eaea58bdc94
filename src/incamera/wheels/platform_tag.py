"""Which platform tag a wheel may have: that depends on what its files need from the system, not on what built it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from incamera.errors import ConfigError

if TYPE_CHECKING:
    from incamera.elf import ElfFacts

_VERSION = re.compile(r"([A-Z]+)_(\d+(?:\.\d+)*)")
# The symbol version that a file with packed relocations needs. glibc has it from 2.36 on.
_RELR = "GLIBC_ABI_DT_RELR"


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """Systems with glibc 2.*minor* or newer: *newest* has the newest symbol versions of their other libraries."""

    minor: int
    newest: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Manylinux:
    """`data/manylinux.toml`: the *libraries* that every system has, and the *systems* in the order of their glibc."""

    libraries: frozenset[str]
    systems: tuple[System, ...]


def find_platform_tag(files: Iterable[ElfFacts], own: Iterable[str], machine: str) -> str:
    """Return `manylinux_2_X_<machine>`, or `linux_<machine>` when no manylinux system has all that is needed.

    *files* are the ELF files of a wheel, *own* the names of the libraries among them.
    """
    rules, ours = load_manylinux(), set(own)
    minor = rules.systems[0].minor
    for facts in files:
        for library in set(facts.needed) - ours:
            asked = _oldest_minor(facts.needs.get(library, ()), rules) if library in rules.libraries else None
            if asked is None:
                return f"linux_{machine}"
            minor = max(minor, asked)
    return f"manylinux_2_{minor}_{machine}"


def _oldest_minor(versions: Iterable[str], rules: Manylinux) -> int | None:
    """Return the minor version of the oldest glibc 2 whose systems have all of *versions*; None when there is none."""
    minor = 0
    for version in versions:
        match = _VERSION.fullmatch(version)
        if version == _RELR:
            minor = max(minor, 36)
        elif match is None:
            if version.startswith("GLIBC_"):  # GLIBC_PRIVATE: fits one build of glibc only
                return None
        elif match[1] == "GLIBC":
            minor = max(minor, _numbers(match[2])[1])
        else:
            asked = _numbers(match[2])
            having = (system.minor for system in rules.systems if asked <= system.newest.get(match[1], ()))
            if (oldest := next(having, None)) is None:
                return None
            minor = max(minor, oldest)
    return minor


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@cache
def load_manylinux() -> Manylinux:
    """Return `data/manylinux.toml`. Raises ConfigError when it is malformed."""
    text = resources.files("incamera.wheels").joinpath("data/manylinux.toml").read_text("utf-8")
    return parse_manylinux(tomllib.loads(text))


def parse_manylinux(table: Mapping[str, Any]) -> Manylinux:
    """Return the rules in *table*. Raises ConfigError when they are malformed."""
    try:
        systems = tuple(
            System(
                minor=int(entry["glibc"]),
                newest={name: _numbers(value) for name, value in entry.items() if name != "glibc"},
            )
            for entry in table["systems"]
        )
        if not systems or [system.minor for system in systems] != sorted({system.minor for system in systems}):
            raise ValueError("the systems must come in the order of their glibc")
        return Manylinux(libraries=frozenset(table["libraries"]), systems=systems)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"manylinux.toml is wrong: {type(error).__name__}: {error}") from error
