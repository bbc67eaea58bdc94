"""Debug information beside an ELF file: a library without it, and one with it that has the same build ID.

The build ID is that of the file without debug information, so that this file is the same whatever the other one tells
of the computer that compiled it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from incamera.elf.file import damage_as_value_error, opened
from incamera.elf.tables import Tables

_NOBITS, _NOTE, _SYMTAB, _STRTAB = 8, 7, 2, 3
_ALLOC, _INFO_LINK = 2, 0x40
_RELOCATIONS = (4, 9)  # SHT_RELA, SHT_REL: the field `info` is a section, too
_PROGRAM, _SHARED = 2, 3
_GNU_BUILD_ID = 3
_DEBUG_NAMES = (b".debug_", b".zdebug_", b".gdb_index", b".gnu_debuglink", b".gnu_debugaltlink")
_LINES = (b".debug_line", b".zdebug_line")
_MOST_SECTIONS = 0xFF00  # a file with more has their number elsewhere
_MOST_ALIGNED = 1 << 16  # bytes
_SUFFIX = ".debug"
DEBUG_FOLDER = "debug"
"""The folder beside a wheel that was built, for the debug information of its binaries."""


class Stripped(NamedTuple):
    """*data* is a file without symbol table and debug information. *debug* is the whole one, with the same build ID;
    None where it tells no lines, or has no build ID.
    """

    data: bytes
    debug: bytes | None
    build_id: str


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


def strip(data: bytes) -> Stripped | None:
    """Return *data*, a library or a program, without what no loader reads. None where nothing is to be removed.

    What is loaded stays where it is in the file. Raises ValueError for a file that is damaged.
    """
    with damage_as_value_error():
        tables = Tables(data)
        if tables.type not in (_PROGRAM, _SHARED) or not 0 < tables.section_count < _MOST_SECTIONS:
            return None
        return _Stripping(tables, data).run()


class _Stripping:
    def __init__(self, tables: Tables, data: bytes) -> None:
        self._tables, self._data = tables, data
        form = "IIQQQQIIQQ" if tables.is_64bit else "IIIIIIIIII"
        self._form = struct.Struct(tables.byte_order + form)
        if tables.section_header_size != self._form.size:
            raise ValueError(f"not a valid ELF file: its section headers have {tables.section_header_size} bytes each")
        self._sections = [
            _Section(*self._form.unpack_from(data, tables.section_headers + number * self._form.size))
            for number in range(tables.section_count)
        ]
        self._names = [self._name(section) for section in self._sections]

    def run(self) -> Stripped | None:
        kept = [number for number in range(len(self._sections)) if self._is_kept(number)]
        # The table of the sections' names is made anew.
        if len(kept) >= len(self._sections) - 1:
            return None
        numbers = {number: new for new, number in enumerate(kept)}
        if not all(self._sections[number].link in numbers for number in kept):
            return None  # relocations of what would be removed
        out = bytearray(self._data[: self._loaded_end()])
        names, headers = bytearray(b"\0"), []
        for number in kept:
            section = self._sections[number]
            offset = section.offset
            if number and not section.flags & _ALLOC and section.kind != _NOBITS:
                offset = _append(out, self._data[offset : offset + section.size], section.alignment)
            refers = section.kind in _RELOCATIONS or section.flags & _INFO_LINK
            headers.append(
                section._replace(
                    name=len(names) if number else 0,
                    offset=offset,
                    link=numbers[section.link],
                    info=numbers.get(section.info, 0) if refers else section.info,
                )
            )
            if number:
                names += self._names[number] + b"\0"
        name, names_name = len(names), b".shstrtab\0"
        names += names_name
        headers.append(_Section(name, _STRTAB, 0, 0, _append(out, names, 1), len(names), 0, 0, 1, 0))
        table = b"".join(self._form.pack(*header) for header in headers)
        self._write_header(out, _append(out, table, 8 if self._tables.is_64bit else 4), len(headers))
        return self._identify(out)

    def _name(self, section: _Section) -> bytes:
        names = self._sections[self._tables.section_names]
        start = names.offset + section.name
        return self._data[start : self._data.index(b"\0", start)]

    def _is_kept(self, number: int) -> bool:
        section = self._sections[number]
        if number == 0 or section.flags & _ALLOC:
            return True
        if number == self._tables.section_names or section.kind == _SYMTAB or self._names[number] == b".strtab":
            return False
        return not self._names[number].startswith(_DEBUG_NAMES)

    def _loaded_end(self) -> int:
        """Return the end of what a loader may read, as an offset in the file."""
        tables = self._tables
        headers: int = tables.program_headers + tables.program_header_size * len(tables.headers)
        ends = [64 if tables.is_64bit else 52, headers]
        ends += [header.segment.offset + header.segment.file_size for header in tables.headers]
        ends += [one.offset + one.size for one in self._sections if one.flags & _ALLOC and one.kind != _NOBITS]
        return max(ends)

    def _write_header(self, out: bytearray, table: int, count: int) -> None:
        order = self._tables.byte_order
        if self._tables.is_64bit:
            struct.pack_into(order + "Q", out, 40, table)
            struct.pack_into(order + "HH", out, 60, count, count - 1)
        else:
            struct.pack_into(order + "I", out, 32, table)
            struct.pack_into(order + "HH", out, 48, count, count - 1)

    def _identify(self, out: bytearray) -> Stripped:
        place = self._find_build_id()
        if place is None:
            return Stripped(bytes(out), None, "")
        start, end = place
        out[start:end] = bytes(end - start)
        build_id = hashlib.sha1(out, usedforsecurity=False).digest()[: end - start].ljust(end - start, b"\0")
        out[start:end] = build_id
        has_lines = any(name in _LINES for name in self._names)
        debug = self._data[:start] + build_id + self._data[end:] if has_lines else None
        return Stripped(bytes(out), debug, build_id.hex())

    def _find_build_id(self) -> tuple[int, int] | None:
        """Return where the build ID is in the file."""
        notes = [one for one in self._sections if one.kind == _NOTE and one.flags & _ALLOC]
        return _find_build_id(self._tables, [(one.offset, one.size) for one in notes])


def _append(out: bytearray, data: bytes | bytearray, alignment: int) -> int:
    """Add *data* to *out*, and return where it begins."""
    if alignment > _MOST_ALIGNED:
        raise ValueError(f"not a valid ELF file: a section is aligned to {alignment} bytes")
    out += bytes(-len(out) % max(1, alignment))
    start = len(out)
    out += data
    return start


def _find_build_id(tables: Tables, notes: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
    for start, size in notes:
        at = start
        while at + 16 <= start + size:
            name_size, content_size, kind = struct.unpack_from(tables.byte_order + "III", tables.data, at)
            content = at + 12 + (name_size + 3 & ~3)
            end = content + content_size
            if kind == _GNU_BUILD_ID and name_size == 4 and tables.data[at + 12 : at + 16] == b"GNU\0":
                return (content, end) if content_size and end <= start + size else None
            at = content + (content_size + 3 & ~3)
    return None


def read_build_id(path: Path) -> str:
    """Return the build ID of the ELF file at *path* in hexadecimal digits, "" where it has none.

    Raises ValueError for a file that is damaged, OSError.
    """
    with opened(path) as tables:
        found = _find_build_id(tables, tables.section_places(_NOTE))
        return bytes(tables.data[found[0] : found[1]]).hex() if found else ""


def write_debug_file(folder: Path, stripped: Stripped) -> None:
    """Write the debug information of *stripped*, if it has any, to *folder*, which is made."""
    if stripped.debug is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{stripped.build_id}{_SUFFIX}").write_bytes(stripped.debug)


def find_debug_file(path: Path, folders: Iterable[Path]) -> Path | None:
    """Return the file in one of *folders* that has the debug information of the ELF file at *path*.

    Raises as `read_build_id`.
    """
    if not (build_id := read_build_id(path)):
        return None
    files = (folder / f"{build_id}{_SUFFIX}" for folder in folders)
    return next((file for file in files if file.is_file()), None)
