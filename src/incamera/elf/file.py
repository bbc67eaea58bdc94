"""Reads ELF files as a loader reads them: through the program headers and the dynamic section.

So it needs no section headers. An audit reads hundreds of files, so each function reads only the parts it returns.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from incamera.elf.attributes import ArmAttributes, parse_arm_attributes
from incamera.elf.facts import ElfFacts, ElfType
from incamera.elf.lazy import find_lazy_functions
from incamera.elf.loading import check_loading
from incamera.elf.symbols import BASE, WEAK, defined_versions, needed_versions, symbols_of
from incamera.elf.tables import ELF_MAGIC, GNU_STACK, INTERP, Tables, read_identity

if TYPE_CHECKING:
    from incamera.elf.facts import Segment, Symbols

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
_EXECUTABLE, _WRITABLE = 1, 2  # PF_X, PF_W
_ARM_ATTRIBUTES = 0x70000003  # SHT_ARM_ATTRIBUTES
_INIT = 12  # DT_INIT
_LOADER_TABLES = (5, 6, 7, 17, 23, 0x6FFFFEF5)  # DT_STRTAB, SYMTAB, RELA, REL, JMPREL, GNU_HASH
_SMALLEST_GAP = 1 << 16  # bytes: two parts that are closer to each other are read as one
_NEEDED, _SONAME, _RPATH, _DEBUG, _TEXTREL, _RUNPATH, _FLAGS, _RELR = 1, 14, 15, 21, 22, 29, 30, 36
_VERSYM, _FLAGS_1 = 0x6FFFFFF0, 0x6FFFFFFB
_DF_TEXTREL = 4
_DF_1_NOOPEN, _DF_1_NODEFLIB, _DF_1_PIE = 0x40, 0x800, 0x08000000


def is_elf(path: Path) -> bool:
    """Return whether the file at *path* begins like an ELF file. Raises OSError when it cannot be read."""
    with path.open("rb") as stream:
        return stream.read(4) == ELF_MAGIC


def read_elf(file: Path | BinaryIO) -> ElfFacts:
    """Return the facts of the ELF file *file*. Raises ValueError when it is not a valid ELF file."""
    with opened(file) as tables:
        return facts_of(tables)


def read_loadable(file: Path | BinaryIO) -> tuple[ElfFacts, str]:
    """Return the facts of the ELF file *file*, and what a loader would crash on or refuse in it; "" for nothing.

    Raises ValueError when it is not a valid ELF file.
    """
    with opened(file) as tables:
        facts = facts_of(tables)
        try:
            with damage_as_value_error():
                check_loading(tables)
        except ValueError as error:
            return facts, str(error)
        return facts, ""


def parse_elf(data: bytes) -> ElfFacts:
    """Like `read_elf`, from bytes in memory."""
    with damage_as_value_error():
        return facts_of(Tables(data))


def parse_identity(data: bytes) -> tuple[str, int]:
    """Return the machine (`EM_ARM`) and the bits (32, 64) from the first 52 bytes of an ELF file. Raises ValueError."""
    is_64bit, _, machine = read_identity(data)
    return _machine_name(machine), 64 if is_64bit else 32


def read_needed(path: Path) -> tuple[str, ...]:
    """Return the libraries that the ELF file at *path* needs (DT_NEEDED), faster than `read_elf`. Raises ValueError."""
    with opened(path) as tables:
        return tables.strings_of(_NEEDED)


def read_symbols(file: Path | BinaryIO) -> Symbols:
    """Return the imported and exported symbols of the ELF file *file*. Raises ValueError when it is not valid."""
    with opened(file) as tables:
        return symbols_of(tables)


def read_lazy_functions(file: Path | BinaryIO) -> frozenset[str]:
    """Return the names of the functions that the ELF file *file* starts without. Raises ValueError."""
    with opened(file) as tables:
        return find_lazy_functions(tables)


def parse_symbols(data: bytes) -> Symbols:
    """Like `read_symbols`, from bytes in memory."""
    with damage_as_value_error():
        return symbols_of(Tables(data))


def parse_section(data: bytes, name: str) -> bytes | None:
    """Return the content of an ELF file's section *name*, None when it has no such section. Raises ValueError."""
    with damage_as_value_error():
        return Tables(data).section(name)


def clear_executable_stack(path: Path) -> bool:
    """Clear the flag of the ELF file at *path* that asks for an executable stack. Returns whether it was set.

    One assembler file without a .note.GNU-stack section makes the linker set the flag on a whole library (Debian's
    OpenBLAS for armhf is one), and glibc from 2.41 on refuses to load such a library into a running program.
    Raises ValueError when it is not a valid ELF file.
    """
    with opened(path) as tables:
        flag_offsets = [
            tables.program_headers + number * tables.program_header_size + (4 if tables.is_64bit else 24)
            for number, header in enumerate(tables.headers)
            if header.kind == GNU_STACK and header.segment.flags & _EXECUTABLE
        ]
        order = tables.byte_order
    with path.open("r+b" if flag_offsets else "rb") as stream:
        for offset in flag_offsets:
            stream.seek(offset)
            flags = struct.unpack(order + "I", stream.read(4))[0]
            stream.seek(offset)
            stream.write(struct.pack(order + "I", flags & ~_EXECUTABLE))
    return bool(flag_offsets)


