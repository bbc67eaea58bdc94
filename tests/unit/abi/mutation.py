"""Ways to harm a file, as hypothesis strategies: where it hurts, and anywhere."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from hypothesis import strategies as st

Change = Callable[[bytearray], None]

# Values at which sums overflow, signs turn and tables end.
_EXTREMES = (0, 1, 2, 7, 16, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)


def changes(places: tuple[int, ...] = ()) -> st.SearchStrategy[list[Change]]:
    """A few changes, each either anywhere or at one of *places*."""
    anywhere = st.floats(0, 1, exclude_max=True)
    where: st.SearchStrategy[float] = st.one_of(anywhere, st.sampled_from(places)) if places else anywhere
    return st.lists(
        st.one_of(
            st.builds(_set_byte, where, st.integers(0, 255)),
            st.builds(_set_word, where, st.sampled_from(_EXTREMES) | st.integers(0, 0xFFFFFFFF)),
            st.builds(_zero, where, st.integers(1, 64)),
            st.builds(_cut, anywhere),
            st.builds(_remove, where, st.integers(1, 16)),
            st.builds(_insert, where, st.binary(min_size=1, max_size=16)),
            st.builds(_copy, where, anywhere, st.integers(1, 64)),
        ),
        min_size=1,
        max_size=6,
    )


def harmed(data: bytes, harm: list[Change]) -> bytes:
    changed = bytearray(data)
    for change in harm:
        if changed:
            change(changed)
    return bytes(changed)


def tender_places(data: bytes) -> tuple[int, ...]:
    """Return where in a valid ELF file the numbers lie that everything else hangs on."""
    wide = data[4] == 2
    places = {4, 5, 6, 7, 8, *range(16, 64, 2)}
    start = struct.unpack_from("<Q" if wide else "<I", data, 32 if wide else 28)[0]
    size, count, section_size, sections, _ = struct.unpack_from("<HHHHH", data, 54 if wide else 42)
    for place in range(start, start + size * count, size):
        places.update(range(place, place + size, 4))
        places.update(_contents(data, place, wide))
    table = struct.unpack_from("<Q" if wide else "<I", data, 40 if wide else 32)[0]
    places.update(range(table, table + section_size * sections, 4))
    return tuple(sorted(place for place in places if place < len(data)))


def _contents(data: bytes, header: int, wide: bool) -> Iterator[int]:
    """The whole dynamic section; of the first segment, the tables of symbols, names and versions."""
    kind = struct.unpack_from("<I", data, header)[0]
    offset = struct.unpack_from("<Q" if wide else "<I", data, header + (8 if wide else 4))[0]
    length = struct.unpack_from("<Q" if wide else "<I", data, header + (32 if wide else 16))[0]
    if kind == 2 or (kind == 1 and offset == 0):
        yield from range(offset, min(offset + length, len(data)), 4)


def _place(data: bytearray, where: float) -> int:
    """A part of the length below 1, else a place."""
    return int(where * len(data)) if where < 1 else int(where) % len(data)


def _set_byte(where: float, value: int) -> Change:
    def change(data: bytearray) -> None:
        data[_place(data, where)] = value

    return change


def _set_word(where: float, value: int) -> Change:
    def change(data: bytearray) -> None:
        place = _place(data, where)
        data[place : place + 4] = value.to_bytes(4, "little")[: len(data) - place]

    return change


def _zero(where: float, count: int) -> Change:
    def change(data: bytearray) -> None:
        place = _place(data, where)
        data[place : place + count] = bytes(min(count, len(data) - place))

    return change


def _cut(where: float) -> Change:
    def change(data: bytearray) -> None:
        del data[_place(data, where) :]

    return change


def _remove(where: float, count: int) -> Change:
    def change(data: bytearray) -> None:
        place = _place(data, where)
        del data[place : place + count]

    return change


def _insert(where: float, more: bytes) -> Change:
    def change(data: bytearray) -> None:
        place = _place(data, where)
        data[place:place] = more

    return change


def _copy(where: float, source: float, count: int) -> Change:
    def change(data: bytearray) -> None:
        start = _place(data, source)
        piece = data[start : start + count]
        place = _place(data, where)
        data[place : place + len(piece)] = piece[: len(data) - place]

    return change
