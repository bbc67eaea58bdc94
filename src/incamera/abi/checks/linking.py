"""Checks of what files need of one another: libraries, symbol versions, symbols, and one copy of each in a process."""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from incamera.abi.camera_api import Answer, find_api, parse_track
from incamera.abi.checks.wheel import required_by_wheel
from incamera.abi.findings import Finding, Kind, Severity
from incamera.abi.loader_rule import LIBC_FAMILY, parse_version, public_versions
from incamera.abi.remedies import (
    Source,
    bring_library,
    build_against_camera,
    build_for,
    container_of,
    leave_out,
    relink,
    source_of,
)
from incamera.targets.suite import load_suites

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.policy import Policy
    from incamera.abi.process import Load, Process, Undefined
    from incamera.abi.subject import Subject
    from incamera.elf import Reference

_SHOWN = 3
# The first glibc that accepts a library without versions where a file needs some.
_UNVERSIONED_ALLOWED = (2, 41)


def find_missing_libraries(load: Load, process: Process) -> Iterator[Finding]:
    """Yield an error for each needed library that the loader doesn't find."""
    for (item, name), found in load.found.items():
        if found is None:
            skipped = load.skipped.get((item, name))
            # Libraries of a system have a number in their names, those in Python packages often none.
            others = required_by_wheel(process.subject) if name.endswith(".so") and not skipped else []
            if others:
                yield _expect_from_others(item, name, others)
                continue
            yield Finding(
                kind=Kind.missing_library,
                severity=Severity.error,
                file=item.path,
                needs=name,
                provides=f"{skipped.path}, for another machine" if skipped else f"nothing of that name {process.name}",
                remedy=_remedy_for_library(name, process),
            )


def find_unopenable(load: Load, process: Process) -> Iterator[Finding]:
    """Yield an error for each file in *load* that the loader takes only when a process starts, and not later."""
    started = process.started.objects if process.started is not None else []
    for item in load.objects:
        if item.ours and item.facts.not_opened_later and item not in started:
            yield Finding(
                kind=Kind.malformed,
                severity=Severity.error,
                file=item.path,
                needs="to be loaded when a process starts (DF_1_NOOPEN)",
                provides="a process that loads it later, which the loader refuses",
                remedy=relink(process.subject, "the default options, without -z nodlopen", path=item.path),
            )


def _expect_from_others(item: Object, name: str, others: Sequence[str]) -> Finding:
    shown = ", ".join(others[:_SHOWN]) + (" …" if len(others) > _SHOWN else "")
    return Finding(
        kind=Kind.missing_library,
        severity=Severity.warning,
        file=item.path,
        needs=name,
        provides=f"nothing of that name in the wheel; perhaps a package that it requires has it: {shown}",
        remedy="audit the bundle of a project that depends on the wheel: it has those packages, too",
    )


def _remedy_for_library(name: str, process: Process) -> str:
    library = find_api(name)
    if library is not None and library.firmware:
        track, since = process.policy.track, library.since()
        if track is None:
            return "use a camera that has this library: it belongs to the firmware (virtual cameras don't have it)"
        if since and parse_track(since) > track:
            return f"use a camera with AXIS OS {since} or later: the library belongs to the firmware"
        return "use an older AXIS OS, or another interface: the library is no longer part of the firmware"
    if name.startswith("libpython"):
        own = source_of(process.subject) in (Source.project, Source.file)
        return (
            "link it without libpython: the interpreter itself exports Python's functions"
            if own
            else "use a build that is not linked with libpython: the interpreter itself exports Python's functions"
        )
    return bring_library(process.subject, name)


def find_missing_loader(process: Process) -> Iterator[Finding]:
    """Yield an error for a program whose loader the camera doesn't have, as that of another C library."""
    program, policy = process.program, process.policy
    wanted = program.facts.interpreter if program is not None else None
    if program is not None and wanted and program.ours and process.loader_is_known and process.own_loader is None:
        files = {policy.loader, *(item.path for item in policy.libraries.values())}
        if posixpath.normpath(wanted) not in files:
            yield Finding(
                kind=Kind.missing_library,
                severity=Severity.error,
                file=program.path,
                needs=f"the loader {wanted}",
                provides=str(policy.loader),
                remedy="build it with the C library that cameras have, glibc, or link it statically",
            )


def find_foreign_libc(load: Load, process: Process) -> Iterator[Finding]:
    """Yield an error for a program that the camera's loader starts with another C library than the camera's."""
    own_loader = process.own_loader is not None
    for item in load.objects if process.by_camera and process.loader_is_known else ():
        if (
            item.ours is not own_loader
            and item is not process.program
            and LIBC_FAMILY.fullmatch(item.facts.soname or item.name)
        ):
            yield Finding(
                kind=Kind.shared_library_conflict,
                severity=Severity.error,
                file=load.root.path,
                needs=item.path,
                provides=f"the {'package' if own_loader else 'camera'}'s loader, which works only with its C library",
                remedy=_remedy_for_libc(item, process.subject, own_loader=own_loader),
            )


