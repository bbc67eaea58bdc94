"""Find out what an AXIS OS demands of a package: of its manifest, by known facts, and of its bundle, by the audit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.abi.audit import audit
from incamera.abi.findings import FORMAT, Kind, Report, parse_report
from incamera.abi.policy import load_policy
from incamera.abi.subject import read_folder
from incamera.disk import write_cache
from incamera.eap.demands import Demand, check_demands
from incamera.units import format_count

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.abi.subject import Subject
    from incamera.context import Context
    from incamera.eap.manifest import Manifest
    from incamera.eap.trim import Trim
    from incamera.runtime.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Check:
    """What AXIS OS *generation* demands of a package, and the audit of its bundle against that."""

    generation: str
    demands: tuple[Demand, ...]
    report: Report

    @property
    def problems(self) -> list[tuple[str, str]]:
        """What keeps the package from working there, and the remedy for each."""
        broken = [(str(demand), demand.remedy) for demand in self.demands if demand.is_broken]
        prefix = f"AXIS OS {self.generation}"
        broken += [
            (f"{prefix}: {item.file} needs {item.needs}; there is {item.provides}", item.remedy)
            for item in self.report.errors
        ]
        split = [item for item in self.report.findings if item.kind is Kind.time64]
        if split:
            text = f"{prefix}: {split[0].file} shares times with {split[0].provides}"
            remedy = "make a package of its own for this AXIS OS, with another Python or a module built for it: "
            broken.append((text, remedy + split[0].remedy))
        return broken


def check_package(
    context: Context, bundle: Bundle, manifest: Manifest, generations: Iterable[str], trim: Trim | None = None
) -> list[Check]:
    """Return a check for each of *generations*, with an audit of *bundle*: of what *trim* keeps.

    Audits are kept as long as bundle and policies stay the same.
    """
    trimmed = f"-{trim.digest[:32]}" if trim is not None else ""
    checks = []
    with context.reporter.step("check") as step:
        step.cached = True
        for generation in generations:
            name = f"{bundle.digest[:32]}{trimmed}-packed-{FORMAT}-{generation}.json"
            path = context.store.root / "caches" / "audits" / name
            report = _load_report(path)
            if report is None:
                step.cached = False
                report = _audit(bundle, generation, trim)
                write_cache(path, json.dumps(report.to_json()).encode())
            checks.append(Check(generation, tuple(check_demands(manifest, generation)), report))
        count = sum(len(check.problems) for check in checks)
        names = ", ".join(check.generation for check in checks)
        found = format_count(count, "problem") if count else "nothing found"
        step.note(f"AXIS OS {names}: {found}" if checks else "no AXIS OS is named")
    return checks


def _audit(bundle: Bundle, generation: str, trim: Trim | None) -> Report:
    subject = read_folder(bundle.path, name=f"{bundle.name} for {bundle.target}")
    policy = load_policy(f"axis-os-{generation}-{bundle.target.architecture}")
    subject = dataclasses.replace(subject if trim is None else _without_dropped(subject, trim), is_packed=True)
    return audit(subject, policy, target=bundle.target)[0]


def _without_dropped(subject: Subject, trim: Trim) -> Subject:
    """Return *subject* without what was trimmed. The sources of byte-code that stays are audited, too."""
    stays = {*trim.kept.values(), *(path.removesuffix("c") for path in trim.kept)}
    return dataclasses.replace(
        subject,
        objects={path: found for path, found in subject.objects.items() if path in stays},
        links={path: target for path, target in subject.links.items() if path in stays},
        sources=tuple(path for path in subject.sources if path in stays),
        files=subject.files & stays,
    )


def _load_report(path: Path) -> Report | None:
    try:
        return parse_report(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None
