"""Which wheel tags fit a target. The host's own tags do not matter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from packaging.tags import Tag, compatible_tags, cpython_tags, parse_tag

if TYPE_CHECKING:
    from incamera.targets.target import Target

# The oldest glibc with a manylinux policy for ARM (2.17), and its older name (PEP 599).
_OLDEST_MINOR = 17
_LEGACY = {17: "manylinux2014"}


@cache
def supported_tags(target: Target) -> Mapping[Tag, int]:
    """Return the tags of wheels that run on *target*, each with its rank: 0 is the best, as pip orders them."""
    version = tuple(int(part) for part in target.python.split("."))
    interpreter = f"cp{target.python.replace('.', '')}"
    names = platforms(target)
    tags = [
        *cpython_tags(version, [interpreter], names),
        *compatible_tags(version, interpreter, names),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}


def platforms(target: Target) -> list[str]:
    """Return the platform tags that fit *target*, those for the newest glibc first."""
    machine = target.architecture.facts.wheel
    newest = int(target.suite.glibc.split(".")[1])
    names = []
    for minor in range(newest, _OLDEST_MINOR - 1, -1):
        names.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY:
            names.append(f"{_LEGACY[minor]}_{machine}")
    return [*names, f"linux_{machine}"]


@cache
def split_tags(tags: str) -> frozenset[Tag]:
    """Return the tags in *tags* (`cp311-cp311-linux_armv7l.manylinux2014_armv7l`); none when it is malformed."""
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
    build = re.match(r"\d+", parts[2]) if len(parts) == 6 else None
    return (min(ranks), -int(build[0]) if build else 0) if ranks else None
