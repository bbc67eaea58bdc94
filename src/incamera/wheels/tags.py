"""Which wheel tags fit a target, or the Python that builds run on. The host's own Python does not matter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from math import prod
from typing import TYPE_CHECKING

from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag

if TYPE_CHECKING:
    from incamera.targets.target import Target

# The oldest glibc with a manylinux policy for ARM (2.17) and for others, and the policies' older names (PEP 599).
_OLDEST_MINOR = 17
_OLDEST_MINORS = {"x86_64": 5}
# The longest names of real wheels stand for some dozens. A name of 255 characters could stand for 100,000.
_MAX_TAGS = 1000
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def supported_tags(target: Target) -> Mapping[Tag, int]:
    """Return the tags of wheels that run on *target*, each with its rank: 0 is the best, as pip orders them."""
    return tags_for(target.python, target.architecture.facts.wheel, target.suite.glibc)


@cache
def tags_for(python: str, machine: str, glibc: str) -> Mapping[Tag, int]:
    """Return the tags of wheels for a Python, a machine (`armv7l`) and a glibc, with their ranks."""
    version = tuple(int(part) for part in python.split("."))
    interpreter = f"cp{python.replace('.', '')}"
    names = _platforms(machine, glibc)
    tags = [
        *cpython_tags(version, [interpreter], names),
        *compatible_tags(version, interpreter, names),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}


def platforms(target: Target) -> list[str]:
    """Return the platform tags that fit *target*, those for the newest glibc first."""
    return _platforms(target.architecture.facts.wheel, target.suite.glibc)


def _platforms(machine: str, glibc: str) -> list[str]:
    newest = int(glibc.split(".")[1])
    names = []
    for minor in range(newest, _OLDEST_MINORS.get(machine, _OLDEST_MINOR) - 1, -1):
        names.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY:
            names.append(f"{_LEGACY[minor]}_{machine}")
    return [*names, f"linux_{machine}"]


@cache
def split_tags(tags: str) -> frozenset[Tag]:
    """Return the tags in *tags* (`cp311-cp311-linux_armv7l.manylinux2014_armv7l`); none when it is malformed."""
    if prod(part.count(".") + 1 for part in tags.split("-")) > _MAX_TAGS:
        return frozenset()
    try:
        return frozenset(parse_tag(tags))
    except ValueError:  # old wheels have tags like `py36+-none-any`
        return frozenset()


def wheel_rank(filename: str, supported: Mapping[Tag, int]) -> tuple[int, int] | None:
    """Return a value that sorts the wheels of one release, the best first; None when the wheel *filename* does not fit.

    Of two wheels with equal tags, the one with the higher build number is better.
    """
    parts = filename.removesuffix(".whl").split("-")
    ranks = [supported[tag] for tag in split_tags("-".join(parts[-3:])) if tag in supported]
    build = re.match(r"[0-9]{1,9}", parts[2]) if len(parts) == 6 else None
    return (min(ranks), -int(build[0]) if build else 0) if ranks else None
