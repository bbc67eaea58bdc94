"""The audit: compare what a bundle, an .eap or a file needs with what a camera has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.abi.checks import camera, dlopen, identity, imports, linking, package, python, wheel
from incamera.abi.findings import Finding, Kind, Report, Severity
from incamera.abi.simulation import Loaded, Simulation, simulate_loading
from incamera.abi.subject import NOT_AN_ELF_FILE, Shape, Subject, open_subject
from incamera.errors import ConfigError
from incamera.targets.suite import suite_for_python
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.policy import Policy

_SHOWN = 3
_NEVER_CHECKED = (
    "libraries that native code loads by name, and programs that it starts",
    "processor features that a file uses without declaring them: only ARMv7 files declare any",
)


def audit_path(path: Path, policy: Policy, *, target: Target | None = None) -> Report:
    """Audit the file or folder at *path* against *policy*. Raises UsageError for a file of no known kind."""
    with open_subject(path) as subject:
        return audit(subject, policy, target=target)[0]


def audit(subject: Subject, policy: Policy, *, target: Target | None = None) -> tuple[Report, Simulation]:
    """Audit *subject* against *policy*. Returns the report, and the simulated loading that it is based on.

    *target* gives the Python version; None takes it from the subject's own names.
    """
    target = target or _find_target(subject, policy)
    simulation = simulate_loading(subject, policy, target)
    module_faults, libraries = _check_modules(subject, policy, target, simulation)
    link_faults, unseen = _check_links(subject, policy, simulation)
    findings = [
        *_damaged_or_empty(subject),
        *_check_files(subject, policy, target, simulation),
        *module_faults,
        *link_faults,
        *wheel.find_invalid_wheel(subject),
        *wheel.find_wrong_tags(subject, policy),
        *package.find_faulty_description(subject),
    ]
    loaded_by_name, limits = dlopen.find_loaded_by_name(subject, simulation.process)
    report = Report(
        subject=subject.name,
        policy=policy.name,
        loader=simulation.loader,
        files=len(subject.objects),
        findings=_sorted([*findings, *loaded_by_name]),
        limits=(
            *limits,
            *unseen,
            *_describe_libraries(libraries),
            *_describe_feature_detection(subject),
            *_describe_outside(subject),
            *_NEVER_CHECKED,
        ),
    )
    return report, simulation


def _find_target(subject: Subject, policy: Policy) -> Target:
    """Return the target for the Python version that the subject's wheel or launcher names, else the default one."""
    version = wheel.python_of(subject.wheel) if subject.wheel else None
    if subject.program is not None:
        version = subject.program.rpartition("python")[2]
    try:
        if version:
            suite_for_python(version)
            return Target(policy.architecture, version)
    except ConfigError:
        pass  # there is no such Python: the check of the modules reports that
    return Target(policy.architecture)


def _describe_feature_detection(subject: Subject) -> Iterator[str]:
    """Yield a limit that names the files which may use more than every camera's processor has, but detect it first."""
    files = [
        item.name
        for item in subject.objects.values()
        if identity.describe_cpu_features(item) and identity.detects_cpu_features(item)
    ]
    if files:
        yield f"whether these files use processor features only after detecting them: {_shown(files)}"


def _describe_libraries(paths: Sequence[str]) -> Iterator[str]:
    """Yield a limit that names the files which are named like modules but may be libraries."""
    if paths:
        yield f"whether Python imports these files or ctypes opens them (they are no modules): {_shown(paths)}"


def _describe_outside(subject: Subject) -> Iterator[str]:
    """Yield a limit that names the ELF files of a package that are beside the bundle in it."""
    if subject.outside:
        yield f"files of the package that are not in its bundle: {_shown(subject.outside)}"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    order = (Severity.error, Severity.warning)
    return tuple(sorted(set(findings), key=lambda item: (order.index(item.severity), item.kind, item.file, item.needs)))


def _damaged_or_empty(subject: Subject) -> Iterator[Finding]:
    for name, problem in subject.damage.items():
        yield Finding(
            kind=Kind.malformed,
            severity=Severity.error,
            file=name,
            needs="a complete archive" if name.endswith((".whl", ".eap")) else "a file that can be loaded",
            provides=problem,
            remedy="download or build it again",
        )
    if subject.emptiness and not subject.damage:
        yield Finding(
            kind=Kind.malformed,
            severity=Severity.error,
            file=subject.name,
            needs="the files of an app or a package",
            provides=subject.emptiness,
            remedy="build it again; `tar -tvf` lists what a package has"
            if subject.shape is Shape.package
            else "build it again, or name another folder",
        )


