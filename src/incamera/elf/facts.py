"""What an ELF file says, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from incamera.elf.attributes import ArmAttributes


# The glibc functions that take or return a time: with a 64-bit time_t, and with a 32-bit one.
_TIME64 = re.compile(r"__\w+?(?:_time64|64|64_r)")
_TIME32_NAMES = """
adjtime aio_suspend clock_getres clock_gettime clock_nanosleep clock_settime ctime ctime_r difftime fstat fstat64
fstatat64 ftime futimens futimes getitimer getrusage gettimeofday gmtime gmtime_r localtime localtime_r lstat lstat64
lutimes mktime nanosleep ppoll pselect pthread_cond_timedwait pthread_mutex_timedlock recvmmsg select sem_timedwait
setitimer settimeofday sigtimedwait stat stat64 time timegm timerfd_settime timespec_get utime utimensat utimes wait4
__fxstat64 __lxstat64 __xstat64
"""
_TIME32 = frozenset(_TIME32_NAMES.split())


class ElfType(StrEnum):
    object = "object"
    program = "program"
    """A program that is loaded at a fixed address (ET_EXEC)."""
    shared = "shared"
    """A library, or a position-independent program (ET_DYN)."""
    other = "other"


class Segment(NamedTuple):
    """A part of the file that is mapped into memory (PT_LOAD). Sizes, offset and alignment are in bytes."""

    offset: int
    address: int
    file_size: int
    flags: int
    alignment: int
    memory_size: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ElfFacts:
    """The headers and the dynamic section of one file.

    `machine`: the ELF name (`EM_ARM`).
    `needs`: for each library of `needed` that has symbol versions, the versions required from it
    (`{"libc.so.6": ("GLIBC_2.4", …)}`), without the weak ones.
    `defines`: the symbol versions that the file provides.
    `versioned`: the file has a version table (DT_VERSYM).
    `executable_stack`: None where the file doesn't say.
    `no_default_folders`: its libraries are not searched in the folders of the system (DF_1_NODEFLIB).
    `not_opened_later`: it is loaded only when a process starts (DF_1_NOOPEN).
    `file_size` is in bytes.
    """

    machine: str
    bits: int
    little_endian: bool = True
    type: ElfType = ElfType.shared
    flags: int = 0
    os_abi: int = 0
    abi_version: int = 0
    padding: bytes = bytes(7)
    file_size: int = 0
    segments: tuple[Segment, ...] = ()
    dynamic: bool = True
    soname: str | None = None
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    defines: tuple[str, ...] = ()
    executable_stack: bool | None = False
    text_relocations: bool = False
    position_independent_program: bool = False
    linked_as_program: bool = False
    packed_relocations: bool = False
    no_default_folders: bool = False
    not_opened_later: bool = False
    versioned: bool = True
    attributes: ArmAttributes | None = None

    @property
    def run_path(self) -> tuple[str, ...]:
        return self.rpath + self.runpath

    @property
    def is_program(self) -> bool:
        """Whether it is a program, which is started, rather than a library, which is loaded.

        Some libraries name a loader, too, but only programs have an entry for debuggers (DT_DEBUG).
        """
        if self.type is ElfType.program or self.position_independent_program:
            return True
        return self.interpreter is not None and self.linked_as_program

    def to_json(self) -> dict[str, Any]:
        """Return what other files must know of a library, as JSON that `parse_facts` reads."""
        return {
            "machine": self.machine,
            "bits": self.bits,
            "soname": self.soname,
            "needed": list(self.needed),
            "needs": {library: list(versions) for library, versions in self.needs.items()},
            "defines": list(self.defines),
            "versioned": self.versioned,
        }


def parse_facts(document: Mapping[str, Any]) -> ElfFacts:
    """Return the facts in *document*, which `ElfFacts.to_json` made. Raises ValueError for anything else."""
    try:
        return ElfFacts(
            machine=document["machine"],
            bits=document["bits"],
            soname=document["soname"],
            needed=tuple(document["needed"]),
            needs={library: tuple(versions) for library, versions in document["needs"].items()},
            defines=tuple(document["defines"]),
            versioned=document.get("versioned", True),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not the facts of a library: {error}") from error


class Reference(NamedTuple):
    """A symbol that another file must define; `version` is "" where any version will do."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Symbols:
    """The symbols that a file imports from others and exports to others.

    `weak`: the names of imports that may be missing.
    `exports` holds `name` for a symbol that is found without asking for a version, `name@VERSION` for each version of
    it, and `name@` for a symbol that satisfies every version (the file has no versions, or it is of the base version).
    """

    imports: tuple[Reference, ...]
    weak: frozenset[str]
    exports: AbstractSet[str]

    @property
    def time_bits(self) -> int | None:
        """The width in bits of the time_t that a 32-bit file uses; None where it uses none, or both."""
        uses_64 = uses_32 = False
        for name, version in self.imports:
            if version.startswith("GLIBC_"):
                uses_64 = uses_64 or _TIME64.fullmatch(name) is not None
                uses_32 = uses_32 or name in _TIME32
        return None if uses_64 == uses_32 else 64 if uses_64 else 32
