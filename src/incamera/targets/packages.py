"""A set of Debian packages, as a value: one module names it, another fetches and unpacks it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class DebSet:
    """The packages *roots* and all that they depend on, to be unpacked into one tree.

    *architecture* is Debian's name for it (`armhf`). *leave_out* are packages that are not taken, nor followed.
    """

    suite: str
    architecture: str
    roots: tuple[str, ...]
    leave_out: frozenset[str] = frozenset()
