"""Audit a bundle against a device before a deploy. Reports are cached."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING

from incamera.abi.audit import audit
from incamera.abi.findings import FORMAT, Report, parse_report
from incamera.abi.policy import make_policy
from incamera.abi.subject import read_folder
from incamera.disk import write_cache
from incamera.elf import ElfFacts, Exports, parse_exports
from incamera.errors import DeviceUnsuitable
from incamera.units import format_count

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.abi.policy import Policy
    from incamera.abi.simulation import Simulation
    from incamera.context import Context
    from incamera.device.facts import DeviceFacts
    from incamera.device.libraries import LibraryTable
    from incamera.runtime.bundle import Bundle
    from incamera.targets.architecture import Architecture


def audit_bundle(bundle: Bundle, policy: Policy) -> tuple[Report, Simulation]:
    """Return the report of *bundle* against *policy*, and the simulation of the loader that it is based on."""
    return audit(read_folder(bundle.path, name=f"{bundle.name} for {bundle.target}"), policy, target=bundle.target)


def require_fit(context: Context, bundle: Bundle, facts: DeviceFacts, table: LibraryTable, *, device: str) -> None:
    """Raises DeviceUnsuitable with the first finding when the bundle cannot run on the device.

    The report is cached for as long as bundle, firmware and libraries stay the same.
    """
    with context.reporter.step("audit") as step:
        path = _verdict_path(context, bundle, facts, table)
        report = _load_report(path)
        step.cached = report is not None
        if report is None:
            policy = device_policy(facts, table, bundle.target.architecture, name=device)
            report, _ = audit_bundle(bundle, policy)
            write_cache(path, json.dumps(report.to_json()).encode())
        step.note("unchanged" if step.cached else f"{format_count(report.files, 'file')} against {device}")
    if report.errors:
        first = report.errors[0]
        more = f" ({len(report.errors) - 1} more)" if len(report.errors) > 1 else ""
        raise DeviceUnsuitable(
            f"{bundle.name} cannot run on {device}: {first.file} needs {first.needs}, there is {first.provides}{more}",
            hint=f"{first.remedy}. All findings: `incamera audit --device {device}`. To deploy regardless: --no-audit",
        )


def device_policy(facts: DeviceFacts, table: LibraryTable, architecture: Architecture, *, name: str) -> Policy:
    """Return the policy of the device: its loader, folders and libraries, as far as they were read."""
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
    def exports() -> dict[str, Exports]:
        return {file: parse_exports(lines) for file, lines in table.load_exports().items()}

    return make_policy(document, name=name, architecture=architecture, exports=exports)


def _verdict_path(context: Context, bundle: Bundle, facts: DeviceFacts, table: LibraryTable) -> Path:
    what = [FORMAT, facts.fingerprint, facts.loader, table.page_size]
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()
    return context.store.root / "caches" / "audits" / f"{bundle.digest[:32]}-{digest[:16]}.json"


def _load_report(path: Path) -> Report | None:
    try:
        return parse_report(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None
