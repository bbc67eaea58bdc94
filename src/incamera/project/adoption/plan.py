"""Decide what a folder lacks to be a project of incamera. Nothing is written here, and none of its code is run."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import ConfigError, UsageError
from incamera.project.adoption.dependencies import (
    REQUIREMENTS,
)
from incamera.project.adoption.entry import EntryChoice, find_entries
from incamera.project.adoption.project_tables import Adoption, ProjectTables
from incamera.project.adoption.setup_py import has_setup_cfg, load_setup
from incamera.project.changes import FileChange, read_bytes
from incamera.project.entry_check import checked_entry
from incamera.project.settings_parsing import parse_project
from incamera.project.tables import find_string, find_strings, find_table
from incamera.project.toml_text import TomlText
from incamera.targets.suite import target_pythons
from incamera.targets.target import DEFAULT_PYTHON
from incamera.toml import decode_toml

if TYPE_CHECKING:
    from incamera.project.settings import Project

# What must be a table where it is there.
_TABLES = (
    *(("project",), ("project", "optional-dependencies"), ("build-system",), ("dependency-groups",)),
    *(("tool", "incamera"), ("tool", "uv", "sources"), ("tool", "poetry"), ("tool", "flit"), ("tool", "setuptools")),
)

Choose = Callable[[Sequence[EntryChoice]], str | None]
"""Asks the user which entry is meant; None when the user cannot be asked."""


def plan_adoption(folder: Path, *, entry: str | None, choose: Choose, environment: Mapping[str, str]) -> Adoption:
    """Return what the project in *folder* lacks. *entry* is the one that the user named.

    Raises ConfigError for what cannot be taken over, UsageError when the entry is not clear.
    """
    return _Planner(folder, environment).plan(entry, choose)


def has_python(folder: Path) -> bool:
    """Whether *folder* has something that `plan_adoption` can take over."""
    if any((folder / name).is_file() for name in ("pyproject.toml", "setup.py", *REQUIREMENTS)):
        return True
    return has_setup_cfg(folder) or bool(find_entries(folder, {}, has_build_system=False))


def _check_types(values: Mapping[str, Any]) -> None:
    """Raises ConfigError when what is read or edited here is no table, or no list, in a pyproject.toml."""
    for path in _TABLES:
        table: Mapping[str, Any] = values
        for number, key in enumerate(path, 1):
            table = find_table(table, key, ".".join(path[:number]))
    project = find_table(values, "project")
    find_string(project, "name", "project.name")
    find_strings(project, "dynamic", "project.dynamic")
    scripts = find_table(project, "scripts", "project.scripts")
    for name in scripts:
        find_string(scripts, name, f"project.scripts.{name}")


class _Planner:
    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._path = folder / "pyproject.toml"
        self._before = read_bytes(self._path)
        try:
            text = decode_toml(self._before or b"")
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{self._path}: {error}", hint="save it as UTF-8") from error
        self._toml = TomlText(text, str(self._path))
        _check_types(self._toml.values)
        self._found = Adoption(folder)
        has_setup = (folder / "setup.py").is_file() or has_setup_cfg(folder)
        self._setup = load_setup(folder) if has_setup else None
        self._entry_key: str | None = None
        """Where the entry comes from, if not from [tool.incamera]."""

    def plan(self, entry: str | None, choose: Choose) -> Adoption:
        if entry is None and self._before is None and self._setup is None:
            self._refuse_inner_project()
        tables = ProjectTables(
            self._folder, self._environment, self._toml, self._setup, self._found, is_new=self._before is None
        )
        tables.add()
        self._toml = tables.toml
        if tables.refused:
            raise ConfigError(
                "not all of it can be taken over, so nothing was changed:\n"
                + "\n".join(f"  {line}" for line in tables.refused),
                hint="change or remove what is named, and try it again",
            )
        self._add_settings(entry, choose)
        after = self._toml.text.encode()
        project = self._check(after)
        self._found.entry = str(checked_entry(project, key=self._entry_key))
        if after != self._before:
            self._found.changes.append(FileChange(self._path, self._before, after))
        return self._found

    def _refuse_inner_project(self) -> None:
        """Raises UsageError when the project is not this folder, but one in it."""
        found = [*self._folder.glob("*/pyproject.toml"), *self._folder.glob("*/setup.py")]
        inner = sorted({path.parent.name for path in found})
        if len(inner) == 1:
            raise UsageError(
                f"the project is in the folder {inner[0]} of {self._folder}",
                hint=f"type `incamera init {inner[0]}`, or name the file to run with --entry",
            )

    # [tool.incamera]

    def _add_settings(self, entry: str | None, choose: Choose) -> None:
        toml = self._toml
        settings: dict[str, Any] = {}
        known = toml.find("tool", "incamera", "entry")
        has_default = toml.find("tool", "incamera") is not None and (self._folder / "app.py").is_file()
        if entry is not None and entry != known:
            settings["entry"] = entry
            self._entry_key = "--entry"
        elif known is None and not has_default:
            settings["entry"] = self._find_entry(choose)
        if toml.find("tool", "incamera", "python") is None and (python := self._python()) is not None:
            settings["python"] = python
        if settings and toml.find("tool", "incamera") is None:
            toml.add_table(("tool", "incamera"), settings)
        else:
            for key, value in settings.items():
                toml.put(("tool", "incamera", key), value)

    def _find_entry(self, choose: Choose) -> str:
        scripts = dict(self._toml.find("project", "scripts") or {}) | (self._setup.scripts if self._setup else {})
        is_built = self._toml.find("build-system") is not None or (self._folder / "setup.py").is_file()
        found = find_entries(self._folder, scripts, has_build_system=is_built)
        if len(found) == 1:
            named = [name for name, value in scripts.items() if value == found[0].entry]
            self._entry_key = f"the script {named[0]}" if named else None
            return found[0].entry
        if not found:
            if scripts and not is_built:
                raise UsageError(
                    f"the scripts of {self._path} are not installed: it has no [build-system]",
                    hint="add one, as your build back end's manual shows, or name a file with --entry",
                )
            raise UsageError(
                f"{self._folder} has no script that could be the app",
                hint="name it: `--entry app.py`, `--entry PACKAGE` or `--entry PACKAGE.MODULE:FUNCTION`",
            )
        if (chosen := choose(found)) is None:
            lines = "".join(f"\n  {choice.entry} ({choice.why})" for choice in found)
            raise UsageError(f"the app's entry may be:{lines}", hint=f"name it: `--entry {found[0].entry}`")
        return chosen

    def _python(self) -> str | None:
        """Return the Python that the project's requires-python allows, where the default one is not."""
        project = self._parse(self._toml.values, entry=None)
        allowed = [python for python in target_pythons() if project.allows_python(python)]
        return None if not allowed or DEFAULT_PYTHON in allowed else allowed[-1]

    # The check of what comes out

    def _check(self, after: bytes) -> Project:
        """Return the project that *after* describes. Raises ConfigError for what incamera would refuse later."""
        project = self._parse(tomllib.loads(after.decode()))
        for target in project.default_targets:
            project.require_python(target)
        return project

    def _parse(self, table: Mapping[str, Any], *, entry: str | None = "") -> Project:
        if entry is None:  # not chosen yet; a module is not looked for
            tool = table.get("tool", {})
            table = {**table, "tool": {**tool, "incamera": {**tool.get("incamera", {}), "entry": "any"}}}
        return parse_project(table, self._folder)
