"""The tables of an ELF file: its header, program headers, dynamic section and strings."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

from incamera.elf.facts import Segment

ELF_MAGIC = b"\x7fELF"
GNU_STACK, INTERP = 0x6474E551, 3

_LOAD, _DYNAMIC = 1, 2
_STRTAB, _STRSZ = 5, 10
_NAMES = (1, 14, 15, 29)  # DT_NEEDED, SONAME, RPATH, RUNPATH
_EXECUTES = 4  # SHF_EXECINSTR
_NOBITS = 8  # SHT_NOBITS: takes no room in the file
_MAX_TAGS = 4096


class Header(NamedTuple):
    kind: int
    segment: Segment


class _Section(NamedTuple):
    name: int
    kind: int
    offset: int
    size: int
    flags: int
    address: int


def read_identity(data: bytes | mmap) -> tuple[bool, str, int]:
    """Return whether the file is a 64-bit one, its byte order as `struct` writes it, and the number of its machine.

    Raises ValueError for a file that is too short, or not an ELF file.
    """
    if len(data) < 52:
        raise ValueError("not a valid ELF file: too short")
    if data[:4] != ELF_MAGIC:
        raise ValueError("not an ELF file")
    if data[4] not in (1, 2) or data[5] not in (1, 2) or data[6] != 1:
        raise ValueError("not a valid ELF file: its class, byte order or version is unknown")
    order = "<" if data[5] == 1 else ">"
    return data[4] == 2, order, struct.unpack_from(order + "H", data, 18)[0]


class Tables:
    """The tables in *data*, the content of an ELF file. Raises ValueError where they are damaged."""

    def __init__(self, data: bytes | mmap) -> None:
        self.data = data
        self.is_64bit, self.byte_order, self.machine = read_identity(data)
        # An Elf64_Ehdr or an Elf32_Ehdr after its identification, without entry point and header size.
        form = "H2xI8xQQI2xHHHHH" if self.is_64bit else "H2xI4xIII2xHHHHH"
        (
            self.type,
            version,
            self.program_headers,
            self.section_headers,
            self.flags,
            self.program_header_size,
            count,
            self.section_header_size,
            self.section_count,
            self.section_names,
        ) = struct.unpack_from(self.byte_order + form, data, 16)
        if version != 1:
            raise ValueError(f"not a valid ELF file: its version is {version}, not 1")
        if count and self.program_header_size != (56 if self.is_64bit else 32):
            raise ValueError(f"not a valid ELF file: its program headers have {self.program_header_size} bytes each")
        self.headers = [Header(*self._program_header(number)) for number in range(count)]
        self.segments = tuple(header.segment for header in self.headers if header.kind == _LOAD)
        # The dynamic section gives addresses in memory; the segments tell where in the file they are.
        tables = [header.segment for header in self.headers if header.kind == _DYNAMIC]
        self.dynamic = self._read_dynamic(tables[-1]) if tables and tables[-1].address else []
        self.tags = dict(self.dynamic)
        self.strings = b""
        if _STRTAB in self.tags:
            start = self.offset_of(self.tags[_STRTAB])
            end = start + self.tags.get(_STRSZ, 0)
            # Loaders do not look at the size, and read on to the end of the segment.
            room = self._end_of(self.tags[_STRTAB])
            if not start < end <= room or data[end - 1] or self._is_used(end - start):
                end = room
            self.strings = data[start:end]

    def _program_header(self, number: int) -> tuple[int, Segment]:
        start = self.program_headers + number * self.program_header_size
        if self.is_64bit:
            kind, flags, offset, address, _, size, memory, alignment = struct.unpack_from(
                self.byte_order + "IIQQQQQQ", self.data, start
            )
        else:
            kind, offset, address, _, size, memory, flags, alignment = struct.unpack_from(
                self.byte_order + "IIIIIIII", self.data, start
            )
        return kind, Segment(offset, address, size, flags, alignment, memory)

    def _read_dynamic(self, table: Segment) -> list[tuple[int, int]]:
        """Return the tags and values up to the null entry. Loaders ignore the size in the header, too."""
        start = self.offset_of(table.address)
        entry = struct.Struct(self.byte_order + ("qQ" if self.is_64bit else "iI"))
        size = min(_MAX_TAGS, (len(self.data) - start) // entry.size) * entry.size
        found: list[tuple[int, int]] = []
        for tag, value in entry.iter_unpack(self.data[start : start + size]):
            if tag == 0:
                return found
            found.append((tag, value))
        raise ValueError("not a valid ELF file: its dynamic section has no end")

    def offset_of(self, address: int) -> int:
        """Return the file offset of what is loaded to *address* in memory. Raises ValueError when nothing is."""
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.file_size:
                offset = segment.offset + address - segment.address
                if offset < len(self.data):
                    return offset
        raise ValueError(f"not a valid ELF file: it has nothing at address {address:#x}")

    def _end_of(self, address: int) -> int:
        """Return where in the file the segment ends that has *address*."""
        ends = [
            segment.offset + segment.file_size
            for segment in self.segments
            if segment.address <= address < segment.address + segment.file_size
        ]
        return min([*ends[:1], len(self.data)])

    def _is_used(self, size: int) -> bool:
        """Return whether the dynamic section has strings that begin behind the *size* bytes of the string table."""
        return any(value >= size for tag, value in self.dynamic if tag in _NAMES)

    def string(self, start: int) -> str:
        """Return the string that begins at *start* of the string table, with invalid UTF-8 escaped."""
        return self.raw_string(start).decode("utf-8", "backslashreplace")

    def raw_string(self, start: int) -> bytes:
        """Return the bytes of the string that begins at *start* of the string table."""
        end = self.strings.find(b"\0", start)
        if end < 0:
            raise ValueError("not a valid ELF file: a string has no end")
        return self.strings[start:end]

    def strings_of(self, wanted: int) -> tuple[str, ...]:
        """Return the strings that the entries *wanted* of the dynamic section name."""
        return tuple(self.string(value) for tag, value in self.dynamic if tag == wanted)

    def sections(self, wanted: int) -> Iterator[bytes]:
        """Yield the content of each section of the kind *wanted*."""
        for section in self._sections(wanted):
            yield self._content(section)

    def section_places(self, wanted: int) -> list[tuple[int, int]]:
        """Return where in the file each section of the kind *wanted* is: its offset and size."""
        return [(one.offset, one.size) for one in self._sections(wanted)]

    def section(self, wanted: str) -> bytes | None:
        """Return the content of the section called *wanted*; None when there is none."""
        sections = list(self._sections())
        if self.section_names >= len(sections):
            return None
        names = self._content(sections[self.section_names])
        for section in sections:
            if names[section.name : names.find(b"\0", section.name)] == wanted.encode():
                return self._content(section)
        return None

    def code_sections(self) -> list[tuple[str, int, int]]:
        """Return name, address and size of each section of code; nothing for a file without section headers."""
        sections = list(self._sections())
        code = [one for one in sections if one.flags & _EXECUTES]
        names = self._content(sections[self.section_names]) if code and self.section_names < len(sections) else b""
        return [
            (names[one.name : names.find(b"\0", one.name)].decode("latin-1"), one.address, one.size) for one in code
        ]

    def _sections(self, wanted: int | None = None) -> Iterator[_Section]:
        """Yield the sections; with *wanted*, those of that kind."""
        if not self.section_headers or self.section_header_size != (64 if self.is_64bit else 40):
            return
        form = struct.Struct(self.byte_order + ("IIQQQQ24x" if self.is_64bit else "IIIIII16x"))
        count = min(self.section_count, max(0, len(self.data) - self.section_headers) // form.size)
        table = self.data[self.section_headers : self.section_headers + count * form.size]
        for name, kind, flags, address, offset, size in form.iter_unpack(table):
            if wanted is None or kind == wanted:
                yield _Section(name, kind, offset, size, flags, address)

    def _content(self, section: _Section) -> bytes:
        return b"" if section.kind == _NOBITS else self.data[section.offset : section.offset + section.size]
