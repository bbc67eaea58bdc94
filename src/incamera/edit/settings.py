"""Whether the project's settings still ask for what was deployed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from incamera.build.keys import runtime_key
from incamera.eap.declared import app_variables
from incamera.project.entry_check import checked_entry
from incamera.project.lockfile import find_lock
from incamera.project.reload import reload_project

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.project.settings import Project
    from incamera.targets.target import Target


class SessionSettings:
    """The settings that an edit session started with, compared with those in the project now."""

    def __init__(self, project: Project, target: Target, environment: Mapping[str, str]) -> None:
        self._target = target
        self._environment = environment
        self.project = project
        self._key = self._find_key(project)
        self._variables = app_variables(project)

    def find_staleness(self) -> str | None:
        """Return why the app must be built and deployed again, None if it need not. Raises ConfigError."""
        now = reload_project(self.project)
        checked_entry(now)
        key = self._find_key(now)
        if key is None or key != self._key:
            return "dependencies changed"
        before = self.project
        # The entry is passed with each start; the version comes with pyproject.toml, which is sent like any file.
        is_other = replace(now, entry=before.entry, version=before.version) != before
        if is_other or app_variables(now) != self._variables:
            return "settings changed"
        self.project = now
        return None

    def _find_key(self, project: Project) -> str | None:
        if project.targets and self._target not in project.targets:
            return None
        lock = find_lock(project, self._target)
        return None if lock is None else runtime_key(project, lock, self._environment)
