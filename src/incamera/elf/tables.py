"""The tables of an ELF file: what its header, its program headers and its dynamic section lead to."""

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
_NOBITS = 8  # SHT_NOBITS: takes no room in the file
_MOST_TAGS = 4096


class Header(NamedTuple):
    kind: int
    segment: Segment


class _Section(NamedTuple):
    name: int
    kind: int
    offset: int
    size: int


def read_identity(data: bytes | mmap) -> tuple[bool, str, int]:
    """Return whether the file is of 64 bits, its byte order as `struct` has it, and the number of its machine."""
    if len(data) < 52:
        raise ValueError("not a sound ELF file: too short")
    if data[:4] != ELF_MAGIC:
        raise ValueError("not an ELF file")
    if data[4] not in (1, 2) or data[5] not in (1, 2) or data[6] != 1:
        raise ValueError("not a sound ELF file: of no known class, byte order or version")
    order = "<" if data[5] == 1 else ">"
    return data[4] == 2, order, struct.unpack_from(order + "H", data, 18)[0]


class Tables:
    """The tables of an open file."""

    def __init__(self, data: bytes | mmap) -> None:
        self.data = data
        self.wide, self.order, self.machine = read_identity(data)
        # Type, version, where the headers are, flags, and sizes and numbers of headers.
        form = "H2xI8xQQI2xHHHHH" if self.wide else "H2xI4xIII2xHHHHH"
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
            self._section_names,
        ) = struct.unpack_from(self.order + form, data, 16)
        if version != 1:
            raise ValueError("not a sound ELF file: of no known version")
        if count and self.program_header_size != (56 if self.wide else 32):
            raise ValueError("not a sound ELF file: program headers of another size")
        self.headers = [Header(*self._program_header(number)) for number in range(count)]
        self.segments = tuple(header.segment for header in self.headers if header.kind == _LOAD)
        # The loader and the kernel look at these in memory, so where they lie in the file follows from the segments.
        tables = [header.segment for header in self.headers if header.kind == _DYNAMIC]
        self.dynamic = self._read_dynamic(tables[-1]) if tables and tables[-1].address else []
        self.tags = dict(self.dynamic)
        self.strings = b""
        if _STRTAB in self.tags:
            start = self.place(self.tags[_STRTAB])
            self.strings = data[start : start + self.tags.get(_STRSZ, 0)]
            if len(self.strings) < self.tags.get(_STRSZ, 0):
                raise ValueError("not a sound ELF file: it ends within its names")

    def _program_header(self, number: int) -> tuple[int, Segment]:
        place = self.program_headers + number * self.program_header_size
        if self.wide:
            kind, flags, offset, address, _, size, memory, alignment = struct.unpack_from(
                self.order + "IIQQQQQQ", self.data, place
            )
        else:
            kind, offset, address, _, size, memory, flags, alignment = struct.unpack_from(
                self.order + "IIIIIIII", self.data, place
            )
        return kind, Segment(offset, address, size, memory, flags, alignment)

    def _read_dynamic(self, table: Segment) -> list[tuple[int, int]]:
        """Read it to its last entry, which is a zero, whatever size the header gives it: a loader does so."""
        start = self.place(table.address)
        entry = struct.Struct(self.order + ("qQ" if self.wide else "iI"))
        size = min(_MOST_TAGS, (len(self.data) - start) // entry.size) * entry.size
        found: list[tuple[int, int]] = []
        for tag, value in entry.iter_unpack(self.data[start : start + size]):
            if tag == 0:
                return found
            found.append((tag, value))
        raise ValueError("not a sound ELF file: its dynamic section has no end")

    def place(self, address: int) -> int:
        """Return where in the file lies what is at *address* in memory."""
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.file_size:
                place = segment.offset + address - segment.address
                if place < len(self.data):
                    return place
        raise ValueError(f"not a sound ELF file: nothing of it lies at {address:#x}")

    def string(self, start: int) -> str:
        """Return the name that begins at *start*. Any bytes make a name, but it has to be shown."""
        end = self.strings.find(b"\0", start)
        if end < 0:
            raise ValueError("not a sound ELF file: a name without an end")
        return self.strings[start:end].decode("utf-8", "backslashreplace")

    def strings_of(self, wanted: int) -> tuple[str, ...]:
        return tuple(self.string(value) for tag, value in self.dynamic if tag == wanted)

    def sections(self, wanted: int) -> Iterator[bytes]:
        """Yield what is in the sections of the kind *wanted*."""
        for section in self._sections():
            if section.kind == wanted:
                yield self._content(section)

    def section(self, wanted: str) -> bytes | None:
        """Return what is in the section called *wanted*."""
        sections = list(self._sections())
        if self._section_names >= len(sections):
            return None
        names = self._content(sections[self._section_names])
        for section in sections:
            if names[section.name : names.find(b"\0", section.name)] == wanted.encode():
                return self._content(section)
        return None

    def _sections(self) -> Iterator[_Section]:
        if not self.section_headers or self.section_header_size != (64 if self.wide else 40):
            return
        form = struct.Struct(self.order + ("IIQQQQ" if self.wide else "IIIIII"))
        for number in range(self.section_count):
            place = self.section_headers + number * self.section_header_size
            if place + form.size > len(self.data):
                return
            name, kind, _, _, offset, size = form.unpack_from(self.data, place)
            yield _Section(name, kind, offset, size)

    def _content(self, section: _Section) -> bytes:
        return b"" if section.kind == _NOBITS else self.data[section.offset : section.offset + section.size]
