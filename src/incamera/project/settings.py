"""A project's pyproject.toml, parsed once into frozen values, then trusted."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NewType

from packaging.utils import canonicalize_name

from incamera.errors import ConfigError
from incamera.names import did_you_mean
from incamera.project.dependencies import parse_dependencies, parse_requirements
from incamera.project.tables import find_string, find_strings, find_table, refuse_unknown
from incamera.project.warm import parse_modules
from incamera.targets.form import PLACES, Kind
from incamera.targets.target import DEFAULT_PYTHON, Target
from incamera.units import parse_bytes

AppName = NewType("AppName", str)
"""A checked application name: what PyPA allows a distribution to be called, normalised."""

DEFAULT_TARGETS = ("armv7hf",)
COMPILERS = ("gcc", "zig")

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_DEB = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_FILE_ENTRY = re.compile(r"[\w./-]+\.py")
_MODULE_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?")
SOURCES = ("wheel", "deb", "sdist", "emulated")

_KEYS = (
    *("targets", "entry", "device", "python", "debs", "compiler", "runtime", "warm", "memory-limit"),
    *("extras", "groups", "constraints", "sources", "recipes", "to", "test"),
)
_RUNTIME_KEYS = ("keep",)
_TEST_KEYS = ("groups",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What is run: a file of the project (`app.py`), a module (`-m`), or a function of a module."""

    file: str | None = None
    module: str | None = None
    function: str | None = None

    def to_arguments(self) -> list[str]:
        """Return what follows `python3` on a command line, in the app's folder."""
        if self.file is not None:
            return [self.file]
        if self.function is None:
            return ["-m", str(self.module)]
        return ["-c", f"import sys; from {self.module} import {self.function}; sys.exit({self.function}())"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """The settings of one project.

    *targets* is what the user listed; None means: whatever the device is. *dependencies* are requirements, with those
    of the chosen extras and groups. *sources* maps a distribution's normalised name to the source that the user wants.
    *recipes* is the folder with the project's own. *warm* are the modules that the edit loop imports beforehand; None:
    the heavy ones. *memory_limit*, in bytes, is for its runs. *test_groups* are the dependency groups of its tests;
    None: `test`, if there is one. A *variant* ("test") has a lockfile of its own.
    """

    folder: Path
    name: AppName
    version: str
    dependencies: tuple[str, ...]
    constraints: tuple[str, ...]
    sources: Mapping[str, str]
    recipes: Path | None
    entry: Entry
    targets: tuple[Target, ...] | None
    python: str
    device: str | None
    to: Kind | None
    debs: tuple[str, ...]
    compiler: str
    keep: tuple[str, ...]
    has_build_system: bool
    warm: tuple[str, ...] | None = None
    memory_limit: int | None = None
    test_groups: tuple[str, ...] | None = None
    variant: str | None = None

    @property
    def default_targets(self) -> tuple[Target, ...]:
        return self.targets or tuple(Target.parse(name, python=self.python) for name in DEFAULT_TARGETS)


def find_project_folder(start: Path) -> Path | None:
    """Return *start* or the nearest folder above it that holds a pyproject.toml."""
    return next((folder for folder in (start, *start.parents) if (folder / "pyproject.toml").is_file()), None)


def load_project(start: Path) -> Project:
    """Load the project that *start* lies in. Raises ConfigError."""
    folder = find_project_folder(start.absolute())
    if folder is None:
        raise ConfigError(
            f"there is no pyproject.toml in {start.absolute()} or above it",
            hint="make a project with `incamera new NAME`",
        )
    path = folder / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="https://toml.io shows how it is written") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="make it readable") from error
    return parse_project(table, folder)


def find_project(start: Path) -> Project | None:
    """Return the project that *start* lies in; None when there is none, or one that knows nothing of incamera.

    Raises ConfigError for one that does, and is wrong: what it says of its device shall not be passed over.
    """
    try:
        return load_project(start)
    except ConfigError:
        folder = find_project_folder(start.absolute())
        if folder is None:
            return None
        with suppress(OSError):
            if b"tool.incamera" not in (folder / "pyproject.toml").read_bytes():
                return None
        raise


