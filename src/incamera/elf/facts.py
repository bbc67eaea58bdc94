"""What is known of an ELF file, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from incamera.elf.attributes import ArmAttributes


# What of glibc takes or gives a time: in its 64-bit form, and by the names under which it has 32 bits.
_TIME64 = re.compile(r"__\w+?(?:_time64|64|64_r)")
_NARROW = """
adjtime aio_suspend clock_getres clock_gettime clock_nanosleep clock_settime ctime ctime_r difftime fstat fstat64
fstatat64 ftime futimens futimes getitimer getrusage gettimeofday gmtime gmtime_r localtime localtime_r lstat lstat64
lutimes mktime nanosleep ppoll pselect pthread_cond_timedwait pthread_mutex_timedlock recvmmsg select sem_timedwait
setitimer settimeofday sigtimedwait stat stat64 time timegm timerfd_settime timespec_get utime utimensat utimes wait4
__fxstat64 __lxstat64 __xstat64
"""
_TIME32 = frozenset(_NARROW.split())


class ElfType(StrEnum):
    object = "object"
    program = "program"
    """Of the kind that lies at a fixed address."""
    shared = "shared"
    """A library, or a program that can lie anywhere."""
    other = "other"


class Segment(NamedTuple):
    """A part of the file that is mapped into memory."""

    offset: int
    address: int
    file_size: int
    memory_size: int
    flags: int
    alignment: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ElfFacts:
    """One file's identity and demands.

    `machine` is the ELF name (`EM_ARM`); `needs` maps each library of `needed` that is versioned to the symbol versions
    asked of it (`{"libc.so.6": ("GLIBC_2.4", …)}`), without those that it could do without; `defines` are the symbol
    versions that the file itself provides; `versioned`: each of its symbols has one, its own or the one it asks for.
    `executable_stack` is None where the file doesn't say.
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
    versioned: bool = True
    attributes: ArmAttributes | None = None

    @property
    def run_path(self) -> tuple[str, ...]:
        return self.rpath + self.runpath

    @property
    def is_program(self) -> bool:
        """Is it started rather than loaded?

        Some libraries name a loader, too; but only programs have a place for debuggers.
        """
        if self.type is ElfType.program or self.position_independent_program:
            return True
        return self.interpreter is not None and self.linked_as_program

    def to_json(self) -> dict[str, Any]:
        """Return what others must know of a library, for keeping."""
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
    """Return what `ElfFacts.to_json` made a document of. Raises ValueError."""
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
    """A symbol that must come from elsewhere; `version` is "" where none is asked for."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Symbols:
    """What a file needs and offers to others by name.

    `offers` holds `name` for what is found without a version, `name@VERSION` for each version, and `name@` for what
    satisfies every version: the file has none, or the symbol is of its base version.
    """

    needs: tuple[Reference, ...]
    weak: frozenset[str]
    offers: frozenset[str]

    @property
    def time_bits(self) -> int | None:
        """How wide a 32-bit file takes a time to be; None where it uses none, or both."""
        wide = narrow = False
        for name, version in self.needs:
            if version.startswith("GLIBC_"):
                wide = wide or _TIME64.fullmatch(name) is not None
                narrow = narrow or name in _TIME32
        return None if wide == narrow else 64 if wide else 32


def dump_offers(offers: frozenset[str]) -> list[str]:
    """Return a line for each name, with its versions; those that are found only if asked for have a `-` before."""
    by_name: dict[str, list[str]] = {}
    for offer in sorted(offers):
        name, at, version = offer.partition("@")
        if at:
            by_name.setdefault(name, []).append(version if name in offers else f"-{version}")
    return [f"{name} {' '.join(versions)}" for name, versions in by_name.items()]


def parse_offers(lines: Sequence[str]) -> frozenset[str]:
    """Return what `dump_offers` made lines of."""
    found: set[str] = set()
    for line in lines:
        name, _, versions = line.partition(" ")
        for version in versions.split(" "):
            if not version.startswith("-"):
                found.add(name)
            found.add(f"{name}@{version.removeprefix('-')}")
    return frozenset(found)
