"""audit: find out what in a project's bundles would not load in a camera, without running it there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from incamera.abi.policy import load_policy, require_generation
from incamera.connect.choose import choose_device
from incamera.connect.connection import connected
from incamera.deployment.fit import audit_bundle, device_policy
from incamera.project.targets import choose_targets, target_for_device
from incamera.targets.profile import default_profile, load_profiles
from incamera.units import format_count
from incamera.workflows.build import build_bundle

if TYPE_CHECKING:
    from incamera.abi.policy import Policy
    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.runtime.bundle import Bundle
    from incamera.targets.target import Target
    from incamera.workflows.audit_file import Judged


def audit_project(
    context: Context, project: Project, *, device: str | None, profile: str | None, target: str | None
) -> list[Judged]:
    """Audit the project's bundles; stale ones are built first. Without *device*, no camera is used."""
    if device is not None:
        return [_audit_on_device(context, project, device, target)]
    if profile is None and project.device in load_profiles():
        profile = project.device
    if profile is not None:
        _, architecture = require_generation(profile)
        targets: Sequence[Target] = [target_for_device(project, profile, architecture, target)]
    else:
        targets = choose_targets(project, target)
    judged = []
    for one in targets:
        bundle = build_bundle(context, project, one)
        judged.append(_judge(context, bundle, load_policy(profile or default_profile(one.architecture).name)))
    return judged


def _audit_on_device(context: Context, project: Project, device: str, target: str | None) -> Judged:
    chosen = choose_device(context, device, project=project)
    with connected(context, chosen) as connection:
        architecture = connection.require_architecture()
        bundle = build_bundle(context, project, target_for_device(project, str(chosen), architecture, target))
        table = connection.read_libraries(bundle.sonames)
        policy = device_policy(connection.facts, table, architecture, name=str(chosen))
    return _judge(context, bundle, policy)


def _judge(context: Context, bundle: Bundle, policy: Policy) -> Judged:
    with context.reporter.step("audit") as step:
        judged = audit_bundle(bundle, policy)
        step.note(f"{format_count(judged[0].files, 'file')} against {policy.name}")
    return judged
