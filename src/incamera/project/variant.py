"""A project with more packages than its app needs: those of its tests, or a debugger."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from incamera.project.local import load_local, parse_local
from incamera.project.settings import AppName

if TYPE_CHECKING:
    from incamera.project.locked import Lock
    from incamera.project.settings import Project

VARIANTS = ("test", "debug")


def variant_name(project: Project, variant: str) -> AppName:
    """Return the name under which *variant* of the project is deployed."""
    return AppName(f"{project.name}-{variant}")


def plan_variant(project: Project, lock: Lock, variant: str, requirements: Sequence[str]) -> Project:
    """Return *project* with *requirements* added, under a name and with a lockfile of its own.

    What *lock*, the app's own, has stays exactly that: another version would be another app.
    """
    if project.script is not None:  # a pyproject.toml beside a script says nothing about it
        own = parse_local({}, project.folder, requirements)
    else:
        own = load_local(project.folder, requirements)
    pins = [f"{item.name}=={item.version}" for item in lock.distributions]
    sources = {item.name: item.source for item in lock.distributions}
    return dataclasses.replace(
        project,
        name=variant_name(project, variant),
        variant=variant,
        dependencies=tuple(dict.fromkeys([*project.dependencies, *own.requirements])),
        local={**project.local, **own.paths},
        git={**project.git, **own.git},
        constraints=(*project.constraints, *pins),
        sources={**project.sources, **sources},
    )