def _remedy_for_libc(item: Object, subject: Subject, *, own_loader: bool) -> str:
    if own_loader:
        return f"put the {item.name} that belongs to the loader into the package, and link with a run path to it"
    if source_of(subject) is Source.project:
        return "link it without a run path, or do its work in the bundle's Python"
    return leave_out(subject, "the C library")


def find_missing_versions(load: Load, process: Process) -> Iterator[Finding]:
    """Yield an error for each file that needs symbol versions which the library found doesn't define.

    A warning, where it is not known whether the camera's defines them.
    """
    loaded: dict[str | None, Object] = {}
    for item in load.objects:
        for library, versions in item.facts.needs.items():
            found = load.found.get((item, library))
            if found is None and item.ours and library not in item.facts.needed:
                loaded = loaded or _names_of(load, process)
                found = loaded.get(library)
                if found is None:
                    yield _unneeded_finding(item, library, process.subject)
            if found is None or found.damage:
                continue
            if not found.facts.defines:
                if versions and not found.facts.versioned and process.glibc < _UNVERSIONED_ALLOWED:
                    yield _unversioned_finding(item, library, versions, process.subject)
                continue  # the loader prints a warning, and takes the library's symbols for any version
            answers = {version: process.policy.defines(found, version) for version in versions}
            for answer in (Answer.no, Answer.unclear):
                if missing := [version for version in versions if answers[version] is answer]:
                    finding = _version_finding(load, item, library, found, missing, process)
                    yield finding if answer is Answer.no else _as_unclear(finding, process.policy)
        if item.ours and _lacks_relocation_mark(item, load):
            yield Finding(
                kind=Kind.symbol_version,
                severity=Severity.error,
                file=item.path,
                needs="packed relocations (DT_RELR)",
                provides="a loader that requires the version GLIBC_ABI_DT_RELR in such a file",
                remedy=relink(process.subject, "-Wl,-z,nopack-relative-relocs", path=item.path),
            )


def _names_of(load: Load, process: Process) -> dict[str | None, Object]:
    """Return all libraries that are loaded with *load* or before it, by their names."""
    objects = [*(process.started.objects if process.started is not None else []), *load.objects]
    return {name: item for item in reversed(objects) for name in (item.name, item.facts.soname)}


def _unneeded_finding(item: Object, library: str, subject: Subject) -> Finding:
    return Finding(
        kind=Kind.symbol_version,
        severity=Severity.error,
        file=item.path,
        needs=f"versions of {library}, which it does not ask the loader for (DT_NEEDED)",
        provides="a loader that ends the process when nothing else has loaded that library",
        remedy=relink(subject, library, path=item.path),
    )


def _unversioned_finding(item: Object, library: str, versions: Sequence[str], subject: Subject) -> Finding:
    return Finding(
        kind=Kind.symbol_version,
        severity=Severity.error,
        file=item.path,
        needs=max(versions, key=parse_version),
        provides=f"{library} without any versions, which crashes the process with a glibc older than 2.41",
        remedy=f"add the {library} that it was linked with to {container_of(subject)}",
    )


def _as_unclear(finding: Finding, policy: Policy) -> Finding:
    return dataclasses.replace(
        finding,
        severity=Severity.warning,
        provides=f"{finding.provides}, perhaps newer: {policy.name} is not known so well",
    )


def _version_finding(
    load: Load, item: Object, library: str, found: Object, missing: Sequence[str], process: Process
) -> Finding:
    highest = max(missing, key=parse_version)
    family = highest.rpartition("_")[0]
    defined = [name for name in public_versions(found.facts.defines) if name.rpartition("_")[0] == family]
    subject = process.subject
    where = "the camera's" if found.camera else f"{container_of(subject)}'s" if found.ours else "the bundle's"
    provides = f"{max(defined, key=parse_version)} ({where} {library})" if defined else f"{where} {library} without it"
    other = process.policy.libraries.get(library)
    if found.camera:
        other = None if process.by_camera else process.subject.find("lib", library)
    conflict = other is not None and other is not found and all(version in other.facts.defines for version in missing)
    if conflict:
        ours = "the bundle" if found.base else container_of(subject)
        both = f"{ours}'s and the camera's" if not found.camera else f"the camera's and {ours}'s"
        remedy = f"use a {library} with the versions of both, or none in {ours}: {both} cannot share a process"
    elif item.camera:
        remedy = leave_out(subject, library)
    elif found.camera and library in process.policy.api:
        remedy = "build it with the SDK of the camera's AXIS OS; `incamera audit --device NAME` checks against a camera"
    else:
        remedy = _remedy_for_version(item, highest, subject)
    # A conflict between two libraries of the camera or the runtime is reported for the file that loads both.
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


def _remedy_for_version(item: Object, version: str, subject: Subject) -> str:
    build = build_against_camera(subject, path=item.path)
    if version.startswith("GLIBC_") and subject.shape != "package":
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