def _check_files(subject: Subject, policy: Policy, target: Target, simulation: Simulation) -> Iterator[Finding]:
    """Check each file by itself, in the process that would load it."""
    first_load: dict[Object, Loaded] = {}
    for loaded in simulation.loads:
        for item in loaded.load.objects:
            first_load.setdefault(item, loaded)
    needed = {item for loaded in simulation.loads for item in loaded.load.skipped.values()}
    needed |= {item for loaded in simulation.loads for item in loaded.load.found.values() if item is not None}
    for item in subject.objects.values():
        severity = Severity.error if _will_be_loaded(item, subject, target, item in needed) else Severity.warning
        if item.damage:
            yield from identity.find_damage(item, severity)
            continue
        if not identity.is_for(item.facts, policy.architecture):
            if subject.shape is Shape.package and not (item in needed or _is_started(item)):
                severity = Severity.warning  # packages for several machines have files that only one of them loads
            yield from identity.find_wrong_architecture(item, subject, policy, severity)
            continue
        loaded_by = first_load.get(item)
        process = loaded_by.process if loaded_by is not None else simulation.process
        later = loaded_by is None or not loaded_by.at_start
        findings = [
            *identity.find_damage(item, severity),
            *identity.find_float_abi(item),
            *identity.find_cpu_features(item, subject),
            *identity.find_page_size(item, policy, process),
            *identity.find_executable_stack(item, process, loaded_later=later),
            *identity.find_text_relocations(item, subject),
            *identity.find_outside_run_path(item, subject, policy),
            *camera.find_bundled_camera_library(item, subject),
        ]
        if loaded_by is not None and loaded_by.optional:
            findings = _as_warnings(findings)
        yield from findings


def _is_started(item: Object) -> bool:
    """Return whether *item* is a program that the camera may start: one at the top of a package."""
    return item.facts.is_program and not item.folder


def _check_modules(
    subject: Subject, policy: Policy, target: Target, simulation: Simulation
) -> tuple[list[Finding], tuple[str, ...]]:
    if subject.shape is Shape.package:
        return [], ()  # the camera starts it: there is no Python
    valid = [item for item in subject.objects.values() if not item.damage]
    valid = [item for item in valid if identity.is_for(item.facts, policy.architecture)]
    loads = {loaded.load.root: loaded.load for loaded in simulation.loads}

    def exports(item: Object, name: str) -> bool:
        """Return whether *item* exports *name*, or a library that it needs, where Python finds it, too."""
        objects = loads[item].objects if item in loads else [item]
        return any(one.symbols is not None and name in one.symbols.exports for one in objects)

    return python.find_module_faults(valid, subject, target, exports)


def _will_be_loaded(item: Object, subject: Subject, target: Target, needed: bool) -> bool:
    """Return whether it is certain that something loads this file. A package may have files for several machines."""
    if needed or subject.shape is Shape.package or item.folder in subject.libraries:
        return True
    if subject.shape is Shape.loose:
        if subject.wheel is None or (item.damage and item.damage != NOT_AN_ELF_FILE):
            return subject.wheel is None or wheel.has_platform_tag(subject)
        fits = (identity.is_for(one.facts, target.architecture) for one in subject.objects.values() if not one.damage)
        if wheel.has_platform_tag(subject) and not any(fits):
            return True
    name = python.parse_module_name(item.name)
    return name is not None and bool(name.tag) and python.is_importable(item, target)


def _check_links(subject: Subject, policy: Policy, simulation: Simulation) -> tuple[list[Finding], tuple[str, ...]]:
    """Check what the files need of one another, in each process. Returns also what could not be checked."""
    by_load: list[tuple[Loaded, list[Finding]]] = []
    unseen = []
    for loaded in simulation.loads:
        load, process = loaded.load, loaded.process
        findings = list(linking.find_missing_libraries(load, process))
        if not loaded.at_start:
            findings += linking.find_unopenable(load, process)
        if not process.by_camera:
            findings = list(dlopen.expect_loaded_before(findings, subject, load.root))
        foreign = list(linking.find_foreign_libc(load, process))
        if process.by_camera:
            findings += linking.find_missing_loader(process)
        versions = [] if foreign else list(linking.find_missing_versions(load, process))
        findings += foreign or versions
        # A missing version has been reported; that its symbols are missing, too, says nothing more.
        if load.complete and not foreign and not any(one.severity is Severity.error for one in versions):
            undefined = process.undefined_symbols(load)
            missing, perhaps = dlopen.split_global(undefined.missing, subject)
            called = linking.find_called(missing) if loaded.at_start else {}
            needed = linking.without_called(missing, called)
            findings += [*linking.find_missing_symbols(needed, subject), *perhaps]
            findings += linking.find_missing_functions(called, subject, load.root)
            unseen.append(undefined)
        by_load.append((loaded, _as_warnings(findings) if loaded.optional else findings))
    found = list(_without_guarded(by_load, subject, simulation))
    loads = [loaded.load for loaded in simulation.loads]
    found += linking.find_private_copies([one.load for one in simulation.loads if one.process is simulation.process])
    found += linking.find_two_major_versions(loads)
    found += camera.find_time_mismatch(loads, subject, policy)
    found += camera.find_unconfirmed_libraries(loads, subject, policy)
    return found, tuple(linking.describe_unseen(unseen))


def _without_guarded(
    by_load: Sequence[tuple[Loaded, list[Finding]]], subject: Subject, simulation: Simulation
) -> Iterator[Finding]:
    """Yield the findings, with warnings for modules whose every import in Python code continues without them."""
    modules = {
        loaded.load.root: python.module_path(loaded.load.root)
        for loaded, findings in by_load
        if loaded.process is simulation.process
        and not loaded.at_start
        and subject.shape is not Shape.package
        and any(one.severity is Severity.error for one in findings)
    }
    guarded = imports.find_guarded(subject, modules.values())
    for loaded, findings in by_load:
        yield from _as_warnings(findings) if modules.get(loaded.load.root) in guarded else findings


def _as_warnings(findings: Iterable[Finding]) -> list[Finding]:
    return [dataclasses.replace(finding, severity=Severity.warning) for finding in findings]
