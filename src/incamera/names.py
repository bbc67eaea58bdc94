"""Suggest similar names for one that is not known."""

from __future__ import annotations

from collections.abc import Iterable

_SHORT = 5


def closest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to *count* of *known* that are similar to *name*, the best first; none when none is similar.

    A name that is much less similar than the best one is left out.
    """
    import difflib  # lazy: only a mistyped name needs it, and every start imports this module

    known = list(known)
    matches = difflib.get_close_matches(name, known, n=count, cutoff=0.75)
    if not matches and len(name) < _SHORT:  # two letters swapped, as in `dve`, give a ratio of 0.67
        matches = [other for other in known if sorted(other) == sorted(name)][:count]
    ratios = [difflib.SequenceMatcher(None, match, name).ratio() for match in matches]
    return [match for match, ratio in zip(matches, ratios, strict=True) if ratio > ratios[0] - 0.1]


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return `did you mean "x"?` with the closest of *known*, or None when none is similar."""
    matches = closest(name, known)
    return "did you mean " + " or ".join(f'"{match}"' for match in matches) + "?" if matches else None
