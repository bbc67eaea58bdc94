"""init: add to a folder what it lacks to run in a camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import ConfigError
from incamera.project.adoption.names import name_of_folder
from incamera.project.adoption.plan import Choose, has_python, plan_adoption
from incamera.project.adoption.project_tables import Adoption
from incamera.project.changes import apply_changes, describe
from incamera.project.new import plan_template
from incamera.project.settings import parse_app_name

if TYPE_CHECKING:
    from collections.abc import Callable

NEW = "a new project"
"""The kind of a folder without anything of Python."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InitRequest:
    """What the user asks of `init`: a folder, and the *entry* where the user names one."""

    folder: Path
    entry: str | None = None


def plan_init(request: InitRequest, *, choose: Choose, environment: Mapping[str, str]) -> Adoption:
    """Return what the folder lacks: for an empty one, the files of a new project. Raises ConfigError, UsageError."""
    folder = request.folder
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", hint="name the project's folder")
    if has_python(folder):
        return plan_adoption(folder, entry=request.entry, choose=choose, environment=environment)
    name = parse_app_name(name_of_folder(folder))
    return Adoption(folder, kind=NEW, entry="app.py", changes=plan_template(folder, name))


def apply_init(found: Adoption, *, confirm: Callable[[str], bool]) -> bool:
    """Write what *found* adds, if the user agrees. Returns whether it was written."""
    if found.changes and not confirm(describe(found.changes, found.folder)):
        return False
    apply_changes(found.changes)
    return True
