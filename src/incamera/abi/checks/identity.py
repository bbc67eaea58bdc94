"""Checks of one file by itself: is it valid, for this processor, and will the loader accept it?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from incamera.abi.findings import Finding, Kind, Severity
from incamera.abi.remedies import Source, build_for, container_of, recompile, relink, source_of
from incamera.abi.run_path import depends_on_loader, resolve_run_path
from incamera.abi.unpack import NAMED_AS_LIBRARY
from incamera.elf import ElfFacts, ElfType

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.policy import Policy
    from incamera.abi.process import Process
    from incamera.abi.subject import Subject
    from incamera.elf import Segment
    from incamera.targets.architecture import Architecture

_MACHINES = {"EM_386": "x86", "EM_X86_64": "x86-64", "EM_ARM": "ARM", "EM_AARCH64": "aarch64", "EM_MIPS": "MIPS"}

_EABI_MASK, _EABI5, _SOFT_FLOAT, _HARD_FLOAT = 0xFF000000, 0x05000000, 0x200, 0x400
_GNU, _ARM_AEABI = 3, 64
# The newest version of GNU's ABI (EI_ABIVERSION) that loaders take: glibc 2.36 refuses 4.
_NEWEST_ABI = 3
_OS_ABIS = {"EM_ARM": (0, _GNU, _ARM_AEABI)}

# Values of ARM build attributes, as the ARM ABI numbers them.
_ARMV7, _ARMV7E_M, _VFPV3_D16, _NEON, _DIVISION_MAY_BE_USED = 10, 13, 4, 1, 2
_CPU_NAMES = {14: "ARMv8-A", 15: "ARMv8-R", 16: "ARMv8-M", 17: "ARMv8-M", 22: "ARMv9-A"}
_FP_NAMES = {5: "VFPv4", 6: "VFPv4-D16", 7: "FP of ARMv8", 8: "FP of ARMv8"}
_SIMD_NAMES = {2: "NEON with FMA", 3: "NEON of ARMv8", 4: "NEON of ARMv8.1"}
_DETECTION_FUNCTIONS = frozenset({"getauxval", "__getauxval"})

# The first glibc that accepts segments aligned to less than a page.
_SMALL_ALIGNMENT_ALLOWED = (2, 35)
# The first glibc that no longer makes the stack executable for a library loaded later.
_EXECUTABLE_STACK_REFUSED = (2, 41)
# The first AXIS OS that blocks all such files (public roadmaps of apps for it).
_EXECUTABLE_STACK_BLOCKED = (13, 0)


def find_damage(item: Object, severity: Severity) -> Iterator[Finding]:
    """Yield a finding for a file that no loader accepts, or whose use would crash the process."""
    problem = item.damage or _find_problem(item)
    if problem:
        yield Finding(
            kind=Kind.malformed,
            severity=severity,
            file=item.path,
            needs="a valid ELF file",
            provides=problem,
            remedy="download or build it again",
        )


def _find_problem(item: Object) -> str:
    """Return why the loader cannot load *item*; "" when it can."""
    facts = item.facts
    if facts.is_program and NAMED_AS_LIBRARY.fullmatch(item.name):
        return "a program, which can be started but not loaded"
    if facts.os_abi not in _OS_ABIS.get(facts.machine, (0, _GNU)):
        return f"an unknown OS ABI, {facts.os_abi}"
    if facts.abi_version > (_NEWEST_ABI if facts.os_abi == _GNU else 0):
        return f"an unknown version of the OS ABI, {facts.abi_version}"
    if any(facts.padding):
        return "its header has data in the padding"
    if facts.type in (ElfType.object, ElfType.other):
        return "neither a library nor a program"
    if not facts.segments:
        return "it has no segments to load"
    if not facts.dynamic and facts.type is ElfType.shared and not facts.interpreter:
        return "it has no dynamic section (is it a separate file of debug symbols?)"
    if any(segment.offset + segment.file_size > facts.file_size for segment in facts.segments):
        return "it is cut short"
    return ""


def find_wrong_architecture(item: Object, subject: Subject, policy: Policy, severity: Severity) -> Iterator[Finding]:
    """Yield a finding for a file for another processor, word size or byte order."""
    wanted = policy.architecture.facts
    if is_for(item.facts, policy.architecture):
        return
    yield Finding(
        kind=Kind.wrong_architecture,
        severity=severity,
        file=item.path,
        needs=_describe_machine(item.facts),
        provides=f"{_MACHINES[wanted.elf_machine]}, {wanted.bits} bits",
        remedy=build_for(subject, policy.architecture, path=item.path),
    )


def is_for(facts: ElfFacts, architecture: Architecture) -> bool:
    """Return whether a file with *facts* is for processors of *architecture*."""
    wanted = architecture.facts
    return (facts.machine, facts.bits, facts.little_endian) == (wanted.elf_machine, wanted.bits, True)


def _describe_machine(facts: ElfFacts) -> str:
    name = _MACHINES.get(facts.machine, facts.machine.removeprefix("EM_"))
    return f"{name}, {facts.bits} bits" + ("" if facts.little_endian else ", big-endian")


def find_float_abi(item: Object) -> Iterator[Finding]:
    """Yield an error for a soft-float file, which glibc refuses, and a warning for one that may be soft-float."""
    if item.facts.machine == "EM_ARM" and item.facts.flags & _EABI_MASK == _EABI5 and item.facts.flags & _SOFT_FLOAT:
        yield _float_finding(item, Severity.error, "soft float: floats passed in integer registers (armel)")
    elif _has_unknown_float_abi(item.facts):
        yield _float_finding(item, Severity.warning, "perhaps soft float: it doesn't declare how it passes floats")


def _has_unknown_float_abi(facts: ElfFacts) -> bool:
    attributes = facts.attributes
    return (
        not facts.flags & _HARD_FLOAT
        and attributes is not None
        and bool(attributes.fp_arch and not attributes.vfp_args)
    )


def _float_finding(item: Object, severity: Severity, needs: str) -> Finding:
    return Finding(
        kind=Kind.float_abi,
        severity=severity,
        file=item.path,
        needs=needs,
        provides="hard float (armhf)",
        remedy="build it with -mfloat-abi=hard, or use an armhf or armv7l build of it",
    )


def find_cpu_features(item: Object, subject: Subject) -> Iterator[Finding]:
    """Yield an error for a file that uses features a Cortex-A9 lacks, unless it detects them before use."""
    features = describe_cpu_features(item)
    if features and not detects_cpu_features(item):
        own = source_of(subject) is Source.project
        yield Finding(
            kind=Kind.cpu_feature,
            severity=Severity.error,
            file=item.path,
            needs=features,
            provides="ARMv7-A with VFPv3 and NEON",
            remedy="build it with -march=armv7-a -mfpu=neon" + (", as `incamera build` does" if own else ""),
        )


def describe_cpu_features(item: Object) -> str:
    """Return the processor features that a file may use and that not every camera has; "" for none.

    Every ARMv7 camera has ARMv7-A, VFPv3 and NEON: the vendor's SDK compiles for these
    (targets/data/architectures.toml).
    """
    attributes = item.facts.attributes
    if attributes is None:
        return ""
    features = []
    if attributes.cpu_arch > _ARMV7 and attributes.cpu_arch != _ARMV7E_M:
        features.append(_CPU_NAMES.get(attributes.cpu_arch, f"processor architecture {attributes.cpu_arch}"))
    if attributes.fp_arch > _VFPV3_D16:
        features.append(_FP_NAMES.get(attributes.fp_arch, f"FP architecture {attributes.fp_arch}"))
    if attributes.simd_arch > _NEON:
        features.append(_SIMD_NAMES.get(attributes.simd_arch, f"SIMD architecture {attributes.simd_arch}"))
    if attributes.division == _DIVISION_MAY_BE_USED and not features:
        features.append("integer division")
    return ", ".join(features)


def detects_cpu_features(item: Object) -> bool:
    """Return whether *item* imports a function that detects the processor's features.

    True when its symbols are not known.
    """
    symbols = item.symbols
    if symbols is None:
        return True
    return bool(_DETECTION_FUNCTIONS & (symbols.weak | {reference.name for reference in symbols.imports}))


def find_page_size(item: Object, policy: Policy, process: Process) -> Iterator[Finding]:
    """Yield an error for segments that don't begin at a page, share one, or whose alignment an older loader refuses."""
    size = policy.page_size
    wrong = next((segment for segment in item.facts.segments if _is_misplaced(segment, size, item, process)), None)
    if wrong is None and not _shares_pages(item.facts.segments, size):
        return
    yield Finding(
        kind=Kind.page_size,
        severity=Severity.error,
        file=item.path,
        needs=f"pages of {wrong.alignment} bytes" if wrong is not None else "two segments in one page",
        provides=f"pages of {size} bytes" + ("" if wrong is not None else ", each with the rights of one segment"),
        remedy=relink(
            process.subject,
            f"-Wl,-z,max-page-size={max(size, 65536 if item.facts.bits == 64 else size)}",
            path=item.path,
        ),
    )


