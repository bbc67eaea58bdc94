"""What files need of one another: libraries, versions, symbols, and one of each in a process."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from incamera.abi.findings import Finding, Kind, Severity
from incamera.abi.loader_rule import LIBC_FAMILY, public_versions
from incamera.abi.policy import Policy, load_api
from incamera.abi.process import Load, Process, parse_version
from incamera.targets.suite import load_suites

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.elf import Reference

_FROM_SDIST = 'name its package in sources as "sdist", so that it is built for this target'
_OWN = "build it for this target, in a project with a [build-system]"
_SHOWN = 3
# The glibc that no longer insists, when it looks a symbol up, that a library once asked for versions has some.
_TOLERANT = (2, 41)


def find_missing_libraries(load: Load, process: Process) -> Iterator[Finding]:
    for (item, name), found in load.found.items():
        if found is None:
            passed_over = load.passed_over.get((item, name))
            yield Finding(
                kind=Kind.missing_library,
                severity=Severity.error,
                file=item.path,
                needs=name,
                provides=f"{passed_over.path}, for another machine"
                if passed_over
                else f"nothing of that name {process.name}",
                remedy=_remedy_for_library(name, process),
            )


def _remedy_for_library(name: str, process: Process) -> str:
    if name in load_api():
        return "the camera's own library, which this one has not: use a camera that has it (virtual ones do not)"
    if name.startswith("libpython"):
        return "link it without libpython: the interpreter itself exports Python's functions"
    if process.subject.shape == "package":
        paths = (*process.subject.objects, *process.subject.links)
        beside = next((path for path in paths if path.rpartition("/")[2] == name), None)
        if beside:
            return f"{beside} is not looked for there: link with -Wl,-rpath,'$ORIGIN/lib'"
        return "bring it in lib/, linked with -Wl,-rpath,'$ORIGIN/lib'"
    return "name the Debian package that brings it in debs of [tool.incamera]"


def find_missing_loader(process: Process) -> Iterator[Finding]:
    """A program whose loader isn't there, of another C library perhaps: the kernel finds nothing to start."""
    program, policy = process.program, process.policy
    wanted = program.facts.interpreter if program is not None else None
    if program is not None and wanted and program.ours:
        there = {policy.loader, *(item.path for item in policy.libraries.values())}
        if posixpath.normpath(wanted) not in there:
            yield Finding(
                kind=Kind.missing_library,
                severity=Severity.error,
                file=program.path,
                needs=f"the loader {wanted}",
                provides=str(policy.loader),
                remedy="build it with the C library that cameras have, glibc, or link it statically",
            )


def find_foreign_libc(load: Load, process: Process) -> Iterator[Finding]:
    """A program that the camera's loader starts, and that finds a C library which that loader doesn't belong to."""
    for item in load.objects if process.by_camera else ():
        if item.ours and item is not process.program and LIBC_FAMILY.fullmatch(item.facts.soname or item.name):
            yield Finding(
                kind=Kind.shared_library_conflict,
                severity=Severity.error,
                file=load.root.path,
                needs=item.path,
                provides="the camera's loader, which goes with the camera's C library only",
                remedy="link it without a run path, or have the bundle's Python do its work",
            )


def find_missing_versions(load: Load, process: Process) -> Iterator[Finding]:
    for item in load.objects:
        for library, versions in item.facts.needs.items():
            found = load.found.get((item, library))
            if found is None or found.damage:
                continue
            if not found.facts.defines:
                if versions and not found.facts.versioned and process.glibc < _TOLERANT:
                    yield _bare_finding(item, library, versions)
                continue  # without versions, any will do; the loader grumbles
            missing = [version for version in versions if not _has(found, version, process.policy)]
            if missing:
                yield _version_finding(load, item, library, found, missing, process)
        if item.ours and _lacks_relocation_mark(item, load):
            yield Finding(
                kind=Kind.symbol_version,
                severity=Severity.error,
                file=item.path,
                needs="packed relocations (DT_RELR)",
                provides="loaders that want GLIBC_ABI_DT_RELR to be asked for",
                remedy="link it with -Wl,-z,nopack-relative-relocs, or with a linker that knows glibc's rule",
            )


def _bare_finding(item: Object, library: str, versions: Sequence[str]) -> Finding:
    return Finding(
        kind=Kind.symbol_version,
        severity=Severity.error,
        file=item.path,
        needs=max(versions, key=parse_version),
        provides=f"{library} without any versions, which ends the process with glibc before 2.41",
        remedy=f"bring the {library} that it was linked with",
    )


def _has(found: Object, version: str, policy: Policy) -> bool:
    if version in found.facts.defines:
        return True
    if found.facts.soname not in policy.api:
        return False
    # Only versions that some program asks for are known; those between them may well be there.
    family = version.rpartition("_")[0]
    known = [parse_version(name) for name in found.facts.defines if name.rpartition("_")[0] == family]
    return bool(known) and parse_version(version) < max(known)


