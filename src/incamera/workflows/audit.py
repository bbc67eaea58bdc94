"""audit: judge a bundle, or a file from elsewhere, against a camera that is there or a profile's data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.disk import keep_cache
from incamera.errors import DeviceUnsuitable
from incamera.project.targets import choose_targets, target_for_device
from incamera.targets.profile import default_profile, load_profiles, require_profile
from incamera.targets.target import Target
from incamera.units import format_count
from incamera.workflows.build import build_bundle
from incamera.workflows.devices import choose_device, connected, device_cache, probe_device, require_architecture

if TYPE_CHECKING:
    from incamera.abi.findings import Report
    from incamera.abi.policy import Policy
    from incamera.abi.world import World
    from incamera.context import Context
    from incamera.device.facts import DeviceFacts
    from incamera.device.libraries import LibraryTable
    from incamera.elf import ElfFacts
    from incamera.project.settings import Project
    from incamera.runtime.bundle import Bundle
    from incamera.targets.architecture import Architecture
    from incamera.transport.session import Session

Judged = tuple["Report", "World"]

# The folder of a bundle's shared libraries, as its launcher has it.
LIBRARIES = "lib"


def audit_project(
    context: Context, project: Project, *, device: str | None, profile: str | None, target: str | None
) -> list[Judged]:
    """Judge the project's bundles, built if they are stale. Without a device, no camera is asked, nor started."""
    from incamera.abi.policy import load_policy

    if device is not None:
        return [_audit_on_device(context, project, device, target)]
    if profile is None and project.device in load_profiles():
        profile = project.device
    if profile is not None:
        known = require_profile(profile)
        targets: Sequence[Target] = [target_for_device(project, known.name, known.architecture, target)]
    else:
        targets = choose_targets(project, target)
    judged = []
    for one in targets:
        bundle = build_bundle(context, project, one)
        judged.append(_judge(context, bundle, load_policy(profile or default_profile(one.architecture).name)))
    return judged


def audit_file(context: Context, path: Path, *, device: str | None, profile: str | None, target: str | None) -> Judged:
    """Judge what lies at *path*: a wheel, an .eap, a folder, an ELF file. Raises UsageError for anything else."""
    from incamera.abi.audit import audit
    from incamera.abi.policy import load_policy
    from incamera.abi.subject import guess_architecture, names_asked_for, open_subject

    wished = Target.parse(target) if target else None
    with context.reporter.step("audit") as step, open_subject(path) as subject:
        if device is not None:
            with connected(context, choose_device(context, device)) as session:
                facts = probe_device(context, session)
                table = _read_libraries(context, session, facts, names_asked_for(subject))
                policy = device_policy(facts, table, require_architecture(facts, session.device), name=device)
        elif profile is not None:
            policy = load_policy(profile)
        else:
            policy = load_policy(default_profile(wished.architecture if wished else guess_architecture(subject)).name)
        judged = audit(subject, policy, target=wished)
        step.note(f"{format_count(len(subject.objects), 'file')} against {policy.name}")
    return judged


def _audit_on_device(context: Context, project: Project, device: str, target: str | None) -> Judged:
    chosen = choose_device(context, device, project=project)
    with connected(context, chosen) as session:
        facts = probe_device(context, session)
        architecture = require_architecture(facts, chosen)
        bundle = build_bundle(context, project, target_for_device(project, str(chosen), architecture, target))
        table = read_device_libraries(context, session, facts, bundle)
    return _judge(context, bundle, device_policy(facts, table, architecture, name=str(chosen)))


def _judge(context: Context, bundle: Bundle, policy: Policy) -> Judged:
    with context.reporter.step("audit") as step:
        judged = _judge_bundle(bundle, policy)
        step.note(f"{format_count(judged[0].files, 'file')} against {policy.name}")
    return judged


