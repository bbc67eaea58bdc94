"""Debian packages as a wish: what the rooms ask for, and the workflows have fetched."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class DebSet:
    """*roots* and all they need, of one suite and architecture (Debian's name for it), unpacked into one tree.

    *leave_out*: packages that are not wanted, nor what only they need.
    """

    suite: str
    architecture: str
    roots: tuple[str, ...]
    leave_out: frozenset[str] = frozenset()
