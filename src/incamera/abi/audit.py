"""The audit: what a bundle, a package or a file asks of a camera, against what the camera has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.abi.checks import camera, dlopen, identity, linking, python, wheel
from incamera.abi.findings import Finding, Kind, Report, Severity
from incamera.abi.subject import Shape, Subject, open_subject
from incamera.abi.world import Loaded, World, make_world
from incamera.errors import ConfigError
from incamera.targets.suite import suite_for_python
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.policy import Policy

_SHOWN = 3
_ALWAYS_UNSEEN = (
    "libraries and programs that native code loads or starts by names of its own",
    "processor features that a file uses without saying so: only files for ARMv7 say anything of that",
)


def audit_path(path: Path, policy: Policy, *, target: Target | None = None) -> Report:
    """Judge what lies at *path* against *policy*. Raises UsageError for what cannot be judged."""
    with open_subject(path) as subject:
        return audit(subject, policy, target=target)[0]


def audit(subject: Subject, policy: Policy, *, target: Target | None = None) -> tuple[Report, World]:
    """Judge *subject*; *target* is for what doesn't say itself which Python it is for. Returns also who loads whom."""
    target = target or _find_target(subject, policy)
    world = make_world(subject, policy, target)
    findings = [
        *_damaged_archives(subject),
        *_judge_files(subject, policy, target, world),
        *_judge_links(policy, world),
        *wheel.find_lies(subject, policy, target),
    ]
    loaded_by_name, limits = dlopen.find_loaded_by_name(subject, world.process)
    report = Report(
        subject=subject.name,
        policy=policy.name,
        loader=world.loader,
        files=len(subject.objects),
        findings=_sorted([*findings, *loaded_by_name]),
        limits=(*limits, *_dispatching(subject), *_ALWAYS_UNSEEN),
    )
    return report, world


def _find_target(subject: Subject, policy: Policy) -> Target:
    """Return the target that the subject's own words fit best."""
    version = wheel.python_of(subject.wheel) if subject.wheel else None
    if subject.program is not None:
        version = subject.program.rpartition("python")[2]
    try:
        if version:
            suite_for_python(version)
            return Target(policy.architecture, version)
    except ConfigError:
        pass  # the check of the modules says so, in better words
    return Target(policy.architecture)


def _dispatching(subject: Subject) -> Iterator[str]:
    """Files that may use more than every camera's processor has, but look at it first."""
    files = [
        item.name
        for item in subject.objects.values()
        if identity.describe_cpu_features(item) and identity.asks_the_processor(item)
    ]
    if files:
        shown = ", ".join(files[:_SHOWN]) + (f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else "")
        yield f"whether these use processor features only where they find them: {shown}"


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    order = (Severity.error, Severity.warning)
    return tuple(sorted(set(findings), key=lambda item: (order.index(item.severity), item.kind, item.file, item.needs)))


def _damaged_archives(subject: Subject) -> Iterator[Finding]:
    for name, problem in subject.damage.items():
        yield Finding(
            kind=Kind.malformed,
            severity=Severity.error,
            file=name,
            needs="a whole archive" if name.endswith((".whl", ".eap")) else "a file that can be loaded",
            provides=problem,
            remedy="fetch or build it again",
        )


def _judge_files(subject: Subject, policy: Policy, target: Target, world: World) -> Iterator[Finding]:
    """Judge each file by itself, in the process that it would be loaded into."""
    places: dict[Object, Loaded] = {}
    for loaded in world.loads:
        for item in loaded.load.objects:
            places.setdefault(item, loaded)
    asked_for = {item for loaded in world.loads for item in loaded.load.passed_over.values()}
    asked_for |= {item for loaded in world.loads for item in loaded.load.found.values() if item is not None}
    for item in subject.objects.values():
        severity = Severity.error if _matters(item, subject, target, item in asked_for) else Severity.warning
        if item.damage:
            yield from identity.find_damage(item, severity)
            continue
        if not identity.is_for(item.facts, policy.architecture):
            yield from identity.find_wrong_architecture(item, policy, severity)
            continue
        place = places.get(item)
        process = place.process if place is not None else world.process
        later = place is None or not place.at_start
        judged = [
            *identity.find_damage(item, severity),
            *identity.find_float_abi(item),
            *identity.find_cpu_features(item),
            *identity.find_page_size(item, policy, process),
            *identity.find_executable_stack(item, process, loaded_later=later),
            *identity.find_text_relocations(item),
            *identity.find_outside_run_path(item, subject, policy),
            *camera.find_bundled_camera_library(item),
        ]
        if subject.shape is not Shape.package:
            judged += [*python.find_unimportable(item, subject, target), *python.find_no_entry(item, target)]
        if place is not None and place.aside:
            judged = _as_warnings(judged)
        yield from judged


def _matters(item: Object, subject: Subject, target: Target, asked_for: bool) -> bool:
    """Will anybody load this file? Packages carry files for other machines along, and choose among them."""
    if asked_for or subject.shape is Shape.package or item.folder in subject.libraries:
        return True
    if subject.shape is Shape.loose:
        return subject.wheel is None or wheel.claims_platform(subject)
    name = python.parse_module_name(item.name)
    return name is not None and bool(name.tag) and python.is_importable(item, target)


def _judge_links(policy: Policy, world: World) -> Iterator[Finding]:
    for loaded in world.loads:
        load, process = loaded.load, loaded.process
        judged = list(linking.find_missing_libraries(load, process))
        foreign = list(linking.find_foreign_libc(load, process))
        if process.by_camera:
            judged += linking.find_missing_loader(process)
        versions = [] if foreign else list(linking.find_missing_versions(load, process))
        judged += foreign or versions
        # Of a version that isn't there, none of the symbols is: that is told already.
        if load.complete and not (foreign or versions):
            judged += linking.find_missing_symbols(process.find_missing(load), load)
        yield from _as_warnings(judged) if loaded.aside else judged
    loads = [loaded.load for loaded in world.loads]
    yield from linking.find_private_copies([one.load for one in world.loads if one.process is world.process])
    yield from linking.find_two_generations(loads)
    yield from camera.find_time_mismatch(loads, policy)


def _as_warnings(findings: Iterable[Finding]) -> list[Finding]:
    return [dataclasses.replace(finding, severity=Severity.warning) for finding in findings]
