"""Suggest similar names for one that is not known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SHORT = 5
_MEDIUM = 7
_MOST_LISTED = 8


def closest(name: str, known: Iterable[str], count: int = 3, *, among_many: bool = False) -> list[str]:
    """Return up to *count* of *known* that are similar to *name*, the best first; none when none is similar.

    Where one typing error explains some of them, only those count. Otherwise, one that is much less similar than the
    best is left out.
    *among_many* says that *known* has thousands of names: some differ from any short name in one letter by chance.
    """
    import difflib  # lazy: only a mistyped name needs it, and every start imports this module

    # Two letters swapped in a short name, as in `dve`, or one replaced, give a ratio of 0.67.
    # So does a wrong ending of a word as short as `entry`, a little more.
    cutoff = 0.75 if among_many or len(name) > _MEDIUM else 0.6 if len(name) < _SHORT else 0.7
    matches = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=count, cutoff=cutoff)
    if not among_many and (mistyped := [match for match in matches if _is_one_error(match, name)]):
        return mistyped
    ratios = [difflib.SequenceMatcher(None, match, name).ratio() for match in matches]
    return [match for match, ratio in zip(matches, ratios, strict=True) if ratio > ratios[0] - 0.1]


def _is_one_error(name: str, typed: str) -> bool:
    """Return whether *typed* is *name* with one letter more, less or replaced, or with two neighbours swapped."""
    short, long = sorted((name, typed), key=len)
    common = next((at for at, (one, other) in enumerate(zip(short, long, strict=False)) if one != other), len(short))
    first, second = short[common:], long[common:]
    swapped = first[1::-1] + first[2:]
    return len(long) - len(short) <= 1 and (first == second[1:] or first[1:] == second[1:] or swapped == second)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return `did you mean "x"?` with the closest of *known*, or None when none is similar."""
    matches = [f'"{match}"' for match in closest(name, known)]
    return f"did you mean {join_or(matches)}?" if matches else None


def join_or(words: Sequence[str]) -> str:
    """Return *words* as a choice: `a`, `a or b`, `a, b or c`."""
    return " or ".join([", ".join(words[:-1]), *words[-1:]] if len(words) > 1 else words)


def listing(what: str, names: Iterable[str]) -> str:
    """Return `what: a, b, c`, with the first of *names*."""
    unique = list(dict.fromkeys(names))
    shown = ", ".join(unique[:_MOST_LISTED]) + (", …" if len(unique) > _MOST_LISTED else "")
    return f"{what}: {shown or 'none'}"
