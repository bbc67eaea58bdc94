"""Suggest similar names for one that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def closest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to *count* of *known* that are most similar to *name*, the best first; none when none is similar."""
    import difflib  # lazy: only a mistyped name needs it, and every start imports this module

    return difflib.get_close_matches(name, list(known), n=count, cutoff=0.6)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return `did you mean "x"?` with the closest of *known*, or None when none is similar."""
    matches = closest(name, known)
    return "did you mean " + " or ".join(f'"{match}"' for match in matches) + "?" if matches else None
