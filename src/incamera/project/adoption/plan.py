"""Decide what a folder lacks to be a project of incamera. Nothing is written here, and none of its code is run."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from incamera.errors import ConfigError, UsageError
from incamera.project.adoption.dependencies import (
    REQUIREMENTS,
    find_imported,
    find_requirements_file,
    other_requirements_files,
)
from incamera.project.adoption.entry import EntryChoice, find_entries, imported_modules, top_modules
from incamera.project.adoption.names import find_name, name_of_folder
from incamera.project.adoption.poetry import Converted, convert_poetry
from incamera.project.adoption.requirements_txt import load_requirements
from incamera.project.adoption.setup_py import SetupFacts, has_setup_cfg, load_setup
from incamera.project.changes import FileChange, read_bytes
from incamera.project.dependencies import parse_requirements
from incamera.project.entry_check import checked_entry
from incamera.project.script import load_script
from incamera.project.settings import Project, parse_project
from incamera.project.tables import find_string, find_strings, find_table
from incamera.project.toml_text import TomlText
from incamera.targets.suite import target_pythons
from incamera.targets.target import DEFAULT_PYTHON

_BACK_END = "setuptools.build_meta"
# What must be a table where it is there.
_TABLES = (
    *(("project",), ("project", "optional-dependencies"), ("build-system",), ("dependency-groups",)),
    *(("tool", "incamera"), ("tool", "uv", "sources"), ("tool", "poetry"), ("tool", "flit"), ("tool", "setuptools")),
)

Choose = Callable[[Sequence[EntryChoice]], str | None]
"""Asks the user which entry is meant; None when the user cannot be asked."""


@dataclass(slots=True)
class Adoption:
    """What is added to a folder. *kind* says what it is today, *entry* what `incamera run` will start.

    *notes* are for the user. Without *changes* there is nothing to do.
    """

    folder: Path
    kind: str = ""
    entry: str = ""
    changes: list[FileChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


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


def _is_called(text: str, name: str) -> bool:
    """Whether the requirement *text* is about the package *name*."""
    return canonicalize_name(Requirement(text).name) == canonicalize_name(name)


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
            text = (self._before or b"").decode("utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{self._path}: {error}", hint="save it as UTF-8") from error
        self._toml = TomlText(text, str(self._path))
        _check_types(self._toml.values)
        self._found = Adoption(folder)
        self._refused: list[str] = []
        has_setup = (folder / "setup.py").is_file() or has_setup_cfg(folder)
        self._setup = load_setup(folder) if has_setup else None

    def plan(self, entry: str | None, choose: Choose) -> Adoption:
        if entry is None and self._before is None and self._setup is None:
            self._refuse_inner_project()
        self._add_project()
        if self._refused:
            raise ConfigError(
                "not all of it can be taken over, so nothing was changed:\n"
                + "\n".join(f"  {line}" for line in self._refused),
                hint="change or remove what is named, and try it again",
            )
        self._add_settings(entry, choose)
        after = self._toml.text.encode()
        project = self._check(after)
        self._found.entry = str(checked_entry(project))
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

    # [project] and [build-system]

    def _add_project(self) -> None:
        toml = self._toml
        poetry = toml.find("tool", "poetry")
        if toml.find("project") is None:
            if isinstance(poetry, Mapping):
                self._found.kind = "a project of Poetry"
                self._add_poetry(convert_poetry(toml.values, name_of_folder(self._folder)))
            elif toml.find("tool", "flit", "metadata") is not None:
                raise ConfigError(
                    f"{self._path} has its metadata in [tool.flit.metadata], which Flit does not read beside [project]",
                    hint="write them in [project], as Flit's own documentation shows, and remove [tool.flit.metadata]",
                )
            elif self._setup is not None:
                self._found.kind = "a project of setuptools"
                self._add_from_setup(self._setup)
            else:
                self._add_plain()
            return
        self._found.kind = "a project with pyproject.toml"
        if self._setup is not None and len(self._setup.requires) > 1 and toml.find("build-system") is None:
            self._add_build_system(self._setup)
        if toml.find("project", "name") is None:
            toml.put(("project", "name"), find_name(self._folder) or name_of_folder(self._folder))
        is_dynamic = "dependencies" in (toml.find("project", "dynamic") or ())
        if toml.find("project", "dependencies") is None and not is_dynamic:
            if isinstance(poetry, Mapping) and (poetry.get("dependencies") or poetry.get("group")):
                self._add_poetry_dependencies(convert_poetry(toml.values, ""))
            else:
                dependencies, sources = self._requirements()
                if dependencies:
                    toml.put(("project", "dependencies"), dependencies)
                    self._put_sources(sources)

    def _add_poetry(self, found: Converted) -> None:
        """Add the tables of *found* before all others. [tool.poetry] stays as it is."""
        self._refused += found.refused
        if self._refused:
            return
        tables: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [(("project",), found.project)]
        tables += [(("project", "scripts"), found.scripts), (("project", "urls"), found.urls)]
        tables += [(("project", "entry-points", group), entries) for group, entries in found.plugins.items()]
        tables.append((("project", "optional-dependencies"), found.optional))
        for path, values in reversed(tables):
            if values or path == ("project",):
                self._toml.add_table(path, values, first=True)
        self._add_poetry_groups(found)

    def _add_poetry_dependencies(self, found: Converted) -> None:
        """Add the dependencies of Poetry to a [project] that has none."""
        self._refused += found.refused
        if self._refused:
            return
        self._toml.put(("project", "dependencies"), found.project["dependencies"])
        if self._toml.find("project", "requires-python") is None and "requires-python" in found.project:
            self._toml.put(("project", "requires-python"), found.project["requires-python"])
        if found.optional and self._toml.find("project", "optional-dependencies") is None:
            self._toml.add_table(("project", "optional-dependencies"), found.optional)
        self._add_poetry_groups(found)

    def _add_poetry_groups(self, found: Converted) -> None:
        for group, texts in found.groups.items():
            if self._toml.find("dependency-groups", group) is None:
                self._toml.put(("dependency-groups", group), texts)
        self._put_sources(found.sources)
        self._found.notes.append(
            "Poetry 2 and newer read [project], too, and ask for `poetry lock` now. "
            "What [tool.poetry] says twice can be removed."
        )

    def _add_from_setup(self, setup: SetupFacts) -> None:
        """Add a [project] that leaves to setup.py and setup.cfg what they say."""
        self._refused += setup.refused
        if setup.name is None:
            self._refused.append('the name in setup.py is computed: write [project] with name = "…" in pyproject.toml')
        if self._refused:
            return
        toml = self._toml
        values: dict[str, Any] = {"name": setup.name}
        if "version" not in setup.keys:
            values["version"] = "0.0.0"
        if setup.keys:
            values["dynamic"] = sorted(setup.keys)
        sources: Mapping[str, Any] = {}
        if "dependencies" not in setup.keys:
            values["dependencies"], sources = self._requirements()
        if toml.find("build-system") is None:
            self._add_build_system(setup)
        toml.add_table(("project",), values)
        if not setup.has_modules and (modules := top_modules(self._folder)):
            # With [project], setuptools would look for packages by itself.
            toml.add_table(
                ("tool", "setuptools"),
                {"py-modules": modules},
                comment="setup.py names no packages: these are the modules beside it.",
            )
        self._put_sources(sources)

    def _script_block(self) -> Mapping[str, Any] | None:
        """Return the metadata block of the only script that has one, where no requirements file says more."""
        if find_requirements_file(self._folder) is not None:
            return None
        scripts = [load_script(self._folder / f"{module}.py") for module in top_modules(self._folder)]
        tables = [script.table for script in scripts if script.table is not None]
        return tables[0] if len(tables) == 1 else None

    def _add_build_system(self, setup: SetupFacts) -> None:
        """Add the table that says what setup.py imports: without it, a build has setuptools alone."""
        self._toml.add_table(("build-system",), {"requires": setup.requires, "build-backend": self._back_end()})

    def _back_end(self) -> str:
        """Return the back end. This one lets setup.py import modules that lie beside it; the usual one does not."""
        imported = imported_modules([self._folder / "setup.py"])
        local = [name for name in imported if (self._folder / f"{name}.py").is_file() or (self._folder / name).is_dir()]
        return f"{_BACK_END}:__legacy__" if local else _BACK_END

    def _add_plain(self) -> None:
        block = self._script_block()
        if block is None:
            dependencies, sources = self._requirements()
            self._found.kind = self._found.kind or "a folder with Python files"
        else:
            self._found.kind = "a script with a metadata block"
            listed = parse_requirements(block, "dependencies", "dependencies of the script")
            dependencies = [*listed, *self._imported(listed)]
            sources = self._add_script_settings(find_table(block, "tool"))
        name = name_of_folder(self._folder)
        if any(_is_called(text, name) for text in dependencies):  # a project cannot need itself
            name = f"{name}-app"
        values = {
            "name": name,
            "version": "0.1.0",
            "requires-python": find_string(block or {}, "requires-python", "requires-python of the script") or ">=3.11",
            "dependencies": dependencies,
        }
        self._toml.add_table(("project",), values, first=True)
        if self._before is None:  # no empty line at the end of a new file
            self._toml = TomlText(self._toml.text.rstrip("\n") + "\n", str(self._path))
        self._put_sources(sources)

    def _add_script_settings(self, tools: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add what the [tool] table of a script's block says of incamera, and return [tool.uv.sources] of it."""
        for key, value in find_table(tools, "incamera", "tool.incamera").items():
            self._toml.put(("tool", "incamera", key), value)
        uv = find_table(tools, "uv", "tool.uv")
        self._refused += [f"tool.uv.{key} of the script's block" for key in uv if key != "sources"]
        return find_table(uv, "sources", "tool.uv.sources")

    # Dependencies

    def _requirements(self) -> tuple[list[str], Mapping[str, Any]]:
        """Return the dependencies of requirements.txt, with what the app imports, and where they come from."""
        path = find_requirements_file(self._folder)
        if path is None:
            return self._imported([]), {}
        self._found.kind = self._found.kind or f"a folder with {path.name}"
        if path.parent != self._folder:
            self._found.notes.append(f"the dependencies are those of {path}")
        read = load_requirements(path, self._folder, self._environment)
        self._refused += read.refused
        self._found.notes += read.notes
        if read.constraints:
            self._toml.put(("tool", "incamera", "constraints"), read.constraints)
        if others := other_requirements_files(path):
            self._found.notes.append(
                f"not read: {', '.join(others)}. `incamera add --dev NAME` adds what only your computer needs"
            )
        own = (self._setup.name if self._setup else None) or find_name(self._folder)
        found = [text for text in read.requirements if own is None or not _is_called(text, own)]
        return [*found, *self._imported(found)], read.sources

    def _imported(self, dependencies: Sequence[str]) -> list[str]:
        """Return the packages that the files import, and that *dependencies* lack, where their names are certain."""
        added, unknown = find_imported(self._folder, dependencies)
        for name, module in added.items():
            self._found.notes.append(f"{name} is added because the code imports {module}")
        if unknown:
            self._found.notes.append(
                f"the code imports {', '.join(unknown)}: if a package has it, type `incamera add NAME`"
            )
        return list(added)

    def _put_sources(self, sources: Mapping[str, Any]) -> None:
        for name, source in sources.items():
            if self._toml.find("tool", "uv", "sources", name) is None:
                self._toml.put(("tool", "uv", "sources", name), dict(source))

    # [tool.incamera]

    def _add_settings(self, entry: str | None, choose: Choose) -> None:
        toml = self._toml
        settings: dict[str, Any] = {}
        known = toml.find("tool", "incamera", "entry")
        has_default = toml.find("tool", "incamera") is not None and (self._folder / "app.py").is_file()
        if entry is not None and entry != known:
            settings["entry"] = entry
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
            return found[0].entry
        if not found:
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
