"""Find out whether glibc's loader would crash on an ELF file: every address in its tables must lead into a segment.

A loader believes what a file says. It reads its tables wherever they are said to be, without looking at sizes.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from incamera.elf.image import AARCH64, ARM, EXECUTABLE, WRITABLE, Image
from incamera.elf.loading_relocations import check_relocations
from incamera.elf.loading_symbols import check_symbols

if TYPE_CHECKING:
    from array import array

    from incamera.elf.facts import Segment
    from incamera.elf.tables import Tables

_PROGRAM, _SHARED = 2, 3  # ET_EXEC, ET_DYN
_DYNAMIC, _INTERP, _NOTE, _PHDR, _TLS = 2, 3, 4, 6, 7
_RELRO, _PROPERTY = 0x6474E552, 0x6474E553
_STRTAB, _SYMTAB, _INIT, _FINI, _DEBUG = 5, 6, 12, 13, 21
# DT_INIT_ARRAY, FINI_ARRAY and PREINIT_ARRAY, and their sizes.
_ARRAYS = {25: (27, "DT_INIT_ARRAY"), 26: (28, "DT_FINI_ARRAY"), 32: (33, "DT_PREINIT_ARRAY")}
# The size of a table, or the number of its entries, and the table that must be there, too.
_TABLES = {
    8: (7, "DT_RELA"),
    18: (17, "DT_REL"),
    2: (23, "DT_JMPREL"),
    35: (36, "DT_RELR"),
    0x6FFFFFFF: (0x6FFFFFFE, "DT_VERNEED"),
    0x6FFFFFFD: (0x6FFFFFFC, "DT_VERDEF"),
    23: (20, "DT_PLTREL"),
    **{size: (tag, name) for tag, (size, name) in _ARRAYS.items()},
}
# DT_CONFIG, DEPAUDIT, AUDIT, AUXILIARY and FILTER: offsets in the string table, besides those that are facts.
_TEXTS = (0x6FFFFEFA, 0x6FFFFEFB, 0x6FFFFEFC, 0x7FFFFFFD, 0x7FFFFFFF)
_RELR, _FLAGS_1 = 36, 0x6FFFFFFB
_DF_1_PIE = 0x08000000
_LARGEST_PAGE = 65536
_MANY = 16


def check_loading(tables: Tables) -> None:
    """Raise ValueError, with the table that is wrong, when a loader would crash on a file with *tables* or refuse it.

    Only files for a camera's processors are checked.
    """
    if tables.machine in (ARM, AARCH64) and tables.type in (_PROGRAM, _SHARED):
        _Loading(tables).check()


class _Loading:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._tags = tables.tags
        self._image = Image(tables)
        self._relocated: list[array[int]] = []

    @cached_property
    def _sections(self) -> list[tuple[str, int, int]]:
        return self._tables.code_sections()

    def check(self) -> None:
        self._check_segments()
        self._check_other_headers()
        if not self._tables.dynamic:
            return
        for tag, name in ((_STRTAB, "DT_STRTAB"), (_SYMTAB, "DT_SYMTAB")):
            if tag not in self._tags:
                raise ValueError(f"it has no {name}")
        for tag, value in self._tables.dynamic:
            if tag in _TEXTS:
                self._tables.string(value)
            elif tag in _TABLES and value:
                self._image.value(*_TABLES[tag])
        self._relocated = check_relocations(self._image, check_symbols(self._image))
        self._check_functions()

    def _check_segments(self) -> None:
        end = 0
        most = 1 << (48 if self._tables.is_64bit else 32)
        for segment in self._tables.segments:
            if segment.file_size > segment.memory_size:
                raise ValueError("a segment of it has more bytes in the file than in memory")
            if segment.address < end:
                raise ValueError("its segments overlap, or are out of order")
            end = segment.address + segment.memory_size
        if self._tables.segments and end - self._tables.segments[0].address > most // 2:
            raise ValueError("its segments do not fit into memory")

    def _check_other_headers(self) -> None:
        length = len(self._tables.data)
        for kind, segment in self._tables.headers:
            if kind == _DYNAMIC and self._tables.dynamic:
                if not segment.file_size:
                    raise ValueError("its dynamic section (PT_DYNAMIC) is empty")
                size = (len(self._tables.dynamic) + 1) * 2 * self._image.word
                self._image.require(segment.address, size, "dynamic section", segment.flags & WRITABLE)
                self._image.read(segment.address, size, "dynamic section")
            elif kind == _TLS and segment.memory_size:
                if segment.file_size:
                    self._image.require(segment.address, segment.file_size, "thread-local data (PT_TLS)")
                if segment.file_size > segment.memory_size or segment.alignment & (segment.alignment - 1):
                    raise ValueError("its thread-local data (PT_TLS) are malformed")
                if segment.memory_size >= 1 << 30:
                    raise ValueError("its thread-local data (PT_TLS) do not fit into memory")
            elif kind == _RELRO:
                self._check_relro(segment)
            elif kind in (_PHDR, _PROPERTY):
                name = "program headers (PT_PHDR)" if kind == _PHDR else "properties (PT_GNU_PROPERTY)"
                self._image.require(segment.address, segment.memory_size, name)
            elif kind == _NOTE and segment.offset + segment.file_size > length:
                raise ValueError("its notes (PT_NOTE) lie beyond its end")
            elif kind == _INTERP and self._is_program():
                text = self._tables.data[segment.offset : segment.offset + segment.file_size]
                if not 2 <= len(text) == segment.file_size <= 4096 or text[-1] or text.find(b"\0") < 1:
                    raise ValueError("the name of its loader (PT_INTERP) is malformed")

    def _check_relro(self, relro: Segment) -> None:
        if not relro.memory_size:
            return
        for segment in self._tables.segments:
            end = segment.address + segment.memory_size
            # Linkers round the end up to the largest page.
            is_there = segment.flags & WRITABLE and segment.address <= relro.address < end
            if is_there and relro.address + relro.memory_size <= end + -end % _LARGEST_PAGE:
                return
        raise ValueError("outside of its writable segments: its PT_GNU_RELRO")

    def _is_program(self) -> bool:
        if self._tables.type == _PROGRAM or _DEBUG in self._tags:
            return True
        return bool(self._tags.get(_FLAGS_1, 0) & _DF_1_PIE)

    def _check_functions(self) -> None:
        for tag, name in ((_INIT, "DT_INIT"), (_FINI, "DT_FINI")):
            if tag in self._tags:
                self._require_function(self._tags[tag], name)
                self._compare_sections(self._tags[tag] & ~1, name)
        for tag, (size_tag, name) in _ARRAYS.items():
            if tag in self._tags:
                self._check_array(self._tags[tag], self._image.value(size_tag, f"size of its {name}"), name)

    def _compare_sections(self, address: int, name: str) -> None:
        """Raise ValueError when the function at *address* is in no section of code, or begins inside .init or .fini."""
        sections = self._sections
        found = next((one for one in sections if one[1] <= address < one[1] + one[2]), None)
        if sections and (found is None or (found[0] in (".init", ".fini") and found[1] != address)):
            raise ValueError(f"its {name} is no function")

    def _check_array(self, begin: int, size: int, name: str) -> None:
        functions = self._image.numbers(begin, size // self._image.word, name, self._image.code)
        for address in functions:
            if address:  # else a relocation gives it
                self._require_function(address, name)
        if self._tables.type == _SHARED and _RELR not in self._tags:
            places = range(begin, begin + len(functions) * self._image.word, self._image.word)
            if len(places) > _MANY:
                missing = bool(set(places).difference(*self._relocated))
            else:  # they come first in most tables, so this is faster
                missing = not all(any(place in offsets for offsets in self._relocated) for place in places)
            if missing:
                raise ValueError(f"its {name} has an address that is not relocated")

    def _require_function(self, address: int, name: str) -> None:
        if self._image.find_segment(address & ~1, 2, EXECUTABLE) is None:
            raise ValueError(f"outside of its code: its {name}, at address {address:#x}")
