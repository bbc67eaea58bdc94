"""Check the relocations of an ELF file: what a loader changes must be in writable segments."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

from incamera.elf.image import AARCH64, ARM, WRITABLE

if TYPE_CHECKING:
    from incamera.elf.image import Image

_PLTRELSZ, _PLTGOT, _PLTREL, _TEXTREL, _JMPREL, _FLAGS = 2, 3, 20, 22, 23, 30
_RELA, _RELASZ, _RELAENT = 7, 8, 9
_REL, _RELSZ, _RELENT = 17, 18, 19
_RELR, _RELRSZ, _RELRENT = 36, 35, 37
_TLSDESC_GOT = 0x6FFFFEF7
_DF_TEXTREL = 4
# How many relocations at the beginning of a table are relative ones.
_COUNTS = {_REL: 0x6FFFFFFA, _RELA: 0x6FFFFFF9}
_RELATIVE = {ARM: 23, AARCH64: 1027}
_JUMP_SLOT = {ARM: 22, AARCH64: 1026}
# The kinds that glibc's loader knows.
_KNOWN = {
    ARM: frozenset({0, 1, 2, 3, 13, 17, 18, 19, 20, 21, 22, 23, 160}),
    AARCH64: frozenset({0, 256, 257, 1024, 1025, 1026, 1027, 1028, 1029, 1030, 1031, 1032}),
}


def check_relocations(image: Image, symbols: int | None) -> list[array[int]]:
    """Return the addresses that the relocations of *image* change, one array for each table.

    *symbols* is how many symbols there are, if that is known. Raises ValueError when a table is malformed.
    """
    relocations = _Relocations(image)
    relocations.check(symbols)
    return relocations.places


class _Relocations:
    def __init__(self, image: Image) -> None:
        self._image = image
        self._tables = image.tables
        self._tags = image.tags
        self.places: list[array[int]] = []

    def check(self, symbols: int | None) -> None:
        if _RELA in self._tags:
            self._check_entry_size(_RELAENT, "DT_RELAENT", 3)
            self._check_table(_RELA, self._image.value(_RELASZ, "DT_RELASZ"), 3, symbols)
        if _REL in self._tags and self._tables.machine == ARM:
            self._check_entry_size(_RELENT, "DT_RELENT", 2)
            self._check_table(_REL, self._image.value(_RELSZ, "DT_RELSZ"), 2, symbols)
        if _PLTREL in self._tags:
            kind = self._tags[_PLTREL]
            if kind != _RELA and (kind != _REL or self._tables.machine != ARM):
                raise ValueError("its kind of relocations (DT_PLTREL) is unknown")
            self._image.value(_JMPREL, "DT_JMPREL")
            size = self._image.value(_PLTRELSZ, "DT_PLTRELSZ")
            if not size:
                raise ValueError("it has no size of DT_JMPREL (DT_PLTRELSZ)")
            self._check_table(_JMPREL, size, 3 if kind == _RELA else 2, symbols)
        if _TLSDESC_GOT in self._tags and self._tables.machine == AARCH64:
            self._image.require(self._tags[_TLSDESC_GOT], self._image.word, "DT_TLSDESC_GOT", WRITABLE)
        if _RELR in self._tags:
            self._check_entry_size(_RELRENT, "DT_RELRENT", 1)
            self._check_packed(self._tags[_RELR], self._image.value(_RELRSZ, "DT_RELRSZ"))

    def _check_entry_size(self, tag: int, name: str, words: int) -> None:
        size = self._image.value(tag, name)
        if size != words * self._image.word:
            raise ValueError(f"its {name} is {size}, not {words * self._image.word}")

    def _check_table(self, tag: int, size: int, words: int, symbols: int | None) -> None:
        """Check the *size* bytes of relocations at *tag*; each has so many *words*."""
        name = {_REL: "DT_REL", _RELA: "DT_RELA", _JMPREL: "DT_JMPREL"}[tag]
        entries, rest = divmod(size, words * self._image.word)
        if rest:
            raise ValueError(f"the size of its relocations ({name}) is no multiple of that of one")
        table = self._image.numbers(self._tags[tag], entries * words, f"relocations ({name})", self._image.code)
        offsets, kinds = table[::words], table[1::words]
        if not entries:
            return
        self.places.append(offsets)
        relative = kinds[: self._tags.get(_COUNTS.get(tag, 0), 0)]
        # Most are relative ones, which count and compare much faster than each is looked at.
        if relative.count(_RELATIVE[self._tables.machine]) < len(relative):
            raise ValueError(f"a relocation of it ({name}) is not relative, as its number of these says")
        different = set(kinds[len(relative) :])
        width, mask = (32, 0xFFFFFFFF) if self._tables.is_64bit else (8, 0xFF)
        if symbols is not None and max(different, default=0) >> width >= max(1, symbols):
            raise ValueError(f"a relocation of it ({name}) has a symbol that does not exist")
        if tag == _JMPREL:
            self._check_jump_slots(offsets, kinds, mask)
        known = _KNOWN[self._tables.machine]
        used = {kind & mask for kind in different}
        if used - known:
            raise ValueError(f"a relocation of it ({name}) is of the kind {min(used - known)}, which no loader knows")
        if not self._is_writable(min(offsets), max(offsets)):
            real = sorted(place for place, kind in zip(offsets, kinds, strict=True) if kind & mask)
            if self._count_writable(real) < len(real):
                raise ValueError(f"outside of its writable segments: what a relocation of it ({name}) changes")

    def _check_jump_slots(self, offsets: array[int], kinds: array[int], mask: int) -> None:
        """Check the table of addresses (DT_PLTGOT). Three words come first, which the loader sets."""
        jump = _JUMP_SLOT[self._tables.machine]
        slots = [place for place, kind in zip(offsets, kinds, strict=True) if kind & mask == jump]
        if slots:
            begin = self._image.value(_PLTGOT, "DT_PLTGOT")
            self._image.require(begin, 3 * self._image.word, "DT_PLTGOT", WRITABLE)
            if min(slots) < begin + 3 * self._image.word:
                raise ValueError("its DT_PLTGOT does not fit its relocations (DT_JMPREL)")

    def _is_writable(self, first: int, last: int) -> bool:
        return self._image.find_segment(first, last - first + self._image.word, self._needed_flags()) is not None

    def _needed_flags(self) -> int:
        has_text_relocations = _TEXTREL in self._tags or self._tags.get(_FLAGS, 0) & _DF_TEXTREL
        return 0 if has_text_relocations else WRITABLE

    def _count_writable(self, places: list[int]) -> int:
        """Return how many of the sorted *places* lie in segments that may be written."""
        flags, total = self._needed_flags(), 0
        for segment in self._tables.segments:
            if segment.flags & flags == flags:
                end = segment.address + segment.memory_size - self._image.word + 1
                total += max(0, bisect_left(places, end) - bisect_left(places, segment.address))
        return total

    def _check_packed(self, address: int, size: int) -> None:
        """Check packed relocations: an even word is an address, an odd one marks which of the next words follow."""
        name = "relocations (DT_RELR)"
        place = 0
        for entry in self._image.numbers(address, size // self._image.word, name, self._image.code):
            if entry & 1:
                last = place + self._image.word * max(0, entry.bit_length() - 2)
                if entry > 1:
                    self._image.require(last, self._image.word, name, self._needed_flags())
                place += self._image.word * (8 * self._image.word - 1)
            else:
                self._image.require(entry, self._image.word, name, self._needed_flags())
                place = entry + self._image.word