def describe_unseen(undefined: Iterable[Undefined]) -> Iterator[str]:
    """Yield a limit for each library of the camera that files need symbols of, if these have not been seen."""
    unseen: dict[str, set[str]] = {}
    for one in undefined:
        for library, names in one.unseen.items():
            unseen.setdefault(library.name, set()).update(names)
    for library_name, names in sorted(unseen.items()):
        shown = sorted(names)
        listed = ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")
        yield f"whether the camera's {library_name} has {listed}: its symbols have not been seen"


def find_missing_symbols(undefined: Mapping[Object, Sequence[Reference]], subject: Subject) -> Iterator[Finding]:
    """Yield an error for each file with *undefined* symbols."""
    for item, references in undefined.items():
        names = sorted({reference.name for reference in references})
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        from_python = all(name.startswith(("Py", "_Py")) for name in names)
        if newest := _newest_axis_os(item, names):
            yield Finding(
                kind=Kind.missing_symbol,
                severity=Severity.error,
                file=item.path,
                needs=shown,
                provides=f"an AXIS OS without it, in {_describe_libraries(item)}",
                remedy=f"AXIS OS {newest} has it: for older cameras, do without it, or look it up with dlsym()",
            )
            continue
        yield Finding(
            kind=Kind.missing_symbol,
            severity=Severity.error,
            file=item.path,
            needs=shown,
            provides="an interpreter without it" if from_python else "no such symbol in " + _describe_libraries(item),
            remedy=build_for(subject, "the target's Python", path=item.path)
            if from_python and source_of(subject) is Source.wheel
            else "build it for the target's Python: it was built for another one"
            if from_python
            else relink(subject, "the library that defines it, in the version that it was built with", path=item.path),
        )


def find_called(undefined: Mapping[Object, Sequence[Reference]]) -> dict[Object, list[Reference]]:
    """Return those of the *undefined* symbols that a process misses only when it calls them."""
    called = {
        item: [one for one in references if one.name in item.lazy_functions] for item, references in undefined.items()
    }
    return {item: references for item, references in called.items() if references}


def without_called(
    undefined: Mapping[Object, Sequence[Reference]], called: Mapping[Object, Sequence[Reference]]
) -> dict[Object, list[Reference]]:
    """Return the *undefined* symbols that are not in *called*."""
    rest = {item: [one for one in found if one not in called.get(item, ())] for item, found in undefined.items()}
    return {item: references for item, references in rest.items() if references}


def find_missing_functions(
    undefined: Mapping[Object, Sequence[Reference]], subject: Subject, program: Object
) -> Iterator[Finding]:
    """Yield a finding for each file with *undefined* functions that are looked up when they are called.

    Those that *program* itself calls are errors. Those of a library are warnings: the program may do without that part.
    """
    for finding in find_missing_symbols(undefined, subject):
        severity = Severity.error if finding.file == program.path else Severity.warning
        provides = f"{finding.provides}: the process starts, and ends where it calls that"
        yield dataclasses.replace(finding, provides=provides, severity=severity)


def _newest_axis_os(item: Object, names: Sequence[str]) -> str:
    """Return the first AXIS OS that has all of *names*, functions of the camera's libraries; "" if some are no such."""
    libraries = [library for soname in item.facts.needed if (library := find_api(soname)) is not None]
    tracks = [max((one.function_since(name) for one in libraries), default="") for name in names]
    return max(tracks, key=parse_track) if tracks and all(tracks) else ""


def _describe_libraries(item: Object) -> str:
    names = [name for name in item.facts.needed if not LIBC_FAMILY.fullmatch(name)]
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "") if names else "libc"


def find_private_copies(loads: Sequence[Load]) -> Iterator[Finding]:
    """Yield a warning where two files have private copies of one library: both get the copy that is loaded first."""
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
                            provides=f"{other.path}, if that is loaded first",
                            remedy=f"use one {name} for both, the newer one",
                        )


_NUMBERED = re.compile(r"(?P<stem>.+?)(?:-[\d.]+)?\.so\.(?P<number>[\d.]+)")


def find_two_major_versions(loads: Sequence[Load]) -> Iterator[Finding]:
    """Yield a warning for two major versions of a library in one process, as libssl.so.1.1 and libssl.so.3.

    Functions of one may be called with data of the other.
    """
    reported = set()
    for load in loads:
        by_stem: dict[str, dict[str, Object]] = {}
        for item in load.objects:
            match = _NUMBERED.fullmatch(item.facts.soname or "")
            if match and not LIBC_FAMILY.fullmatch(item.facts.soname or ""):
                by_stem.setdefault(match["stem"], {})[item.facts.soname or ""] = item
        for found in by_stem.values():
            if len(found) > 1 and tuple(found) not in reported and load.root.ours:
                reported.add(tuple(found))
                yield Finding(
                    kind=Kind.shared_library_conflict,
                    severity=Severity.warning,
                    file=load.root.path,
                    needs=" and ".join(found),
                    provides="one process, in which functions of one may get data of the other",
                    remedy="use libraries that were all built with the same one of these",
                )
