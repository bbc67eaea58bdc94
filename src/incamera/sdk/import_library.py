"""Writes import libraries: shared objects with names and versions of functions, but no code, for linkers only.

A module that is linked with one asks the camera's loader for the same library, functions and versions as one that was
linked with the camera's own.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incamera.targets.architecture import Architecture

_MACHINES = {Architecture.armv7hf: 40, Architecture.aarch64: 183}
_ARM_HARD_FLOAT = 0x05000400
_SHARED_OBJECT = 3
_PROGBITS, _STRTAB, _HASH, _DYNAMIC, _DYNSYM, _VERDEF, _VERSYM = 1, 3, 5, 6, 11, 0x6FFFFFFD, 0x6FFFFFFF
_WRITE, _ALLOC, _EXECUTE = 1, 2, 4
_PAGE = 65536
# Tags of the dynamic section.
_DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT, _DT_SONAME = 4, 5, 6, 10, 11, 14
_DT_VERSYM, _DT_VERDEF, _DT_VERDEFNUM = 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD
# Index of functions without a version, and of the version that stands for the library itself.
_GLOBAL = 1


@dataclass(slots=True)
class _Section:
    name: str
    kind: int
    flags: int
    data: bytes
    link: str = ""
    info: int = 0
    alignment: int = 8
    entry: int = 0
    offset: int = 0


def make_import_library(
    soname: str, functions: Mapping[str, str], nodes: Sequence[str], architecture: Architecture
) -> bytes:
    """Return a shared object *soname* that exports *functions*: each name with its symbol version, or "".

    *nodes* are the library's symbol versions, the oldest first. Equal arguments give equal bytes.
    """
    is_64bit = architecture.facts.bits == 64
    strings = _Strings()
    strings.add(soname)
    nodes = [node for node in nodes if node in functions.values()]
    indexes = {node: number for number, node in enumerate(nodes, _GLOBAL + 1)}
    names = sorted(functions)
    sections = [
        _Section(".hash", _HASH, _ALLOC, _hash_table(names), ".dynsym", entry=4),
        _Section(
            ".dynsym",
            _DYNSYM,
            _ALLOC,
            _symbols([strings.add(name) for name in names], is_64bit),
            ".dynstr",
            info=1,
            entry=24 if is_64bit else 16,
        ),
    ]
    if nodes:
        versions = struct.pack(f"<{len(names) + 1}H", 0, *(indexes.get(functions[name], _GLOBAL) for name in names))
        definitions = _definitions([soname, *nodes], strings)
        sections.append(_Section(".gnu.version", _VERSYM, _ALLOC, versions, ".dynsym", entry=2))
        sections.append(_Section(".gnu.version_d", _VERDEF, _ALLOC, definitions, ".dynstr", info=len(nodes) + 1))
    text = _Section(".text", _PROGBITS, _ALLOC | _EXECUTE, bytes(4 * len(names)))
    string_table = _Section(".dynstr", _STRTAB, _ALLOC, bytes(strings.data), alignment=1)
    dynamic = _Section(".dynamic", _DYNAMIC, _ALLOC | _WRITE, b"", ".dynstr", entry=16 if is_64bit else 8)
    return _Writer([*sections, string_table, text, dynamic], architecture).write(strings.add(soname), len(nodes))


class _Strings:
    def __init__(self) -> None:
        self.data = bytearray(b"\0")
        self._offsets: dict[str, int] = {"": 0}

    def add(self, text: str) -> int:
        if text not in self._offsets:
            self._offsets[text] = len(self.data)
            self.data += text.encode() + b"\0"
        return self._offsets[text]


def _symbols(names: Sequence[int], is_64bit: bool) -> bytes:
    """Return the symbol table of functions in the section .text, whose index is not known yet."""
    global_function = 0x12
    output = bytearray(24 if is_64bit else 16)
    for number, name in enumerate(names):
        if is_64bit:
            output += struct.pack("<IBBHQQ", name, global_function, 0, 0, 4 * number, 4)
        else:
            output += struct.pack("<IIIBBH", name, 4 * number, 4, global_function, 0, 0)
    return bytes(output)


def _elf_hash(name: str) -> int:
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return value


def _hash_table(names: Sequence[str]) -> bytes:
    """Return a table with one bucket: linkers do not look anything up in it."""
    count = len(names) + 1
    chain = [0, *range(2, count), 0][:count]
    return struct.pack(f"<4I{len(chain) - 1}I", 1, count, 1 if names else 0, 0, *chain[1:])


def _definitions(names: Sequence[str], strings: _Strings) -> bytes:
    output = b""
    for number, name in enumerate(names):
        base = number == 0
        following = 0 if number == len(names) - 1 else 28
        output += struct.pack("<HHHHIII", 1, base, number + 1, 1, _elf_hash(name), 20, following)
        output += struct.pack("<II", strings.add(name), 0)
    return output


class _Writer:
    def __init__(self, sections: Sequence[_Section], architecture: Architecture) -> None:
        self._sections = list(sections)
        self._architecture = architecture
        self._is_64bit = architecture.facts.bits == 64

    def write(self, soname: int, versions: int) -> bytes:
        """Return the file. *soname* is its place in the string table, *versions* how many there are."""
        sections = {section.name: section for section in self._sections}
        dynamic = sections[".dynamic"]
        dynamic.data = self._dynamic(sections, soname, versions)  # only its length counts here
        end = self._place()
        dynamic.data = self._dynamic(sections, soname, versions)
        self._set_section(sections[".dynsym"], self._index(".text"))
        names = _Strings()
        table = b"".join(self._section_header(section, names) for section in self._sections)
        own = names.add(".shstrtab")
        form = "<IIQQQQIIQQ" if self._is_64bit else "<10I"
        size = struct.calcsize(form)
        table = bytes(size) + table + struct.pack(form, own, _STRTAB, 0, 0, end, len(names.data), 0, 0, 1, 0)
        start = end + len(names.data)
        start += -start % 8
        output = bytearray(self._header(start, len(self._sections) + 2, size) + self._program_headers(dynamic, end))
        for section in self._sections:
            output += bytes(section.offset - len(output)) + section.data
        output += names.data
        return bytes(output + bytes(start - len(output)) + table)

    def _place(self) -> int:
        """Give each section its offset, which is also its address, and return the end of the last."""
        end = (64 + 2 * 56) if self._is_64bit else (52 + 2 * 32)
        for section in self._sections:
            end += -end % section.alignment
            section.offset = end
            end += len(section.data)
        return end

    def _index(self, name: str) -> int:
        return 1 + next(number for number, section in enumerate(self._sections) if section.name == name)

    def _set_section(self, symbols: _Section, index: int) -> None:
        data = bytearray(symbols.data)
        place = 6 if self._is_64bit else 14
        for offset in range(symbols.entry, len(data), symbols.entry):
            struct.pack_into("<H", data, offset + place, index)
        symbols.data = bytes(data)

    def _dynamic(self, sections: Mapping[str, _Section], soname: int, versions: int) -> bytes:
        tags = [
            (_DT_SONAME, soname),
            (_DT_HASH, sections[".hash"].offset),
            (_DT_STRTAB, sections[".dynstr"].offset),
            (_DT_SYMTAB, sections[".dynsym"].offset),
            (_DT_STRSZ, len(sections[".dynstr"].data)),
            (_DT_SYMENT, sections[".dynsym"].entry),
        ]
        if versions:
            tags += [
                (_DT_VERSYM, sections[".gnu.version"].offset),
                (_DT_VERDEF, sections[".gnu.version_d"].offset),
                (_DT_VERDEFNUM, versions + 1),
            ]
        form = "<QQ" if self._is_64bit else "<II"
        return b"".join(struct.pack(form, *tag) for tag in (*tags, (0, 0)))

    def _header(self, sections: int, count: int, size: int) -> bytes:
        ident = b"\x7fELF" + bytes((2 if self._is_64bit else 1, 1, 1)) + bytes(9)
        form, header, program = ("<HHIQQQIHHHHHH", 64, 56) if self._is_64bit else ("<HHIIIIIHHHHHH", 52, 32)
        flags = _ARM_HARD_FLOAT if self._architecture is Architecture.armv7hf else 0
        fields = (
            _SHARED_OBJECT,
            _MACHINES[self._architecture],
            1,
            0,
            header,
            sections,
            flags,
            header,
            program,
            2,
            size,
            count,
        )
        return ident + struct.pack(form, *fields, count - 1)

    def _program_headers(self, dynamic: _Section, end: int) -> bytes:
        loaded, read_write = 1, 6
        size = len(dynamic.data)
        output = b""
        for kind, flags, offset, length, alignment in (
            (loaded, 7, 0, end, _PAGE),
            (2, read_write, dynamic.offset, size, 8),
        ):
            if self._is_64bit:
                output += struct.pack("<IIQQQQQQ", kind, flags, offset, offset, offset, length, length, alignment)
            else:
                output += struct.pack("<IIIIIIII", kind, offset, offset, offset, length, length, flags, alignment)
        return output

    def _section_header(self, section: _Section, names: _Strings) -> bytes:
        form = "<IIQQQQIIQQ" if self._is_64bit else "<10I"
        return struct.pack(
            form,
            names.add(section.name),
            section.kind,
            section.flags,
            section.offset,
            section.offset,
            len(section.data),
            self._index(section.link) if section.link else 0,
            section.info,
            section.alignment,
            section.entry,
        )
