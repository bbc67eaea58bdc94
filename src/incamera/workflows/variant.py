"""A project with more packages than its app needs: those of its tests, or a debugger."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from incamera.project.settings import AppName
from incamera.workflows.lock import ensure_lock

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.targets.target import Target

VARIANTS = ("test", "debug")


def variant_name(project: Project, variant: str) -> AppName:
    return AppName(f"{project.name}-{variant}")


def plan_variant(
    context: Context, project: Project, target: Target, variant: str, requirements: Sequence[str]
) -> Project:
    """Return *project* with *requirements* added, under a name and with a lockfile of its own.

    What the app is locked to stays exactly that: another version would be another app.
    """
    lock = ensure_lock(context, project, target)
    pins = [f"{item.name}=={item.version}" for item in lock.distributions]
    locked = {item.name: item.source for item in lock.distributions}
    return dataclasses.replace(
        project,
        name=variant_name(project, variant),
        variant=variant,
        dependencies=tuple(dict.fromkeys([*project.dependencies, *requirements])),
        constraints=(*project.constraints, *pins),
        sources={**project.sources, **locked},
    )
