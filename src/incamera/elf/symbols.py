"""Versions and symbols: what a file asks of others by name, and what it offers them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from incamera.elf.facts import Reference, Symbols

if TYPE_CHECKING:
    from incamera.elf.tables import Tables

WEAK, BASE = 2, 1  # flags of a version that is asked for, of one that is defined

_HASH, _SYMTAB, _GNU_HASH = 4, 6, 0x6FFFFEF5
_VERSYM, _VERDEF, _VERNEED = 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFE
_DYNSYM = 11  # SHT_DYNSYM
_HIDDEN = 0x8000
_OLDEST = 2  # the index of the first version after the file's own
# Their index has 15 bits. The chains end by themselves, but a damaged one must not keep us busy for hours.
_MOST_VERSIONS = 0x7FFF


def needed_versions(tables: Tables) -> Iterator[tuple[str, int, int, str]]:
    """Yield library, flags, index and name of each version that is asked for."""
    if _VERNEED not in tables.tags:
        return
    place = tables.place(tables.tags[_VERNEED])
    outer, inner = struct.Struct(tables.order + "HHIII"), struct.Struct(tables.order + "IHHII")
    left = _MOST_VERSIONS
    while True:
        _, _, file, first, following = outer.unpack_from(tables.data, place)
        library = tables.string(file)
        entry = place + first
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
            raise ValueError("not a sound ELF file: it asks for more versions than can be told apart")
        place += following


def defined_versions(tables: Tables) -> Iterator[tuple[int, int, str]]:
    """Yield flags, index and name of each version that is defined; the one with the flag BASE is the file's own."""
    if _VERDEF not in tables.tags:
        return
    place = tables.place(tables.tags[_VERDEF])
    for _ in range(_MOST_VERSIONS):
        _, flags, index, _, _, first, following = struct.unpack_from(tables.order + "HHHHIII", tables.data, place)
        (name,) = struct.unpack_from(tables.order + "I", tables.data, place + first)
        yield flags, index, tables.string(name)
        if not following:
            return
        place += following


def symbols_of(tables: Tables) -> Symbols:
    if _SYMTAB not in tables.tags:
        return Symbols((), frozenset(), frozenset())
    count = _count_symbols(tables)
    start = tables.place(tables.tags[_SYMTAB])
    # Name, information, visibility, section, value.
    form = struct.Struct(tables.order + ("IBBHQ8x" if tables.wide else "II4xBBH"))
    table = tables.data[start : start + count * form.size]
    if len(table) < count * form.size:
        raise ValueError("not a sound ELF file: it ends within its symbols")
    versions: list[int] = []
    names: dict[int, str] = {}
    if _VERSYM in tables.tags:
        place = tables.place(tables.tags[_VERSYM])
        versions = list(struct.unpack_from(f"{tables.order}{count}H", tables.data, place))
        names = {index & ~_HIDDEN: name for flags, index, name in defined_versions(tables) if not flags & BASE}
        names |= {index & ~_HIDDEN: name for _, _, index, name in needed_versions(tables)}
    needs: list[Reference] = []
    weak: list[str] = []
    offers: list[str] = []
    for number, row in enumerate(form.iter_unpack(table)):
        if tables.wide:
            name, information, visibility, section, value = row
        else:
            name, value, information, visibility, section = row
        binding, kind = information >> 4, information & 15
        if binding == 0 or not name:
            continue
        text = tables.string(name)
        version = versions[number] if versions else 0
        if section == 0:
            if binding == 2:
                weak.append(text)
            else:
                needs.append(Reference(text, names.get(version & ~_HIDDEN, "")))
        # As the loader has it: no value is no definition; files, sections and hidden symbols are none either.
        elif (value or section == 0xFFF1 or kind == 6) and kind in (0, 1, 2, 5, 6, 10) and visibility & 3 in (0, 3):
            # Without asking for a version one gets the newest, or, for the sake of old programs, the oldest.
            if not version & _HIDDEN or version & ~_HIDDEN <= _OLDEST:
                offers.append(text)
            offers.append(f"{text}@{names.get(version & ~_HIDDEN, '')}")
    return Symbols(tuple(needs), frozenset(weak), frozenset(offers))


def _count_symbols(tables: Tables) -> int:
    """Nothing says how many there are but the tables that lead to them."""
    if _HASH in tables.tags:
        count: int = struct.unpack_from(tables.order + "II", tables.data, tables.place(tables.tags[_HASH]))[1]
    elif _GNU_HASH in tables.tags:
        count = _count_hashed(tables, tables.place(tables.tags[_GNU_HASH]))
    else:
        count = sum(len(data) for data in tables.sections(_DYNSYM)) // (24 if tables.wide else 16)
    if count > len(tables.data) // 16:
        raise ValueError("not a sound ELF file: more symbols than there is room for")
    return count


def _count_hashed(tables: Tables, place: int) -> int:
    bucket_count, first, bloom_size = struct.unpack_from(tables.order + "III", tables.data, place)
    place += 16 + bloom_size * (8 if tables.wide else 4)
    last = max(struct.unpack_from(f"{tables.order}{bucket_count}I", tables.data, place), default=0)
    if last < first:
        return int(first)
    place += bucket_count * 4
    while not struct.unpack_from(tables.order + "I", tables.data, place + (last - first) * 4)[0] & 1:
        last += 1
    return int(last) + 1
