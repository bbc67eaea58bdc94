"""The tables of pyproject.toml other than [tool.incamera] that a folder lacks to be a project of incamera."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from incamera.errors import ConfigError
from incamera.project.adoption.dependencies import (
    find_imported,
    find_requirements_file,
    find_unread_above,
    unread_lists,
)
from incamera.project.adoption.entry import imported_modules, top_modules
from incamera.project.adoption.names import find_name, name_of_folder
from incamera.project.adoption.poetry import Converted, convert_poetry
from incamera.project.adoption.requirements_txt import load_requirements
from incamera.project.dependencies import parse_requirements
from incamera.project.script import load_script
from incamera.project.tables import find_string, find_table
from incamera.project.toml_text import TomlText

if TYPE_CHECKING:
    from incamera.project.adoption.setup_py import SetupFacts
    from incamera.project.changes import FileChange

_BACK_END = "setuptools.build_meta"


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


def _is_called(text: str, name: str) -> bool:
    """Whether the requirement *text* is about the package *name*."""
    return canonicalize_name(Requirement(text).name) == canonicalize_name(name)


class ProjectTables:
    """Adds [project], [build-system] and what goes with them to *toml*, the pyproject.toml in *folder*.

    *is_new* says that there is no such file yet. What is found goes into *found*, what cannot be taken over into
    `refused`.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        toml: TomlText,
        setup: SetupFacts | None,
        found: Adoption,
        *,
        is_new: bool,
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._path = folder / "pyproject.toml"
        self.toml = toml
        self._setup = setup
        self._found = found
        self._is_new = is_new
        self.refused: list[str] = []

    def add(self) -> None:
        toml = self.toml
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
        self.refused += found.refused
        if self.refused:
            return
        tables: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [(("project",), found.project)]
        tables += [(("project", "scripts"), found.scripts), (("project", "urls"), found.urls)]
        tables += [(("project", "entry-points", group), entries) for group, entries in found.plugins.items()]
        tables.append((("project", "optional-dependencies"), found.optional))
        for path, values in reversed(tables):
            if values or path == ("project",):
                self.toml.add_table(path, values, first=True)
        self._add_poetry_groups(found)

    def _add_poetry_dependencies(self, found: Converted) -> None:
        """Add the dependencies of Poetry to a [project] that has none."""
        self.refused += found.refused
        if self.refused:
            return
        self.toml.put(("project", "dependencies"), found.project["dependencies"])
        if self.toml.find("project", "requires-python") is None and "requires-python" in found.project:
            self.toml.put(("project", "requires-python"), found.project["requires-python"])
        if found.optional and self.toml.find("project", "optional-dependencies") is None:
            self.toml.add_table(("project", "optional-dependencies"), found.optional)
        self._add_poetry_groups(found)

    def _add_poetry_groups(self, found: Converted) -> None:
        for group, texts in found.groups.items():
            if self.toml.find("dependency-groups", group) is None:
                self.toml.put(("dependency-groups", group), texts)
        self._put_sources(found.sources)
        self._found.notes.append(
            "Poetry 2 and newer read [project], too, and ask for `poetry lock` now. "
            "What [tool.poetry] says twice can be removed."
        )

    def _add_from_setup(self, setup: SetupFacts) -> None:
        """Add a [project] that leaves to setup.py and setup.cfg what they say."""
        self.refused += setup.refused
        if setup.name is None:
            self.refused.append('the name in setup.py is computed: write [project] with name = "…" in pyproject.toml')
        if self.refused:
            return
        toml = self.toml
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
        self.toml.add_table(("build-system",), {"requires": setup.requires, "build-backend": self._back_end()})

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
        self.toml.add_table(("project",), values, first=True)
        if self._is_new:  # no empty line at the end of a new file
            self.toml = TomlText(self.toml.text.rstrip("\n") + "\n", str(self._path))
        self._put_sources(sources)

    def _add_script_settings(self, tools: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add what the [tool] table of a script's block says of incamera, and return [tool.uv.sources] of it."""
        for key, value in find_table(tools, "incamera", "tool.incamera").items():
            self.toml.put(("tool", "incamera", key), value)
        uv = find_table(tools, "uv", "tool.uv")
        self.refused += [f"tool.uv.{key} of the script's block" for key in uv if key != "sources"]
        return find_table(uv, "sources", "tool.uv.sources")

    # Dependencies

    def _requirements(self) -> tuple[list[str], Mapping[str, Any]]:
        """Return the dependencies of requirements.txt, with what the app imports, and where they come from."""
        path = find_requirements_file(self._folder)
        if path is None:
            self._note_unread(self._folder, set())
            if above := find_unread_above(self._folder):
                self._found.notes.append(f"not read: {above}. If it is of this project, copy it here first")
            return self._imported([]), {}
        self._found.kind = self._found.kind or f"a folder with {path.name}"
        if path.parent != self._folder:
            self._found.notes.append(f"the dependencies are those of {path}")
        read = load_requirements(path, self._folder, self._environment)
        self.refused += read.refused
        self._found.notes += read.notes
        self._note_unread(path.parent, read.files)
        if read.constraints:
            self.toml.put(("tool", "incamera", "constraints"), read.constraints)
        own = (self._setup.name if self._setup else None) or find_name(self._folder)
        found = [text for text in read.requirements if own is None or not _is_called(text, own)]
        return [*found, *self._imported(found)], read.sources

    def _note_unread(self, folder: Path, read: Collection[Path]) -> None:
        if unread := unread_lists(folder, read):
            self._found.notes.append(
                f"not read: {', '.join(unread)}. `incamera add NAME` adds what the app needs, "
                "and `incamera add --dev NAME` what only your computer needs"
            )

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
            if self.toml.find("tool", "uv", "sources", name) is None:
                self.toml.put(("tool", "uv", "sources", name), dict(source))