def _is_misplaced(segment: Segment, size: int, item: Object, process: Process) -> bool:
    distance = segment.address - segment.offset
    # The kernel maps the program itself. It looks at the distance alone, as a newer loader does.
    if process.glibc >= _SMALL_ALIGNMENT_ALLOWED or (process.by_camera and item is process.program):
        return distance % size != 0
    return bool(segment.alignment % size or (segment.alignment and distance & (segment.alignment - 1)))


def _shares_pages(segments: Sequence[Segment], size: int) -> bool:
    """Return whether the last page of a segment is mapped again for the next one, without all its rights."""
    return any(
        one.memory_size
        and (one.address + one.memory_size - 1) // size >= following.address // size
        and following.memory_size
        and one.flags & ~following.flags
        for one, following in itertools.pairwise(segments)
    )


def find_executable_stack(item: Object, process: Process, *, loaded_later: bool) -> Iterator[Finding]:
    """Yield a finding for a file that needs an executable stack: an error where glibc refuses to load it."""
    facts = item.facts
    # The loader makes the stack executable for an ARM file without a stack header.
    if not (facts.executable_stack or (facts.executable_stack is None and facts.machine == "EM_ARM")):
        return
    track = process.policy.track
    by_firmware = track is not None and track >= _EXECUTABLE_STACK_BLOCKED
    refused = by_firmware or (loaded_later and process.glibc >= _EXECUTABLE_STACK_REFUSED)
    provides = f"glibc {'.'.join(map(str, process.glibc))}"
    if track is not None and by_firmware:
        provides = f"AXIS OS {'.'.join(map(str, track))}"
    yield Finding(
        kind=Kind.executable_stack,
        severity=Severity.error if refused else Severity.warning,
        file=item.path,
        needs="an executable stack",
        provides=f"{provides}, which " + ("refuses that" if refused else "still allows it; 2.41 does not"),
        remedy=relink(
            process.subject,
            "-Wl,-z,noexecstack, and its assembler files with a section .note.GNU-stack",
            path=item.path,
        ),
    )


