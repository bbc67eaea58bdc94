"""What an ELF file says of itself, as a value: read once, with pyelftools, and judged elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

ELF_MAGIC = b"\x7fELF"
_EXECUTABLE = 1  # PF_X


@dataclass(frozen=True, kw_only=True, slots=True)
class ElfFacts:
    """One file's identity and demands.

    `machine` is the ELF name (`EM_ARM`); `needs` maps each library of `needed` that is versioned to the symbol versions
    asked of it (`{"libc.so.6": ("GLIBC_2.4", …)}`); `defines` are the symbol versions that the file itself provides.
    """

    machine: str
    bits: int
    soname: str | None
    interpreter: str | None
    needed: tuple[str, ...]
    run_path: tuple[str, ...]
    needs: dict[str, tuple[str, ...]]
    defines: tuple[str, ...]


def is_elf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == ELF_MAGIC


def read_elf(path: Path) -> ElfFacts:
    """Return what the ELF file at *path* says. Raises ValueError when it is not a sound ELF file."""
    with path.open("rb") as stream:
        return parse_elf(stream)


def read_needed(path: Path) -> tuple[str, ...]:
    """Return the libraries that the ELF file at *path* asks for: a quarter of the work of `read_elf`."""
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as stream, _sound():
        segments: Iterable[Any] = ELFFile(stream).iter_segments("PT_DYNAMIC")
        return tuple(tag.needed for segment in segments for tag in segment.iter_tags("DT_NEEDED"))


def parse_elf(stream: BinaryIO) -> ElfFacts:
    """Like `read_elf`, from an open file or bytes in memory."""
    from elftools.elf.elffile import ELFFile

    with _sound():
        return _facts(ELFFile(stream))


@contextmanager
def _sound() -> Iterator[None]:
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError

    try:
        yield
    except (
        ELFError,
        ConstructError,
        LookupError,
        AttributeError,
        OverflowError,
        UnicodeDecodeError,
        TypeError,
    ) as error:
        # A damaged file trips pyelftools in many places; to us it's all one.
        raise ValueError(f"not a sound ELF file: {error}") from error


def _facts(elf: Any) -> ElfFacts:
    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.segments import InterpSegment

    soname = interpreter = None
    needed: list[str] = []
    run_path: list[str] = []
    for segment in elf.iter_segments():
        if isinstance(segment, InterpSegment):
            interpreter = segment.get_interp_name()
        elif isinstance(segment, DynamicSegment):
            tag: Any
            for tag in segment.iter_tags():
                match tag.entry.d_tag:
                    case "DT_NEEDED":
                        needed.append(tag.needed)
                    case "DT_SONAME":
                        soname = tag.soname
                    case "DT_RPATH":
                        run_path += tag.rpath.split(":")
                    case "DT_RUNPATH":
                        run_path += tag.runpath.split(":")
    demands = elf.get_section_by_name(".gnu.version_r")
    definitions = elf.get_section_by_name(".gnu.version_d")
    return ElfFacts(
        machine=elf["e_machine"],
        bits=elf.elfclass,
        soname=soname,
        interpreter=interpreter,
        needed=tuple(needed),
        run_path=tuple(run_path),
        needs={
            library.name: tuple(version.name for version in versions) for library, versions in demands.iter_versions()
        }
        if demands
        else {},
        # The first definition names the file itself, not a version.
        defines=tuple(next(names).name for version, names in definitions.iter_versions() if not version["vd_flags"] & 1)
        if definitions
        else (),
    )


def clear_executable_stack(path: Path) -> bool:
    """Make the ELF file at *path* ask for no executable stack. Returns whether it had asked. Raises ValueError.

    An assembler file without a note makes the linker set that flag on a whole library (Debian's OpenBLAS for armhf is
    one), and glibc from 2.41 on refuses to load such a library into a running program.
    """
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as stream, _sound():
        elf = ELFFile(stream)
        offsets = [
            elf["e_phoff"] + number * elf["e_phentsize"] + (4 if elf.elfclass == 64 else 24)
            for number, segment in enumerate(elf.iter_segments())
            if segment["p_type"] == "PT_GNU_STACK" and segment["p_flags"] & _EXECUTABLE
        ]
        order: Literal["little", "big"] = "little" if elf.little_endian else "big"
    if not offsets:
        return False
    with path.open("r+b") as stream:
        for offset in offsets:
            stream.seek(offset)
            flags = int.from_bytes(stream.read(4), order)
            stream.seek(offset)
            stream.write((flags & ~_EXECUTABLE).to_bytes(4, order))
    return True