def _judge_bundle(bundle: Bundle, policy: Policy) -> Judged:
    from incamera.abi.audit import audit
    from incamera.abi.subject import read_folder

    return audit(read_folder(bundle.path, name=f"{bundle.name} for {bundle.target}"), policy, target=bundle.target)


def require_fit(context: Context, bundle: Bundle, facts: DeviceFacts, table: LibraryTable, *, device: str) -> None:
    """Raises DeviceUnsuitable with the first findings, when the bundle cannot run on the device. Kept verdicts hold."""
    with context.reporter.step("audit") as step:
        path = _verdict_path(context, bundle, facts, table)
        report = _load_report(path)
        step.cached = report is not None
        if report is None:
            policy = device_policy(facts, table, bundle.target.architecture, name=device)
            report = _judge_bundle(bundle, policy)[0]
            _save_report(path, report)
        step.note("unchanged" if step.cached else f"{format_count(report.files, 'file')} against {device}")
    if report.errors:
        first = report.errors[0]
        more = f" ({len(report.errors) - 1} more)" if len(report.errors) > 1 else ""
        raise DeviceUnsuitable(
            f"{bundle.name} cannot run on {device}: {first.file} needs {first.needs}, there is {first.provides}{more}",
            hint=f"{first.remedy}. `incamera audit --device {device}` shows all; --no-audit goes on regardless",
        )


def read_device_libraries(context: Context, session: Session, facts: DeviceFacts, bundle: Bundle) -> LibraryTable:
    """Read of the device's libraries those that the bundle has, too, and those that it needs."""
    names = {item.path.rpartition("/")[2] for item in bundle.entries if item.path.startswith(f"{LIBRARIES}/lib")}
    return _read_libraries(context, session, facts, names | {item.needs for item in bundle.missing})


def _read_libraries(context: Context, session: Session, facts: DeviceFacts, names: Iterable[str]) -> LibraryTable:
    from incamera.device.libraries import ensure_libraries

    # With the C library, which decides whose loader is used.
    return ensure_libraries(session, facts, {*names, "libc.so.6"}, cache=device_cache(context))


def bundle_libraries(bundle: Bundle) -> dict[str, ElfFacts]:
    """Return the libraries that a bundle has in its folder for them, by the names they are asked for."""
    from incamera.elf import read_elf

    found = {}
    for path in sorted((bundle.path / LIBRARIES).glob("*.so*")):
        with suppress(OSError, ValueError):
            found[path.name] = read_elf(path)
    return found


def device_policy(facts: DeviceFacts, table: LibraryTable, architecture: Architecture, *, name: str) -> Policy:
    """Return what the device provides, as far as its libraries were read."""
    from incamera.abi.policy import make_policy
    from incamera.elf import ElfFacts, Symbols, parse_exports

    unread = ElfFacts(machine=architecture.facts.elf_machine, bits=architecture.facts.bits).to_json()
    document = {
        "loader": facts.loader,
        "folders": facts.library_folders,
        "page_size": table.page_size,
        "libraries": [
            {**unread, **table.rows.get(library.soname, {})}
            | {"name": library.soname, "path": library.path, "real_name": library.real_name}
            for library in facts.libraries
        ],
    }

    @cache
    def exports() -> dict[str, Symbols]:
        return {file: Symbols((), frozenset(), parse_exports(lines)) for file, lines in table.load_exports().items()}

    return make_policy(document, name=name, architecture=architecture, track=None, exports=exports)


def _verdict_path(context: Context, bundle: Bundle, facts: DeviceFacts, table: LibraryTable) -> Path:
    from incamera.abi.findings import FORMAT

    what = [FORMAT, facts.fingerprint, facts.loader, table.page_size]
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()
    return context.store.root / "caches" / "audits" / f"{bundle.digest[:32]}-{digest[:16]}.json"


def _load_report(path: Path) -> Report | None:
    from incamera.abi.findings import parse_report

    try:
        return parse_report(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None


def _save_report(path: Path, report: Report) -> None:
    keep_cache(path, json.dumps(report.to_json()).encode())
