"""Reads ELF files as a loader reads them: through the program headers and the dynamic section.

So a file without section headers tells as much. Hundreds of files are read at once: nothing is looked at that isn't
asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

from incamera.elf.attributes import ArmAttributes, parse_arm_attributes
from incamera.elf.facts import ElfFacts, ElfType, Reference, Segment, Symbols

ELF_MAGIC = b"\x7fELF"

_MACHINES = {
    3: "EM_386",
    8: "EM_MIPS",
    20: "EM_PPC",
    21: "EM_PPC64",
    22: "EM_S390",
    40: "EM_ARM",
    62: "EM_X86_64",
    183: "EM_AARCH64",
    243: "EM_RISCV",
    258: "EM_LOONGARCH",
}
_LOAD, _DYNAMIC, _INTERP, _TLS, _GNU_STACK = 1, 2, 3, 7, 0x6474E551
_EXECUTABLE = 1  # PF_X
_ARM_ATTRIBUTES = 0x70000003  # SHT_ARM_ATTRIBUTES
_DYNSYM = 11  # SHT_DYNSYM

_NEEDED, _HASH, _STRTAB, _SYMTAB, _STRSZ, _SONAME, _RPATH = 1, 4, 5, 6, 10, 14, 15
_DEBUG, _TEXTREL, _RUNPATH, _FLAGS, _RELR = 21, 22, 29, 30, 36
_GNU_HASH, _VERSYM, _FLAGS_1, _VERDEF, _VERNEED = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFB, 0x6FFFFFFC, 0x6FFFFFFE
_DF_TEXTREL, _DF_1_PIE = 4, 0x08000000
_WEAK, _BASE = 2, 1  # flags of a version that is asked for, of one that is defined
_HIDDEN = 0x8000
_OLDEST = 2  # the index of the first version after the file's own
# Their index has 15 bits. The chains end by themselves, but a damaged one must not keep us busy for hours.
_MOST_VERSIONS = 0x7FFF
_MOST_TAGS = 4096


def is_elf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == ELF_MAGIC


def read_elf(path: Path) -> ElfFacts:
    """Return what the ELF file at *path* says. Raises ValueError when it is not a sound ELF file."""
    with _opened(path) as file:
        return file.facts()


def parse_elf(data: bytes) -> ElfFacts:
    """Like `read_elf`, from bytes in memory."""
    with _sound():
        return _File(data).facts()


def read_needed(path: Path) -> tuple[str, ...]:
    """Return the libraries that the ELF file at *path* asks for: a part of the work of `read_elf`."""
    with _opened(path) as file:
        return tuple(file.string(value) for tag, value in file.dynamic if tag == _NEEDED)


def read_symbols(path: Path) -> Symbols:
    """Return what the ELF file at *path* needs and offers by name. Raises ValueError when it is not sound."""
    with _opened(path) as file:
        return file.symbols()


def parse_symbols(data: bytes) -> Symbols:
    """Like `read_symbols`, from bytes in memory."""
    with _sound():
        return _File(data).symbols()


def clear_executable_stack(path: Path) -> bool:
    """Make the ELF file at *path* ask for no executable stack. Returns whether it had asked. Raises ValueError.

    An assembler file without a note makes the linker set that flag on a whole library (Debian's OpenBLAS for armhf is
    one), and glibc from 2.41 on refuses to load such a library into a running program.
    """
    with _opened(path) as file:
        places = [
            file.program_headers + number * file.program_header_size + (4 if file.wide else 24)
            for number, header in enumerate(file.headers)
            if header.kind == _GNU_STACK and header.segment.flags & _EXECUTABLE
        ]
        order = file.order
    with path.open("r+b" if places else "rb") as stream:
        for place in places:
            stream.seek(place)
            flags = struct.unpack(order + "I", stream.read(4))[0]
            stream.seek(place)
            stream.write(struct.pack(order + "I", flags & ~_EXECUTABLE))
    return bool(places)


@contextmanager
def _opened(path: Path) -> Iterator[_File]:
    with path.open("rb") as stream, _sound(), mmap(stream.fileno(), 0, access=ACCESS_READ) as data:
        yield _File(data)


@contextmanager
def _sound() -> Iterator[None]:
    try:
        yield
    except (struct.error, LookupError, UnicodeDecodeError, OverflowError) as error:
        # Whatever a damaged file trips in us; to all others it's one.
        raise ValueError(f"not a sound ELF file: {error}") from error


def _name(strings: bytes, start: int) -> str:
    """Return the name that begins at *start*. Any bytes make a name, but it has to be shown."""
    end = strings.find(b"\0", start)
    if end < 0:
        raise ValueError("not a sound ELF file: a name without an end")
    return strings[start:end].decode("utf-8", "backslashreplace")


class _Header(NamedTuple):
    kind: int
    segment: Segment


class _File:
    """The tables of an open file."""

    def __init__(self, data: bytes | mmap) -> None:
        if len(data) < 52:
            raise ValueError("not a sound ELF file: too short")
        if data[:4] != ELF_MAGIC:
            raise ValueError("not an ELF file")
        if data[4] not in (1, 2) or data[5] not in (1, 2) or data[6] != 1:
            raise ValueError("not a sound ELF file: of no known class, byte order or version")
        self.data = data
        self.wide = data[4] == 2
        self.order = "<" if data[5] == 1 else ">"
        # Type, machine, version, where the headers are, flags, and sizes and numbers of headers.
        form = "HHI8xQQI2xHHHH" if self.wide else "HHI4xIII2xHHHH"
        (
            self.type,
            self.machine,
            version,
            self.program_headers,
            self.section_headers,
            self.flags,
            self.program_header_size,
            count,
            self.section_header_size,
            self.section_count,
        ) = struct.unpack_from(self.order + form, data, 16)
        if version != 1:
            raise ValueError("not a sound ELF file: of no known version")
        if count and self.program_header_size != (56 if self.wide else 32):
            raise ValueError("not a sound ELF file: program headers of another size")
        self.headers = [_Header(*self._program_header(number)) for number in range(count)]
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
        return _name(self.strings, start)

    def strings_of(self, wanted: int) -> tuple[str, ...]:
        return tuple(self.string(value) for tag, value in self.dynamic if tag == wanted)

    def facts(self) -> ElfFacts:
        runpath = self.strings_of(_RUNPATH)
        # Where a file has both, the loader doesn't look at the older one.
        rpath = () if runpath else self.strings_of(_RPATH)
        flags, flags_1 = self.tags.get(_FLAGS, 0), self.tags.get(_FLAGS_1, 0)
        stacks = [header.segment.flags for header in self.headers if header.kind == _GNU_STACK]
        interpreters = [header.segment for header in self.headers if header.kind == _INTERP]
        machine = _MACHINES.get(self.machine, f"EM_{self.machine}")
        return ElfFacts(
            machine=machine,
            bits=64 if self.wide else 32,
            little_endian=self.order == "<",
            type={1: ElfType.object, 2: ElfType.program, 3: ElfType.shared}.get(self.type, ElfType.other),
            flags=self.flags,
            os_abi=self.data[7],
            abi_version=self.data[8],
            padding=bytes(self.data[9:16]),
            file_size=len(self.data),
            segments=self.segments,
            dynamic=bool(self.dynamic),
            soname=next(iter(self.strings_of(_SONAME)), None),
            interpreter=self._text(interpreters[-1]) if interpreters else None,
            needed=self.strings_of(_NEEDED),
            rpath=tuple(item for text in rpath for item in text.split(":")),
            runpath=tuple(item for text in runpath for item in text.split(":")),
            needs=self._needs(),
            defines=tuple(name for flags, _, name in self._defined_versions() if not flags & _BASE),
            executable_stack=bool(stacks[-1] & _EXECUTABLE) if stacks else None,
            text_relocations=_TEXTREL in self.tags or bool(flags & _DF_TEXTREL),
            position_independent_program=bool(flags_1 & _DF_1_PIE),
            linked_as_program=_DEBUG in self.tags,
            packed_relocations=_RELR in self.tags,
            versioned=_VERSYM in self.tags,
            attributes=self._attributes() if machine == "EM_ARM" else None,
        )

    def _text(self, segment: Segment) -> str:
        return (
            self.data[segment.offset : segment.offset + segment.file_size]
            .split(b"\0")[0]
            .decode("utf-8", "backslashreplace")
        )

    def _needs(self) -> dict[str, tuple[str, ...]]:
        needs: dict[str, list[str]] = {}
        for library, flags, _, version in self._needed_versions():
            wanted = needs.setdefault(library, [])
            if not flags & _WEAK:
                wanted.append(version)
        return {library: tuple(versions) for library, versions in needs.items()}

    def _needed_versions(self) -> Iterator[tuple[str, int, int, str]]:
        """Yield library, flags, index and name of each version that is asked for."""
        if _VERNEED not in self.tags:
            return
        place = self.place(self.tags[_VERNEED])
        outer, inner = struct.Struct(self.order + "HHIII"), struct.Struct(self.order + "IHHII")
        left = _MOST_VERSIONS
        while True:
            _, _, file, first, following = outer.unpack_from(self.data, place)
            library = self.string(file)
            entry = place + first
            while left:
                _, flags, index, name, after = inner.unpack_from(self.data, entry)
                yield library, flags, index, self.string(name)
                left -= 1
                if not after:
                    break
                entry += after
            if not following:
                return
            if not left:
                raise ValueError("not a sound ELF file: it asks for more versions than can be told apart")
            place += following

    def _defined_versions(self) -> Iterator[tuple[int, int, str]]:
        """Yield flags, index and name of each version that is defined; the one with the flag BASE is the file's own."""
        if _VERDEF not in self.tags:
            return
        place = self.place(self.tags[_VERDEF])
        for _ in range(_MOST_VERSIONS):
            _, flags, index, _, _, first, following = struct.unpack_from(self.order + "HHHHIII", self.data, place)
            (name,) = struct.unpack_from(self.order + "I", self.data, place + first)
            yield flags, index, self.string(name)
            if not following:
                return
            place += following

    def _sections(self, wanted: int) -> Iterator[bytes]:
        if not self.section_headers or self.section_header_size != (64 if self.wide else 40):
            return
        form = struct.Struct(self.order + ("IIQQQQ" if self.wide else "IIIIII"))
        for number in range(self.section_count):
            place = self.section_headers + number * self.section_header_size
            if place + form.size > len(self.data):
                return
            _, kind, _, _, offset, size = form.unpack_from(self.data, place)
            if kind == wanted:
                yield self.data[offset : offset + size]

    def _attributes(self) -> ArmAttributes | None:
        data = next(self._sections(_ARM_ATTRIBUTES), None)
        try:
            return parse_arm_attributes(data, self.order) if data is not None else None
        except (ValueError, LookupError):
            return None  # no loader reads them: in a damaged file they say nothing, and harm nothing

    def symbols(self) -> Symbols:
        if _SYMTAB not in self.tags:
            return Symbols((), frozenset(), frozenset())
        count = self._symbol_count()
        start = self.place(self.tags[_SYMTAB])
        # Name, information, visibility, section, value.
        form = struct.Struct(self.order + ("IBBHQ8x" if self.wide else "II4xBBH"))
        table = self.data[start : start + count * form.size]
        if len(table) < count * form.size:
            raise ValueError("not a sound ELF file: it ends within its symbols")
        versions: list[int] = []
        names: dict[int, str] = {}
        if _VERSYM in self.tags:
            place = self.place(self.tags[_VERSYM])
            versions = list(struct.unpack_from(f"{self.order}{count}H", self.data, place))
            names = {index & ~_HIDDEN: name for flags, index, name in self._defined_versions() if not flags & _BASE}
            names |= {index & ~_HIDDEN: name for _, _, index, name in self._needed_versions()}
        needs: list[Reference] = []
        weak: list[str] = []
        offers: list[str] = []
        strings = self.strings
        for number, row in enumerate(form.iter_unpack(table)):
            if self.wide:
                name, information, visibility, section, value = row
            else:
                name, value, information, visibility, section = row
            binding, kind = information >> 4, information & 15
            if binding == 0 or not name:
                continue
            text = _name(strings, name)
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

    def _symbol_count(self) -> int:
        """Nothing says how many there are but the tables that lead to them."""
        if _HASH in self.tags:
            count: int = struct.unpack_from(self.order + "II", self.data, self.place(self.tags[_HASH]))[1]
        elif _GNU_HASH in self.tags:
            count = self._count_hashed(self.place(self.tags[_GNU_HASH]))
        else:
            count = sum(len(data) for data in self._sections(_DYNSYM)) // (24 if self.wide else 16)
        if count > len(self.data) // 16:
            raise ValueError("not a sound ELF file: more symbols than there is room for")
        return count

    def _count_hashed(self, place: int) -> int:
        bucket_count, first, bloom_size = struct.unpack_from(self.order + "III", self.data, place)
        place += 16 + bloom_size * (8 if self.wide else 4)
        last = max(struct.unpack_from(f"{self.order}{bucket_count}I", self.data, place), default=0)
        if last < first:
            return int(first)
        place += bucket_count * 4
        while not struct.unpack_from(self.order + "I", self.data, place + (last - first) * 4)[0] & 1:
            last += 1
        return int(last) + 1