def parse_project(table: Mapping[str, Any], folder: Path) -> Project:
    """Turn the *table* of a pyproject.toml into a Project. Raises ConfigError that names the key."""
    project = find_table(table, "project")
    ours = find_table(find_table(table, "tool"), "incamera", "tool.incamera")
    refuse_unknown(ours, _KEYS, "tool.incamera")
    test = find_table(ours, "test", "tool.incamera.test")
    refuse_unknown(test, _TEST_KEYS, "tool.incamera.test")
    runtime = find_table(ours, "runtime", "tool.incamera.runtime")
    refuse_unknown(runtime, _RUNTIME_KEYS, "tool.incamera.runtime")

    name = find_string(project, "name", "project.name")
    if name is None:
        raise ConfigError("project.name is missing", hint='add a [project] table with name = "…"')
    python = find_string(ours, "python", "tool.incamera.python") or DEFAULT_PYTHON
    listed = find_strings(ours, "targets", "tool.incamera.targets")
    compiler = find_string(ours, "compiler", "tool.incamera.compiler") or COMPILERS[0]
    if compiler not in COMPILERS:
        raise ConfigError(f'tool.incamera.compiler: there is no "{compiler}"', hint="choose " + " or ".join(COMPILERS))
    return Project(
        folder=folder,
        name=_parse_name(name),
        version=find_string(project, "version", "project.version") or "0",
        dependencies=parse_dependencies(table, project, ours),
        constraints=parse_requirements(ours, "constraints", "tool.incamera.constraints"),
        sources=_parse_sources(find_table(ours, "sources", "tool.incamera.sources")),
        recipes=_parse_recipes(find_string(ours, "recipes", "tool.incamera.recipes"), folder),
        entry=_parse_entry(find_string(ours, "entry", "tool.incamera.entry") or "app.py", folder),
        targets=_parse_targets(listed, python) if "targets" in ours else None,
        python=_check_python(python),
        device=find_string(ours, "device", "tool.incamera.device"),
        to=_parse_place(find_string(ours, "to", "tool.incamera.to")),
        debs=_parse_debs(find_strings(ours, "debs", "tool.incamera.debs")),
        compiler=compiler,
        keep=find_strings(runtime, "keep", "tool.incamera.runtime.keep"),
        has_build_system="build-system" in table,
        test_groups=find_strings(test, "groups", "tool.incamera.test.groups") if "groups" in test else None,
        warm=parse_modules(find_strings(ours, "warm", "tool.incamera.warm"), "tool.incamera.warm")
        if "warm" in ours
        else None,
        memory_limit=_parse_size(
            find_string(ours, "memory-limit", "tool.incamera.memory-limit"), "tool.incamera.memory-limit"
        ),
    )


def parse_app_name(text: str) -> AppName:
    """Raises ConfigError when *text* cannot name a project."""
    return _parse_name(text)


def _parse_name(text: str) -> AppName:
    if not _NAME.fullmatch(text):
        raise ConfigError(
            f'"{text}" cannot name a project',
            hint="use letters, digits, `-`, `_` and `.`, with a letter or digit at either end",
        )
    return AppName(canonicalize_name(text))


def _parse_entry(text: str, folder: Path) -> Entry:
    key = "tool.incamera.entry"
    if _FILE_ENTRY.fullmatch(text):
        if text.startswith("/") or ".." in text.split("/"):
            raise ConfigError(
                f'{key}: "{text}" lies outside the project', hint="name a file below the project's folder"
            )
        if not (folder / text).is_file():
            files = [path.name for path in folder.glob("*.py")]
            hint = did_you_mean(text, files) or 'name the file to run with entry = "…" in [tool.incamera]'
            raise ConfigError(f'{key}: there is no file "{text}"', hint=hint)
        return Entry(file=text)
    if _MODULE_ENTRY.fullmatch(text):
        module, _, function = text.partition(":")
        return Entry(module=module, function=function or None)
    raise ConfigError(f'{key}: cannot run "{text}"', hint='write "app.py", "package" or "package.module:function"')


def _parse_targets(names: tuple[str, ...], python: str) -> tuple[Target, ...]:
    if not names:
        raise ConfigError("tool.incamera.targets is empty", hint='write, for example, targets = ["armv7hf"]')
    targets = []
    for position, name in enumerate(names):
        try:
            targets.append(Target.parse(name, python=python))
        except ConfigError as error:
            raise ConfigError(f"tool.incamera.targets[{position}]: {error}", hint=error.hint) from error
    return tuple(dict.fromkeys(targets))


def _check_python(text: str) -> str:
    try:
        Target.parse(DEFAULT_TARGETS[0], python=text)
    except ConfigError as error:
        raise ConfigError(f"tool.incamera.python: {error}", hint=error.hint) from error
    return text


def _parse_place(text: str | None) -> Kind | None:
    if text is not None and text not in PLACES:
        hint = did_you_mean(text, PLACES) or "choose " + ", ".join(PLACES)
        raise ConfigError(f'tool.incamera.to: there is no place "{text}"', hint=hint)
    return Kind(text) if text is not None else None


def _parse_debs(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _DEB.fullmatch(name):
            raise ConfigError(
                f'tool.incamera.debs: "{name}" cannot be the name of a Debian package',
                hint="such names are of small letters, digits, +, - and ., as in libgl1",
            )
    return names


def _parse_sources(table: Mapping[str, Any]) -> Mapping[str, str]:
    sources = {}
    for name, source in table.items():
        if not isinstance(source, str) or source not in SOURCES:
            hint = (did_you_mean(source, SOURCES) if isinstance(source, str) else None) or "choose " + ", ".join(
                SOURCES
            )
            raise ConfigError(f'tool.incamera.sources.{name}: there is no source "{source}"', hint=hint)
        sources[str(canonicalize_name(name))] = source
    return sources


def _parse_recipes(text: str | None, folder: Path) -> Path | None:
    if text is None:
        return None
    path = (folder / text).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_dir():
        raise ConfigError(
            f'tool.incamera.recipes: there is no folder "{text}" in the project',
            hint="it holds a file NAME.toml for each package: see docs/reference/recipes.md",
        )
    return path


def _parse_size(text: str | None, where: str) -> int | None:
    try:
        return None if text is None else parse_bytes(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
