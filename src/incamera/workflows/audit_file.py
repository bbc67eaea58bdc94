"""audit PATH: find out what in a wheel, an .eap, a folder or an ELF file would not load in a camera.

It is apart from the audit of a project, which imports all that builds bundles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.abi.audit import audit
from incamera.abi.policy import load_policy
from incamera.abi.subject import guess_architecture, library_names, open_subject
from incamera.targets.profile import default_profile
from incamera.targets.target import Target
from incamera.units import format_count

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.abi.findings import Report
    from incamera.abi.policy import Policy
    from incamera.abi.simulation import Simulation
    from incamera.abi.subject import Subject
    from incamera.context import Context

Judged = tuple["Report", "Simulation"]
"""The findings, and the simulation of the loader that they are based on."""


def audit_file(context: Context, path: Path, *, device: str | None, profile: str | None, target: str | None) -> Judged:
    """Audit the wheel, .eap, folder or ELF file at *path*. Raises UsageError for anything else."""
    chosen = Target.parse_typed(target) if target else None
    with context.reporter.step("audit") as step, open_subject(path) as subject:
        if device is not None:
            policy = _read_policy(context, device, subject)
        elif profile is not None:
            policy = load_policy(profile)
        else:
            policy = load_policy(default_profile(chosen.architecture if chosen else guess_architecture(subject)).name)
        judged = audit(subject, policy, target=chosen)
        step.note(f"{format_count(len(subject.objects), 'file')} against {policy.name}")
    return judged


def _read_policy(context: Context, device: str, subject: Subject) -> Policy:
    from incamera.connect.choose import choose_device  # lazy: without --device, no connection is made
    from incamera.connect.connection import connected
    from incamera.deployment.fit import device_policy

    with connected(context, choose_device(context, device)) as connection:
        table = connection.read_libraries(library_names(subject))
        return device_policy(connection.facts, table, connection.require_architecture(), name=device)
