"""What a file says of itself: is it sound, for this processor, and such that a loader maps it?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from incamera.abi.findings import Finding, Kind, Severity
from incamera.abi.subject import NAMED_AS_LIBRARY
from incamera.elf import ElfFacts, ElfType

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.policy import Policy
    from incamera.abi.process import Process
    from incamera.abi.subject import Subject
    from incamera.targets.architecture import Architecture

_BUILD_IT = 'build it for {target}: name its package in sources as "sdist", or take a wheel made for that'
_MACHINES = {"EM_386": "x86", "EM_X86_64": "x86-64", "EM_ARM": "ARM", "EM_AARCH64": "aarch64", "EM_MIPS": "MIPS"}

_EABI_MASK, _EABI5, _SOFT_FLOAT, _HARD_FLOAT = 0xFF000000, 0x05000000, 0x200, 0x400
_GNU, _ARM_AEABI = 3, 64
_OS_ABIS = {"EM_ARM": (0, _GNU, _ARM_AEABI)}

# Build attributes of ARM files, as its ABI numbers them.
_ARMV7, _ARMV7E_M, _VFPV3_D16, _NEON, _DIVISION_MAY_BE_USED = 10, 13, 4, 1, 2
_CPU_NAMES = {14: "ARMv8-A", 15: "ARMv8-R", 16: "ARMv8-M", 17: "ARMv8-M", 22: "ARMv9-A"}
_FP_NAMES = {5: "VFPv4", 6: "VFPv4-D16", 7: "FP of ARMv8", 8: "FP of ARMv8"}
_SIMD_NAMES = {2: "NEON with FMA", 3: "NEON of ARMv8", 4: "NEON of ARMv8.1"}
_ASKS = frozenset({"getauxval", "__getauxval"})

# The glibc from which on segments may be aligned to less than a page, and a stack isn't made executable any more.
_LENIENT_ALIGNMENT = (2, 35)
_FIXED_STACK = (2, 41)


def find_damage(item: Object, severity: Severity) -> Iterator[Finding]:
    """What no loader would take, or what would end the process as soon as it is touched."""
    problem = item.damage or _unloadable(item)
    if problem:
        yield Finding(
            kind=Kind.malformed,
            severity=severity,
            file=item.path,
            needs="a valid ELF file",
            provides=problem,
            remedy="fetch or build it again",
        )


def _unloadable(item: Object) -> str:
    facts = item.facts
    if facts.is_program and NAMED_AS_LIBRARY.fullmatch(item.name):
        return "a program, which can be started but not loaded"
    if facts.os_abi not in _OS_ABIS.get(facts.machine, (0, _GNU)):
        return f"an unknown OS ABI, {facts.os_abi}"
    if facts.abi_version and facts.os_abi != _GNU:
        return f"an unknown version of the OS ABI, {facts.abi_version}"
    if any(facts.padding):
        return "its header has bytes where none should be"
    if facts.type in (ElfType.object, ElfType.other):
        return "neither a library nor a program"
    if not facts.segments:
        return "nothing of it is to be loaded"
    if not facts.dynamic and facts.type is ElfType.shared and not facts.interpreter:
        return "it has no dynamic section (is it only the debugging part of a file?)"
    if any(segment.offset + segment.file_size > facts.file_size for segment in facts.segments):
        return "it is cut short"
    return ""


def find_wrong_architecture(item: Object, policy: Policy, severity: Severity) -> Iterator[Finding]:
    wanted = policy.architecture.facts
    if is_for(item.facts, policy.architecture):
        return
    yield Finding(
        kind=Kind.wrong_architecture,
        severity=severity,
        file=item.path,
        needs=_describe_machine(item.facts),
        provides=f"{_MACHINES[wanted.elf_machine]}, {wanted.bits} bits",
        remedy=_BUILD_IT.format(target=policy.architecture),
    )


def is_for(facts: ElfFacts, architecture: Architecture) -> bool:
    wanted = architecture.facts
    return (facts.machine, facts.bits, facts.little_endian) == (wanted.elf_machine, wanted.bits, True)


def _describe_machine(facts: ElfFacts) -> str:
    name = _MACHINES.get(facts.machine, facts.machine.removeprefix("EM_"))
    return f"{name}, {facts.bits} bits" + ("" if facts.little_endian else ", big-endian")


def find_float_abi(item: Object) -> Iterator[Finding]:
    """glibc refuses what says that it passes floating point in integer registers."""
    if item.facts.machine == "EM_ARM" and item.facts.flags & _EABI_MASK == _EABI5 and item.facts.flags & _SOFT_FLOAT:
        yield _float_finding(item, Severity.error, "soft float: numbers in integer registers (armel)")
    elif _is_silent_on_floats(item.facts):
        yield _float_finding(item, Severity.warning, "perhaps soft float: it doesn't say how it passes numbers")


def _is_silent_on_floats(facts: ElfFacts) -> bool:
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
        remedy="build it with -mfloat-abi=hard, or take an armhf or armv7l build of it",
    )


def find_cpu_features(item: Object) -> Iterator[Finding]:
    """Instructions that a Cortex-A9 has not. A file that looks at the processor itself may choose among ways."""
    beyond = describe_cpu_features(item)
    if beyond and not asks_the_processor(item):
        yield Finding(
            kind=Kind.cpu_feature,
            severity=Severity.error,
            file=item.path,
            needs=beyond,
            provides="ARMv7-A with VFPv3 and NEON",
            remedy="build it with -march=armv7-a -mfpu=neon, as incamera's own compiler settings do",
        )


def describe_cpu_features(item: Object) -> str:
    """Return what of the processor a file may use beyond the least that cameras have; "" for nothing.

    The flags of the vendor's SDK are the measure (targets/data/architectures.toml): ARMv7-A, VFPv3, NEON.
    """
    attributes = item.facts.attributes
    if attributes is None:
        return ""
    beyond = []
    if attributes.cpu_arch > _ARMV7 and attributes.cpu_arch != _ARMV7E_M:
        beyond.append(_CPU_NAMES.get(attributes.cpu_arch, f"processor architecture {attributes.cpu_arch}"))
    if attributes.fp_arch > _VFPV3_D16:
        beyond.append(_FP_NAMES.get(attributes.fp_arch, f"FP architecture {attributes.fp_arch}"))
    if attributes.simd_arch > _NEON:
        beyond.append(_SIMD_NAMES.get(attributes.simd_arch, f"SIMD architecture {attributes.simd_arch}"))
    if attributes.division == _DIVISION_MAY_BE_USED and not beyond:
        beyond.append("integer division")
    return ", ".join(beyond)


def asks_the_processor(item: Object) -> bool:
    symbols = item.symbols
    return symbols is None or bool(_ASKS & (symbols.weak | {reference.name for reference in symbols.imports}))


def find_page_size(item: Object, policy: Policy, process: Process) -> Iterator[Finding]:
    """Segments must begin where pages do; the older loaders want their alignment to be a multiple of it, too."""
    size = policy.page_size
    for segment in item.facts.segments:
        distance = segment.address - segment.offset
        if process.glibc >= _LENIENT_ALIGNMENT:
            wrong = distance % size
        else:
            wrong = segment.alignment % size or (segment.alignment and distance & (segment.alignment - 1))
        if wrong:
            yield Finding(
                kind=Kind.page_size,
                severity=Severity.error,
                file=item.path,
                needs=f"pages of {segment.alignment} bytes",
                provides=f"pages of {size} bytes",
                remedy=f"link it with -Wl,-z,max-page-size={max(size, 65536 if item.facts.bits == 64 else size)}",
            )
            return


def find_executable_stack(item: Object, process: Process, *, loaded_later: bool) -> Iterator[Finding]:
    facts = item.facts
    # Where an ARM file says nothing of its stack, the loader takes it to be executable.
    if not (facts.executable_stack or (facts.executable_stack is None and facts.machine == "EM_ARM")):
        return
    refused = loaded_later and process.glibc >= _FIXED_STACK
    version = ".".join(map(str, process.glibc))
    yield Finding(
        kind=Kind.executable_stack,
        severity=Severity.error if refused else Severity.warning,
        file=item.path,
        needs="an executable stack",
        provides=f"glibc {version}, which " + ("refuses that" if refused else "still allows it; 2.41 does not"),
        remedy="link it with -Wl,-z,noexecstack; assembler files want a section .note.GNU-stack",
    )


def find_text_relocations(item: Object) -> Iterator[Finding]:
    if item.facts.text_relocations:
        yield Finding(
            kind=Kind.text_relocations,
            severity=Severity.warning,
            file=item.path,
            needs="its code to be changed when it is loaded",
            provides="code that is shared and read-only",
            remedy="compile it with -fPIC; until then each process has a copy of its own in memory",
        )


def find_outside_run_path(item: Object, subject: Subject, policy: Policy) -> Iterator[Finding]:
    from incamera.abi.process import resolve_run_path

    outside = [entry for entry in item.facts.run_path if resolve_run_path(entry, item.folder, subject, policy) is None]
    if outside:
        yield Finding(
            kind=Kind.run_path,
            severity=Severity.warning,
            file=item.path,
            needs="libraries looked for in " + ", ".join(entry or "the current folder" for entry in outside),
            provides="folders of the bundle and of the camera",
            remedy="link it with -Wl,-rpath,'$ORIGIN', or without a run path",
        )
