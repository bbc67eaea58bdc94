"""Choose the targets that a command builds for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from incamera.errors import DeviceUnsuitable
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.project.settings import Project
    from incamera.targets.architecture import Architecture


def choose_targets(project: Project, name: str | None) -> Sequence[Target]:
    """Return the target called *name*, or the project's targets when *name* is None.

    Raises UsageError for an unknown name, ConfigError where the project's requires-python excludes a target.
    """
    if name is None:
        return project.default_targets
    return [project.require_python(Target.parse_typed(name, python=project.python))]


def target_for_device(project: Project, device: str, architecture: Architecture, name: str | None) -> Target:
    """Return the target to build for the device called *device*.

    *name* is the target that the user chose, or None. Raises DeviceUnsuitable when that target, or all targets of the
    project, are for another architecture.
    """
    if name or project.targets:
        allowed = choose_targets(project, name)
    else:
        allowed = [project.require_python(Target(architecture, project.python))]
    for target in allowed:
        if target.architecture is architecture:
            return target
    whose = "the target is" if name else "the project's target is" if len(allowed) == 1 else "the project's targets are"
    listed = " and ".join(target.architecture for target in allowed)
    remedy = f"type --target {architecture}" if name else f'add "{architecture}" to targets in [tool.incamera]'
    raise DeviceUnsuitable(
        f"{device} is {architecture}, but {whose} {listed}", hint=f"{remedy}, or choose another camera with --device"
    )
