"""The symbols and symbol versions that a file imports from others, and exports to others."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from incamera.elf.facts import Reference, Symbols

if TYPE_CHECKING:
    from incamera.elf.tables import Tables

WEAK, BASE = 2, 1  # flags of a needed version (VER_FLG_WEAK), of a defined one (VER_FLG_BASE)

_HASH, _STRTAB, _SYMTAB, _GNU_HASH = 4, 5, 6, 0x6FFFFEF5
_VERSYM, _VERDEF, _VERNEED = 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFE
_DYNSYM = 11  # SHT_DYNSYM
_HIDDEN = 0x8000
_OLDEST = 2  # the index of the first version after the base version
# An index has 15 bits. A valid chain ends by itself; the limit stops the walk through a damaged one.
_MAX_VERSIONS = 0x7FFF


def needed_versions(tables: Tables) -> Iterator[tuple[str, int, int, str]]:
    """Yield library, flags, index and name of each version that the file needs."""
    if _VERNEED not in tables.tags:
        return
    offset = tables.offset_of(tables.tags[_VERNEED])
    outer, inner = struct.Struct(tables.byte_order + "HHIII"), struct.Struct(tables.byte_order + "IHHII")
    left = _MAX_VERSIONS
    while True:
        _, _, file, first, following = outer.unpack_from(tables.data, offset)
        library = tables.string(file)
        entry = offset + first
        while left:
            _, flags, index, name, after = inner.unpack_from(tables.data, entry)
            yield library, flags, index, tables.string(name)
            left -= 1
            if not after:
                break
            entry += after
        if not following:
            return
        if not left:
            raise ValueError(f"not a valid ELF file: it needs more than {_MAX_VERSIONS} symbol versions")
        offset += following


def defined_versions(tables: Tables) -> Iterator[tuple[int, int, str]]:
    """Yield flags, index and name of each version that the file defines; BASE marks the file's own name."""
    if _VERDEF not in tables.tags:
        return
    offset = tables.offset_of(tables.tags[_VERDEF])
    for _ in range(_MAX_VERSIONS):
        _, flags, index, _, _, first, following = struct.unpack_from(tables.byte_order + "HHHHIII", tables.data, offset)
        (name,) = struct.unpack_from(tables.byte_order + "I", tables.data, offset + first)
        yield flags, index, tables.string(name)
        if not following:
            return
        offset += following


def symbols_of(tables: Tables) -> Symbols:
    """Return the dynamic symbols that *tables* hold. Raises ValueError for a damaged table."""
    if _SYMTAB not in tables.tags:
        return Symbols((), frozenset(), frozenset())
    count = _count_symbols(tables)
    start = tables.offset_of(tables.tags[_SYMTAB])
    # An Elf64_Sym or an Elf32_Sym, without its size.
    form = struct.Struct(tables.byte_order + ("IBBHQ8x" if tables.is_64bit else "II4xBBH"))
    table = tables.data[start : start + count * form.size]
    if len(table) < count * form.size:
        raise ValueError("not a valid ELF file: its symbol table is cut short")
    versions: list[int] = []
    names: dict[int, str] = {}
    if _VERSYM in tables.tags:
        offset = tables.offset_of(tables.tags[_VERSYM])
        versions = list(struct.unpack_from(f"{tables.byte_order}{count}H", tables.data, offset))
        names = {index & ~_HIDDEN: name for flags, index, name in defined_versions(tables) if not flags & BASE}
        names |= {index & ~_HIDDEN: name for _, _, index, name in needed_versions(tables)}
    imports: list[Reference] = []
    weak: list[str] = []
    exports: list[str] = []
    strings = tables.strings
    for number, row in enumerate(form.iter_unpack(table)):
        if tables.is_64bit:
            name, information, visibility, section, value = row
        else:
            name, value, information, visibility, section = row
        binding, kind = information >> 4, information & 15
        if binding == 0 or not name:
            continue
        # Some files have ten thousand symbols: this is tables.string(name) without the time that its calls take.
        end = strings.find(b"\0", name)
        text = strings[name:end].decode("utf-8", "backslashreplace") if end >= 0 else tables.string(name)
        version = versions[number] if versions else 0
        if section == 0:
            if binding == 2:
                weak.append(text)
            else:
                imports.append(Reference(text, names.get(version & ~_HIDDEN, "")))
        # The loader ignores symbols without a value, and those of files and sections, and hidden ones.
        elif (value or section == 0xFFF1 or kind == 6) and kind in (0, 1, 2, 5, 6, 10) and visibility & 3 in (0, 3):
            # A reference without a version gets the default version, or, in old programs, the oldest.
            if not version & _HIDDEN or version & ~_HIDDEN <= _OLDEST:
                exports.append(text)
            exports.append(f"{text}@{names.get(version & ~_HIDDEN, '')}")
    return Symbols(tuple(imports), frozenset(weak), frozenset(exports))


def _count_symbols(tables: Tables) -> int:
    """Return the number of dynamic symbols. No field holds it, so it follows from the hash tables."""
    count = _count_gnu_hash(tables, tables.offset_of(tables.tags[_GNU_HASH])) if _GNU_HASH in tables.tags else 0
    if not count and _HASH in tables.tags:  # a loader doesn't look at it where it has the other
        count = struct.unpack_from(tables.byte_order + "II", tables.data, tables.offset_of(tables.tags[_HASH]))[1]
    if not count:
        count = _count_in_sections(tables)
    if not count and _GNU_HASH in tables.tags:
        first = struct.unpack_from(tables.byte_order + "I", tables.data, tables.offset_of(tables.tags[_GNU_HASH]) + 4)[
            0
        ]
        count = max(first, _count_before_strings(tables))
    if count > len(tables.data) // 16:
        raise ValueError("not a valid ELF file: it claims to have more symbols than fit into it")
    return count


def _count_gnu_hash(tables: Tables, offset: int) -> int:
    """Return the number of symbols that the DT_GNU_HASH table at *offset* covers; 0 where it exports none.

    Imports are in no such table, and some linkers write into an empty one that it begins at symbol 1.
    """
    bucket_count, first, bloom_size = struct.unpack_from(tables.byte_order + "III", tables.data, offset)
    offset += 16 + bloom_size * (8 if tables.is_64bit else 4)
    last = max(struct.unpack_from(f"{tables.byte_order}{bucket_count}I", tables.data, offset), default=0)
    if last < first:
        return 0
    offset += bucket_count * 4
    while not struct.unpack_from(tables.byte_order + "I", tables.data, offset + (last - first) * 4)[0] & 1:
        last += 1
    return int(last) + 1


def _count_in_sections(tables: Tables) -> int:
    try:
        return sum(len(data) for data in tables.sections(_DYNSYM)) // (24 if tables.is_64bit else 16)
    except ValueError:
        return 0  # no loader reads section headers, so damaged ones do no harm


def _count_before_strings(tables: Tables) -> int:
    """Return how many symbols fit between the symbol table and the string table, which linkers put behind it."""
    size = tables.tags.get(_STRTAB, 0) - tables.tags[_SYMTAB]
    return max(size, 0) // (24 if tables.is_64bit else 16)
