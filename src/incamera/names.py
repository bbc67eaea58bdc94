"""Closest names for what was mistyped."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to *count* of *known* that look most like *name*, best first."""
    return difflib.get_close_matches(name, list(known), n=count, cutoff=0.6)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return `did you mean "x"?`, or None when nothing is close."""
    matches = closest(name, known)
    return "did you mean " + " or ".join(f'"{match}"' for match in matches) + "?" if matches else None
