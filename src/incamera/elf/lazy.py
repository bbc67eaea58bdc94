"""The functions that a loader looks up when they are first called, and not when it loads the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.elf.image import AARCH64, ARM, Image

if TYPE_CHECKING:
    from incamera.elf.tables import Tables

_PLTRELSZ, _SYMTAB, _RELA, _RELASZ, _REL, _RELSZ = 2, 6, 7, 8, 17, 18
_PLTREL, _JMPREL, _BIND_NOW, _FLAGS, _FLAGS_1 = 20, 23, 24, 30, 0x6FFFFFFB
_DF_BIND_NOW, _DF_1_NOW = 8, 1
_JUMP_SLOT = {ARM: 22, AARCH64: 1026}


def find_lazy_functions(tables: Tables) -> frozenset[str]:
    """Return the names of the imported functions that a process may start without. Raises ValueError.

    Nothing but calls refers to them, and the file does not ask for all symbols at once (-z now).
    """
    tags = tables.tags
    at_once = _BIND_NOW in tags or tags.get(_FLAGS, 0) & _DF_BIND_NOW or tags.get(_FLAGS_1, 0) & _DF_1_NOW
    if at_once or _JMPREL not in tags or _SYMTAB not in tags or tables.machine not in _JUMP_SLOT:
        return frozenset()
    image = Image(tables)
    width, mask = (32, 0xFFFFFFFF) if tables.is_64bit else (8, 0xFF)
    begin, size = tags[_JMPREL], tags.get(_PLTRELSZ, 0)
    called: set[int] = set()
    used: set[int] = set()
    jumps = _kinds(image, begin, size, 3 if tags.get(_PLTREL) == _RELA else 2)
    for kind in jumps:
        (called if kind & mask == _JUMP_SLOT[tables.machine] else used).add(kind >> width)
    for tag, size_tag, words in ((_RELA, _RELASZ, 3), (_REL, _RELSZ, 2)):
        if tag in tags:
            end = tags[tag] + tags.get(size_tag, 0)
            if tags[tag] <= begin < end:  # some linkers count both tables as one
                end = begin
            used |= {kind >> width for kind in _kinds(image, tags[tag], end - tags[tag], words)}
    entry = 24 if tables.is_64bit else 16
    names = (image.unpack("I", tags[_SYMTAB] + number * entry, "symbol table")[0] for number in called - used)
    return frozenset(map(tables.string, names))


def _kinds(image: Image, address: int, size: int, words: int) -> list[int]:
    """Return what each relocation of a table says about its kind and its symbol."""
    count = size // (words * image.word)
    return list(image.numbers(address, count * words, "relocations", image.code)[1::words])
