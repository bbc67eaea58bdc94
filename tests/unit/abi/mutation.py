"""Ways to damage a file, as hypothesis strategies: at offsets that matter, and anywhere."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from hypothesis import strategies as st

Change = Callable[[bytearray], None]

# Values at which sums overflow, signs change and tables end.
_EXTREMES = (0, 1, 2, 7, 16, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)


def changes(offsets: tuple[int, ...] = ()) -> st.SearchStrategy[list[Change]]:
    """Return one to six changes, each either anywhere or at one of *offsets*."""
    anywhere = st.floats(0, 1, exclude_max=True)
    where: st.SearchStrategy[float] = st.one_of(anywhere, st.sampled_from(offsets)) if offsets else anywhere
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


def damage_bytes(data: bytes, changes: list[Change]) -> bytes:
    """Return *data* with all *changes* made."""
    changed = bytearray(data)
    for change in changes:
        if changed:
            change(changed)
    return bytes(changed)


def sensitive_offsets(data: bytes) -> tuple[int, ...]:
    """Return the offsets of the numbers in a valid ELF file on which the reading of the rest depends."""
    is_64bit = data[4] == 2
    offsets = {4, 5, 6, 7, 8, *range(16, 64, 2)}
    start = struct.unpack_from("<Q" if is_64bit else "<I", data, 32 if is_64bit else 28)[0]
    size, count, section_size, sections, _ = struct.unpack_from("<HHHHH", data, 54 if is_64bit else 42)
    for offset in range(start, start + size * count, size):
        offsets.update(range(offset, offset + size, 4))
        offsets.update(_table_offsets(data, offset, is_64bit))
    table = struct.unpack_from("<Q" if is_64bit else "<I", data, 40 if is_64bit else 32)[0]
    offsets.update(range(table, table + section_size * sections, 4))
    return tuple(sorted(offset for offset in offsets if offset < len(data)))


def _table_offsets(data: bytes, header: int, is_64bit: bool) -> Iterator[int]:
    """Yield the offsets of the dynamic section, and of the first segment: the symbol, string and version tables."""
    kind = struct.unpack_from("<I", data, header)[0]
    offset = struct.unpack_from("<Q" if is_64bit else "<I", data, header + (8 if is_64bit else 4))[0]
    length = struct.unpack_from("<Q" if is_64bit else "<I", data, header + (32 if is_64bit else 16))[0]
    if kind == 2 or (kind == 1 and offset == 0):
        yield from range(offset, min(offset + length, len(data)), 4)


def _offset(data: bytearray, where: float) -> int:
    """Return the offset for *where*: a fraction of the length (below 1), or an offset."""
    return int(where * len(data)) if where < 1 else int(where) % len(data)


def _set_byte(where: float, value: int) -> Change:
    def change(data: bytearray) -> None:
        data[_offset(data, where)] = value

    return change


def _set_word(where: float, value: int) -> Change:
    def change(data: bytearray) -> None:
        offset = _offset(data, where)
        data[offset : offset + 4] = value.to_bytes(4, "little")[: len(data) - offset]

    return change


def _zero(where: float, count: int) -> Change:
    def change(data: bytearray) -> None:
        offset = _offset(data, where)
        data[offset : offset + count] = bytes(min(count, len(data) - offset))

    return change


def _cut(where: float) -> Change:
    def change(data: bytearray) -> None:
        del data[_offset(data, where) :]

    return change


def _remove(where: float, count: int) -> Change:
    def change(data: bytearray) -> None:
        offset = _offset(data, where)
        del data[offset : offset + count]

    return change


def _insert(where: float, more: bytes) -> Change:
    def change(data: bytearray) -> None:
        offset = _offset(data, where)
        data[offset:offset] = more

    return change


def _copy(where: float, source: float, count: int) -> Change:
    def change(data: bytearray) -> None:
        start = _offset(data, source)
        piece = data[start : start + count]
        offset = _offset(data, where)
        data[offset : offset + len(piece)] = piece[: len(data) - offset]

    return change