def find_text_relocations(item: Object, subject: Subject) -> Iterator[Finding]:
    """Yield a warning for a file whose code the loader changes, so that processes cannot share it."""
    if item.facts.text_relocations:
        yield Finding(
            kind=Kind.text_relocations,
            severity=Severity.warning,
            file=item.path,
            needs="its code to be changed when it is loaded",
            provides="code that is shared and read-only",
            remedy=f"{recompile(subject, '-fPIC', path=item.path)}; else each process has a copy of its code",
        )


def find_outside_run_path(item: Object, subject: Subject, policy: Policy) -> Iterator[Finding]:
    """Yield a warning for a run path that names a folder outside the subject and the camera."""
    outside = [entry for entry in item.facts.run_path if not resolve_run_path(entry, item.folder, subject, policy)]
    varying = [entry for entry in item.facts.run_path if depends_on_loader(entry) and entry not in outside]
    if outside:
        yield Finding(
            kind=Kind.run_path,
            severity=Severity.warning,
            file=item.path,
            needs="libraries searched in " + ", ".join(entry or "the current folder" for entry in outside),
            provides=f"folders of {container_of(subject)} and of the camera",
            remedy="nothing to do if the libraries are found (a missing-library says if not); tell its authors"
            if source_of(subject) is Source.wheel
            else "link it with -Wl,-rpath,'$ORIGIN', or without a run path",
        )
    if varying:
        yield Finding(
            kind=Kind.run_path,
            severity=Severity.warning,
            file=item.path,
            needs="libraries searched in " + ", ".join(varying),
            provides="loaders that differ in $LIB: lib in most firmware, a longer path in Debian",
            remedy=relink(subject, "-Wl,-rpath,'$ORIGIN/lib'", path=item.path),
        )