def read_loading_parts(path: Path) -> tuple[tuple[int, int], ...]:
    """Return the parts of the library at *path* that a loader reads, as (start, end) offsets in bytes.

    These are its tables and its writable data, but not its code, which is read page by page later. Returns () where
    the two can't be told apart. Raises ValueError when it is not a valid ELF file.
    """
    with opened(path) as tables:
        code = [each for each in tables.segments if each.flags & _EXECUTABLE]
        data = [each for each in tables.segments if each.flags & _WRITABLE and each.file_size]
        if not code or not data:
            return ()
        # Tables and code may share a segment; the code then begins with the initialisation function.
        begin = code[0].offset or (tables.offset_of(tables.tags[_INIT]) if _INIT in tables.tags else 0)
        if not 0 < begin < data[0].offset:
            return ()
        # patchelf moves tables to the end of the file.
        table_offsets = [tables.offset_of(tables.tags[tag]) for tag in _LOADER_TABLES if tag in tables.tags]
        parts = [(0, begin)]
        for each in sorted(tables.segments, key=lambda each: each.offset):
            start, end = each.offset, each.offset + each.file_size
            if start < data[0].offset or not (each in data or any(start <= offset < end for offset in table_offsets)):
                continue
            if len(parts) > 1 and start - parts[-1][1] < _SMALLEST_GAP:
                parts[-1] = (parts[-1][0], end)
            else:
                parts.append((start, end))
        return tuple(parts)


@contextmanager
def opened(file: Path | BinaryIO) -> Iterator[Tables]:
    if isinstance(file, Path):
        with file.open("rb") as stream, opened(stream) as tables:
            yield tables
        return
    with damage_as_value_error(), mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        yield Tables(data)


@contextmanager
def damage_as_value_error() -> Iterator[None]:
    """Raise what reading a damaged file raises as a ValueError."""
    try:
        yield
    except (struct.error, LookupError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"not a valid ELF file: {error}") from error


def _machine_name(number: int) -> str:
    return _MACHINES.get(number, f"EM_{number}")


def facts_of(tables: Tables) -> ElfFacts:
    """Return the facts that *tables* hold."""
    # Of several entries, the loader uses the last.
    runpath = tables.strings_of(_RUNPATH)[-1:]
    # Where a file has both, the loader ignores the RPATH.
    rpath = () if runpath else tables.strings_of(_RPATH)[-1:]
    flags, flags_1 = tables.tags.get(_FLAGS, 0), tables.tags.get(_FLAGS_1, 0)
    stacks = [header.segment.flags for header in tables.headers if header.kind == GNU_STACK]
    interpreters = [header.segment for header in tables.headers if header.kind == INTERP]
    machine = _machine_name(tables.machine)
    return ElfFacts(
        machine=machine,
        bits=64 if tables.is_64bit else 32,
        little_endian=tables.byte_order == "<",
        type={1: ElfType.object, 2: ElfType.program, 3: ElfType.shared}.get(tables.type, ElfType.other),
        flags=tables.flags,
        os_abi=tables.data[7],
        abi_version=tables.data[8],
        padding=bytes(tables.data[9:16]),
        file_size=len(tables.data),
        segments=tables.segments,
        dynamic=bool(tables.dynamic),
        soname=next(iter(tables.strings_of(_SONAME)[-1:]), None),
        interpreter=_text(tables, interpreters[0]) if interpreters else None,  # the kernel uses the first
        needed=tables.strings_of(_NEEDED),
        rpath=tuple(item for text in rpath for item in text.split(":")),
        runpath=tuple(item for text in runpath for item in text.split(":")),
        needs=_needs(tables),
        defines=tuple(name for flags, _, name in defined_versions(tables) if not flags & BASE),
        executable_stack=bool(stacks[-1] & _EXECUTABLE) if stacks else None,
        text_relocations=_TEXTREL in tables.tags or bool(flags & _DF_TEXTREL),
        position_independent_program=bool(flags_1 & _DF_1_PIE),
        linked_as_program=_DEBUG in tables.tags,
        packed_relocations=_RELR in tables.tags,
        no_default_folders=bool(flags_1 & _DF_1_NODEFLIB),
        not_opened_later=bool(flags_1 & _DF_1_NOOPEN),
        versioned=_VERSYM in tables.tags,
        attributes=_attributes(tables) if machine == "EM_ARM" else None,
    )


def _text(tables: Tables, segment: Segment) -> str:
    return (
        tables.data[segment.offset : segment.offset + segment.file_size]
        .split(b"\0")[0]
        .decode("utf-8", "backslashreplace")
    )


def _needs(tables: Tables) -> dict[str, tuple[str, ...]]:
    needs: dict[str, list[str]] = {}
    for library, flags, _, version in needed_versions(tables):
        wanted = needs.setdefault(library, [])
        if not flags & WEAK:
            wanted.append(version)
    return {library: tuple(versions) for library, versions in needs.items()}


def _attributes(tables: Tables) -> ArmAttributes | None:
    data = next(tables.sections(_ARM_ATTRIBUTES), None)
    try:
        return parse_arm_attributes(data, tables.byte_order) if data is not None else None
    except (ValueError, LookupError):
        return None  # no loader reads the attributes, so damage in them does no harm
