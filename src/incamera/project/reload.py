"""Read a project's settings again, while it is being edited."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from incamera.project.loading import load_project
from incamera.project.lone_script import script_project
from incamera.project.script import load_script

if TYPE_CHECKING:
    from incamera.project.settings import Project


def reload_project(project: Project) -> Project:
    """Return *project* with the settings that its pyproject.toml, or its script, has now. Raises ConfigError."""
    if project.script is not None:
        locks = project.lock_folder.parent if project.lock_folder is not None else None
        return script_project(load_script(project.folder / project.script), locks)
    return replace(load_project(project.folder), chosen=project.chosen)