def _version_finding(
    load: Load, item: Object, library: str, found: Object, missing: Sequence[str], process: Process
) -> Finding:
    highest = max(missing, key=parse_version)
    family = highest.rpartition("_")[0]
    there = [name for name in public_versions(found.facts.defines) if name.rpartition("_")[0] == family]
    where = "the camera's" if found.camera else "the bundle's"
    provides = f"{max(there, key=parse_version)} ({where} {library})" if there else f"{where} {library} without it"
    other = process.policy.libraries.get(library)
    if found.camera:
        other = None if process.by_camera else process.subject.find("lib", library)
    conflict = other is not None and other is not found and all(version in other.facts.defines for version in missing)
    if conflict:
        both = "the bundle's and the camera's" if not found.camera else "the camera's and the bundle's"
        remedy = f"{both} {library} cannot share a process: bring one that has the versions of both, or leave it out"
    elif item.camera:
        remedy = f"bring no {library}, so that the camera's own is used"
    elif found.camera and found.facts.soname in process.policy.api:
        remedy = "build it with the SDK of the camera's AXIS OS; `--device NAME` asks the very camera"
    else:
        remedy = _remedy_for_version(item, highest)
    # What is wrong between others is told of the file that brings them together.
    culprit = item if item.ours or not load.root.ours else load.root
    return Finding(
        kind=Kind.shared_library_conflict if conflict else Kind.symbol_version,
        severity=Severity.error,
        file=culprit.path,
        needs=highest
        + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        + (f", for {item.path}" if culprit is not item else ""),
        provides=provides,
        remedy=remedy,
    )


def _remedy_for_version(item: Object, version: str) -> str:
    build = _OWN if not item.folder or item.path.startswith("app/") else _FROM_SDIST
    if version.startswith("GLIBC_"):
        wanted = parse_version(version)
        for suite in sorted(load_suites().values(), key=lambda suite: suite.release):
            if suite.python and tuple(map(int, suite.glibc.split("."))) >= wanted:
                return f"{build}, or use Python {suite.python} (glibc {suite.glibc})"
    return build


def _lacks_relocation_mark(item: Object, load: Load) -> bool:
    facts = item.facts
    if not facts.packed_relocations or any("GLIBC_ABI_DT_RELR" in versions for versions in facts.needs.values()):
        return False
    return bool(facts.needs) and any(name.startswith("libc.so.") for name in facts.needed)


def find_missing_symbols(missing: Mapping[Object, Sequence[Reference]], load: Load) -> Iterator[Finding]:
    for item, references in missing.items():
        names = sorted({reference.name for reference in references})
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        from_python = all(name.startswith(("Py", "_Py")) for name in names)
        yield Finding(
            kind=Kind.missing_symbol,
            severity=Severity.error,
            file=item.path,
            needs=shown,
            provides="the interpreter, which has it not"
            if from_python
            else "no such symbol in " + _describe_libraries(item, load),
            remedy="it was built for another Python: build it for the target's"
            if from_python
            else "link it with the library that has it, in the version that it was built with",
        )


def _describe_libraries(item: Object, load: Load) -> str:
    names = [name for name in item.facts.needed if not LIBC_FAMILY.fullmatch(name)]
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "") if names else "libc"


def find_private_copies(loads: Sequence[Load]) -> Iterator[Finding]:
    """Two files of one name for two users: whoever comes first is taken by both."""
    chosen: dict[str, dict[Object, list[Object]]] = {}
    for load in loads:
        for (item, name), found in load.found.items():
            if found is not None and not found.damage:
                chosen.setdefault(name, {}).setdefault(found, []).append(item)
    for name, by_object in chosen.items():
        if len(by_object) < 2:
            continue
        for found, users in by_object.items():
            for user in users:
                wanted = set(user.facts.needs.get(name, ()))
                for other in by_object:
                    lacking = wanted - set(other.facts.defines)
                    if other is not found and other.facts.defines and lacking and user.ours:
                        yield Finding(
                            kind=Kind.shared_library_conflict,
                            severity=Severity.warning,
                            file=user.path,
                            needs=f"{max(lacking, key=parse_version)} of {found.path}",
                            provides=f"{other.path}, should that be loaded first",
                            remedy=f"bring one {name} for both, the newer",
                        )


_NUMBERED = re.compile(r"(?P<stem>.+?)(?:-[\d.]+)?\.so\.(?P<number>[\d.]+)")


def find_two_generations(loads: Sequence[Load]) -> Iterator[Finding]:
    """libssl.so.1.1 and libssl.so.3 in one process: functions of one may be called with the other's data."""
    told = set()
    for load in loads:
        generations: dict[str, dict[str, Object]] = {}
        for item in load.objects:
            match = _NUMBERED.fullmatch(item.facts.soname or "")
            if match and not LIBC_FAMILY.fullmatch(item.facts.soname or ""):
                generations.setdefault(match["stem"], {})[item.facts.soname or ""] = item
        for found in generations.values():
            if len(found) > 1 and tuple(found) not in told and load.root.ours:
                told.add(tuple(found))
                yield Finding(
                    kind=Kind.shared_library_conflict,
                    severity=Severity.warning,
                    file=load.root.path,
                    needs=" and ".join(found),
                    provides="one process, in which functions of one may get data of the other",
                    remedy="have all that it loads built against the same one of them",
                )
