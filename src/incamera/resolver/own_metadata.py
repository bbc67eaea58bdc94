"""What a project's build back end says of its dependencies, where pyproject.toml leaves that to the back end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from incamera.build.bundle import ensure_project_wheel
from incamera.errors import ConfigError
from incamera.project.files import files_digest
from incamera.project.locked import Lock
from incamera.resolver.candidates import applies
from incamera.wheels.metadata import parse_metadata
from incamera.wheels.remote import read_wheel_metadata

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.resolver.builds import BuildPlanner
    from incamera.wheels.metadata import Metadata


def with_dynamic_metadata(context: Context, project: Project, planner: BuildPlanner) -> Project:
    """Return *project* with the dependencies that its back end names, for the target and the chosen extras.

    The project's wheel is built for that; `build` takes the same one. *planner* has planned the project's build. Raises
    ConfigError for an extra that the project does not have, BuildError, ToolFailed.
    """
    lock = Lock(target=planner.target, inputs="", distributions=(), debs=(), builds=planner.needed(()))
    digest = files_digest(project.folder, project.find_files())
    wheel = ensure_project_wheel(context, project, lock, digest)
    metadata = parse_metadata(read_wheel_metadata(wheel, wheel.name), wheel.name)
    _refuse_unknown_extras(project.extras, metadata, "tool.incamera.extras")
    found = _dependencies(metadata, project, planner.environment)
    # Those of groups come from pyproject.toml in any case.
    return dataclasses.replace(
        project,
        dependencies=tuple(dict.fromkeys([*found, *project.dependencies])),
        requires_python=project.requires_python & (metadata.requires_python or project.requires_python),
    )


def _refuse_unknown_extras(extras: Iterable[str], metadata: Metadata, where: str) -> None:
    for extra in sorted(extras):
        if canonicalize_name(extra) not in metadata.extras:
            known = ", ".join(sorted(metadata.extras)) or "none"
            raise ConfigError(f'{where}: the project has no extra "{extra}"', hint=f"its extras: {known}")


def _dependencies(metadata: Metadata, project: Project, environment: Mapping[str, str]) -> list[str]:
    extras = {str(canonicalize_name(extra)) for extra in project.extras}

    def is_wanted(requirement: Requirement) -> bool:
        return applies(requirement, environment, extras)

    # An extra may name others of the project.
    while True:
        wanted = [requirement for requirement in metadata.requires if is_wanted(requirement)]
        own = [requirement for requirement in wanted if str(canonicalize_name(requirement.name)) == project.name]
        more = {str(canonicalize_name(extra)) for requirement in own for extra in requirement.extras} - extras
        if not more:
            break
        _refuse_unknown_extras(more, metadata, f"the dependencies of {project.name}")
        extras |= more
    found = []
    for requirement in wanted:
        if requirement not in own:
            found.append(f"{requirement}".partition(";")[0].strip())  # its marker has been evaluated
    return found
