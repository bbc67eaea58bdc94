"""What a command line names to run: a file, a module, or standard input."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import ConfigError, UsageError
from incamera.project.entry import Entry, is_module_name
from incamera.project.files import is_reachable
from incamera.project.loading import find_project_folder, load_project

if TYPE_CHECKING:
    from collections.abc import Callable

    from incamera.project.script import Script
    from incamera.project.settings import Project

# Tables that make a pyproject.toml that of a project. Others may only configure a linter.
_PROJECT_TABLES = ("project", "build-system")
_PROJECT_TOOLS = ("incamera", "poetry", "flit", "pdm")
STANDARD_INPUT = "-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Typed:
    """What was typed: *program* is a file or `-`, *module* follows `-m`. Both None: the project's own entry.

    *project* is the project's folder; with *is_named* the user named it.
    """

    program: str | None = None
    module: str | None = None
    project: str = "."

    @property
    def is_named(self) -> bool:
        return self.project != "."


def load_program(typed: Typed, locks: Path, warn: Callable[[str], None]) -> Project:
    """Return the project in which *typed* runs, with what was chosen to run. Raises ConfigError, UsageError.

    A script with a metadata block is a project of its own, wherever it lies. Any other belongs to the project around
    it. Lockfiles of scripts are kept below *locks*. *warn* is called with what looks like a block and is none.
    """
    if typed.module is not None:
        if not is_module_name(typed.module):
            raise UsageError(f'"{typed.module}" is not the name of a module', hint="write, for example, -m bell.main")
        return replace(load_project(Path(typed.project)), chosen=Entry(module=typed.module))
    if typed.program is None:
        return load_project(Path(typed.project))
    if typed.program == STANDARD_INPUT:
        raise UsageError(
            "`run` does not read the program from standard input",
            hint="`incamera python -` does, with the packages of the project, or of a script: `--script FILE`",
        )
    if not typed.program.endswith(".py"):
        is_module = all(map(str.isidentifier, typed.program.split(".")))
        module = f"to run a module, type `-m {typed.program}`; " if is_module else ""
        raise UsageError(
            f"`{typed.program}` is neither a Python file nor an option",
            hint=f"to run a file, type its name with .py; {module}to pass it to the app as an argument, type "
            f"`-- {typed.program}`",
        )
    from incamera.project.lone_script import script_project  # lazy: most commands run no script
    from incamera.project.script import load_script

    path = find_file(typed)
    script = load_script(path)
    for doubt in script.doubts:
        warn(doubt)
    if script.table is not None:
        return script_project(script, locks)
    return _load_around(typed, script, locks)


def find_file(typed: Typed) -> Path:
    """Return the path of the file that *typed* names: relative to this folder, else to the project that was named."""
    if "://" in str(typed.program):
        raise UsageError(
            "a script is not fetched from the web", hint="download it, read it, and type `incamera run` with its name"
        )
    path = Path(str(typed.program))
    if not path.exists() and typed.is_named:
        path = Path(typed.project) / path
    if not path.exists():
        from incamera.project.script import missing_file_hint  # lazy: most commands run no script

        raise UsageError(f"there is no file {typed.program}", hint=missing_file_hint(path))
    return path


def mentions(typed: Typed, text: str) -> bool:
    """Whether *text* is in the file that *typed* names, as an option that it reads is."""
    from incamera.project.script import read_source  # lazy: most commands run no script

    return text in read_source(find_file(typed))


def load_script_project(path: Path, locks: Path | None, warn: Callable[[str], None]) -> Project:
    """Return the script *path* as a project of its own, with its metadata block or without one. Raises ConfigError."""
    from incamera.project.lone_script import script_project  # lazy: most commands run no script
    from incamera.project.script import load_script

    script = load_script(path)
    for doubt in script.doubts:
        warn(doubt)
    return script_project(script, locks)


def _load_around(typed: Typed, script: Script, locks: Path) -> Project:
    """Return the project around *script*, which has no block; the script alone where there is none."""
    from incamera.project.lone_script import script_project  # lazy: most commands run no script

    path = script.path.parent.resolve() / script.path.name
    if typed.is_named:
        project = load_project(Path(typed.project))
    else:
        folder = find_project_folder(path.parent)
        if folder is None or not _is_project(folder):
            return script_project(script, locks)
        project = load_project(folder)
    if not path.is_relative_to(project.folder.resolve()):
        raise ConfigError(
            f"{typed.program} lies outside the project {project.folder}",
            hint="move it into the project, or leave out --project",
        )
    file = path.relative_to(project.folder.resolve()).as_posix()
    if not project.has_build_system and not is_reachable(project.folder, file):
        raise ConfigError(
            f"{file} is not sent to the camera: files and folders of such names do not belong to the app",
            hint="move it: what is left out are names that begin with a dot, and build, dist, venv and the like",
        )
    return replace(project, chosen=Entry(file=file))


def _is_project(folder: Path) -> bool:
    """Whether the pyproject.toml in *folder* describes a project, and does not only configure other tools."""
    try:
        table = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return True  # load_project says what is wrong
    tools = table.get("tool")
    names = tools if isinstance(tools, dict) else {}
    return any(key in table for key in _PROJECT_TABLES) or any(key in names for key in _PROJECT_TOOLS)
