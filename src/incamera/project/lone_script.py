"""A script as a project: its metadata block takes the place of a pyproject.toml."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from incamera.errors import ConfigError
from incamera.project.entry import Entry
from incamera.project.settings import AppName, Project, specifier_allows
from incamera.project.settings_parsing import parse_project
from incamera.project.tables import find_table, refuse_unknown
from incamera.targets.suite import target_pythons
from incamera.targets.target import DEFAULT_PYTHON

if TYPE_CHECKING:
    from incamera.project.script import Script

_KEYS = ("dependencies", "requires-python", "tool")
# Keys of [tool.incamera] that say something about a project's files or tables, which a script does not have.
_WITHOUT_MEANING = {
    "entry": "the script itself is what runs",
    "extras": "list what is needed in dependencies",
    "groups": "list what is needed in dependencies",
    "exclude": "only the script and the modules that it imports are sent",
    "test": "make a project with `incamera new NAME` to have tests",
}
_LONGEST_NAME = 40


def script_name(path: Path) -> AppName:
    """Return the name that the script *path* has in the camera: that of its file, and a digest of its folder.

    Two scripts of the same name in two folders are two apps.
    """
    stem = re.sub(r"[^a-z0-9]+", "-", path.stem.lower())[:_LONGEST_NAME].strip("-") or "script"
    digest = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()
    return AppName(f"{stem}-{digest[:6]}")


def script_project(script: Script, locks: Path | None) -> Project:
    """Return *script* as a project.

    Its lockfiles go into a folder of its own below *locks*, or beside the script where *locks* is None or where there
    is one already. Raises ConfigError for a faulty block.
    """
    path = script.path.parent.resolve() / script.path.name
    name = script_name(path)
    try:
        project = parse_project(_as_pyproject(script.table or {}, name), path.parent)
    except ConfigError as error:
        raise ConfigError(f"{script.path}: {_without_table(str(error))}", hint=error.hint) from error
    return replace(
        project,
        entry=Entry(file=path.name),
        script=path.name,
        lock_folder=locks / name if locks is not None else None,
        has_build_system=False,
    )


def _as_pyproject(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the pyproject.toml that says the same as *table*, the block of the script *name*."""
    refuse_unknown(table, _KEYS, "metadata block")
    project = {"name": name, "dependencies": [], **{key: table[key] for key in _KEYS[:2] if key in table}}
    tools = find_table(table, "tool")
    settings = dict(find_table(tools, "incamera", "tool.incamera"))
    for key, reason in _WITHOUT_MEANING.items():
        if key in settings:
            raise ConfigError(f"tool.incamera.{key} has no meaning in a script", hint=f"remove it: {reason}")
    if "python" not in settings and (python := _choose_python(table.get("requires-python"))):
        settings["python"] = python
    return {"project": project, "tool": {**tools, **({"incamera": settings} if settings else {})}}


def _choose_python(requires: object) -> str | None:
    """Return the first Python that *requires* allows, if that is not the default one."""
    try:
        allowed = SpecifierSet(requires) if isinstance(requires, str) else SpecifierSet()
    except InvalidSpecifier:  # parse_project reports it
        return None
    if specifier_allows(allowed, DEFAULT_PYTHON):
        return None
    return next((python for python in target_pythons() if specifier_allows(allowed, python)), None)


def _without_table(message: str) -> str:
    """Return *message* about a pyproject.toml in the words of a script: its keys are in no [project]."""
    return message.replace("project.dependencies", "dependencies").replace("project.requires-python", "requires-python")
