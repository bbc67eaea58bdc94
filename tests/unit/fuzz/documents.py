"""Hypothesis strategies that damage documents: their text, and their values."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st
from tests.unit.abi.mutation import Change, changes, damage_bytes

# What a stranger would try: paths, other types, numbers at which sums overflow, control characters.
NASTY_TEXTS = (
    *("", ".", "..", "/", "../../etc/passwd", "/etc/passwd", "a\0b", "\x1b[2J", "\ud7ff", "٣" * 64, "g" * 64, "A" * 64),
    *("../" * 21 + "x", "ab" * 31, "ab" * 33, "sha256", "1e999", "-1", "nan", "main", "deb", "%00", "http://[", "\r\n"),
)
SCALARS = (
    st.sampled_from(NASTY_TEXTS)
    | st.text(max_size=20)
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.booleans()
    | st.floats(allow_nan=False)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


@st.composite
def damaged_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """*data* with bytes changed, lost, added or cut off."""
    damage: list[Change] = draw(changes())
    return damage_bytes(data, damage)


@st.composite
def damaged_values(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """A copy of *document* in which one to three values were replaced, removed or added."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(changed))
        holder, key = draw(st.sampled_from(places))
        action = draw(st.sampled_from(("replace", "replace", "remove", "add")))
        if action == "replace":
            holder[key] = draw(VALUES)
        elif action == "remove":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = draw(VALUES)
        if not changed:
            break
    return changed


def _places(value: Any) -> Any:
    """Yield each table or list in *value*, with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from _places(value[key])
