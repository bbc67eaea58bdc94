"""A project's pyproject.toml, parsed and checked once into frozen values."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NewType

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from incamera.errors import ConfigError
from incamera.names import did_you_mean, listing
from incamera.project.app_files import AppFiles, check_patterns
from incamera.project.build_limits import parse_build_limits
from incamera.project.dependencies import parse_dependencies, parse_requirements
from incamera.project.entry import Entry, parse_entry
from incamera.project.local import parse_local
from incamera.project.preload import parse_modules
from incamera.project.script_files import script_files
from incamera.project.standard import (
    check_standard_tables,
    is_package,
    parse_dynamic,
    parse_requires_python,
    parse_version,
)
from incamera.project.tables import find_string, find_strings, find_table, refuse_unknown
from incamera.targets.form import PLACES, Kind
from incamera.targets.suite import target_pythons
from incamera.targets.target import DEFAULT_PYTHON, Target
from incamera.units import parse_bytes

if TYPE_CHECKING:
    from incamera.project.data_folder import DataPlace
    from incamera.project.git_source import GitSource

AppName = NewType("AppName", str)
"""The name of an app: valid as the name of a distribution, and normalized."""

DEFAULT_TARGETS = ("armv7hf",)
# The folder of the store with the lockfiles of scripts.
SCRIPTS = "scripts"
# What `incamera run` starts where pyproject.toml has no entry.
DEFAULT_ENTRY = "app.py"
COMPILERS = ("gcc", "zig")
# Where the headers of the camera's libraries come from.
SDKS = ("builtin",)
# Where builds cannot be isolated: warn, or refuse.
ISOLATION = ("auto", "require")
# The sources of a package, in the order in which they are tried.
SOURCES = ("wheel", "deb", "sdist", "emulated")

# More than any Python has had.
_PATCH_RELEASES = 40

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_DEB = re.compile(r"[a-z0-9][a-z0-9+.-]+")

_KEYS = (
    *("targets", "entry", "device", "python", "debs", "compiler", "runtime", "preload", "memory-limit"),
    *("extras", "groups", "constraints", "sources", "recipes", "to", "test", "build-isolation"),
    *("build-limits", "data", "exclude", "sdk"),
)
_RUNTIME_KEYS = ("keep",)
_TEST_KEYS = ("groups",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """The settings of one project.

    *targets* are those that the user listed; None means the one that fits the device. *dependencies* are requirements,
    with those of the chosen extras and groups. *sources* maps a distribution's normalized name to the source that the
    user wants. *recipes* is the folder with the project's own recipes. *to* is the kind of place for bundles on a
    device. *keep* are patterns of files that are not trimmed. *preload* are the modules that the fork server of `run
    --watch` imports; None means those that are slow to import. *memory_limit*, in bytes, is for runs of `run --watch`.
    *build_isolation* is one of `ISOLATION`, *build_requires* is the project's `build-system.requires`. *dynamic* are
    the keys of [project] that the back end fills in, *extras* the extras that the user chose. *local* has the path of
    each package that is a wheel or folder of the user's own, *git* the commit of each that comes from a git repository.
    *test_groups* are the dependency groups of the tests; None means `test`, if there is one. A project with a *variant*
    ("test") has a lockfile of its own. *entry* is None where the project names none and has no app.py. *chosen* is what
    `incamera run FILE` runs in its place. *script* is the name of the script that the project was made of, without a
    pyproject.toml; its lockfiles are in *lock_folder*.
    *build_limits* is as `parse_build_limits` returns it. *data* is where the app keeps its data; None means RAM, or
    what else can be written. *exclude* are patterns of files that do not belong to the app.
    """

    folder: Path
    name: AppName
    version: str
    dependencies: tuple[str, ...]
    constraints: tuple[str, ...]
    sources: Mapping[str, str]
    recipes: Path | None
    entry: Entry | None
    targets: tuple[Target, ...] | None
    python: str
    device: str | None
    to: Kind | None
    debs: tuple[str, ...]
    compiler: str
    keep: tuple[str, ...]
    has_build_system: bool
    requires_python: SpecifierSet = field(default_factory=SpecifierSet)
    preload: tuple[str, ...] | None = None
    memory_limit: int | None = None
    build_isolation: str = ISOLATION[0]
    build_limits: Mapping[str, float] = field(default_factory=dict)
    build_requires: tuple[str, ...] = ()
    dynamic: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    local: Mapping[str, Path] = field(default_factory=dict)
    git: Mapping[str, GitSource] = field(default_factory=dict)
    test_groups: tuple[str, ...] | None = None
    variant: str | None = None
    chosen: Entry | None = None
    script: str | None = None
    lock_folder: Path | None = None
    data: DataPlace | None = None
    exclude: tuple[str, ...] = ()

    @property
    def loose_files(self) -> tuple[str, ...]:
        """The files that are started. They are added to those of a wheel, which may not have them."""
        return tuple(dict.fromkeys(entry.file for entry in (self.entry, self.chosen) if entry and entry.file))

    def find_files(self) -> list[str]:
        """Return the paths of the app's files: relative to the folder, with `/`, sorted."""
        return self.app_files().find().files if self.script is None else script_files(self.folder, self.script)

    def app_files(self) -> AppFiles:
        """Return what finds the files of a project that is no script.

        With a build system, its back end decides what the wheel holds, and may need what git ignores.
        """
        gitignore = not self.has_build_system
        return AppFiles(self.folder, exclude=self.exclude, gitignore=gitignore, always=self.loose_files)

    def require_entry(self) -> Entry:
        """Return what `incamera run` starts. Raises ConfigError when there is nothing to start."""
        if (entry := self.chosen or self.entry) is not None:
            return entry
        files = sorted(path.name for path in self.folder.glob("*.py"))
        raise ConfigError(
            f"{self.folder} has no {DEFAULT_ENTRY}, and [tool.incamera] names no entry",
            hint='name what to run with entry = "…" in [tool.incamera]'
            + (f", or type `incamera run {files[0]}`" if files else ""),
        )

    @property
    def has_dynamic_dependencies(self) -> bool:
        """Whether only the build back end knows the dependencies, or the extras."""
        return bool({"dependencies", "optional-dependencies", "requires-python"} & set(self.dynamic))

    @property
    def default_targets(self) -> tuple[Target, ...]:
        """The targets that are built when none is named and no device is asked. Raises ConfigError."""
        targets = self.targets or tuple(Target.parse(name, python=self.python) for name in DEFAULT_TARGETS)
        return tuple(map(self.require_python, targets))

    def allows_python(self, python: str) -> bool:
        """Whether the project's requires-python allows some patch release of *python* ("3.11")."""
        return specifier_allows(self.requires_python, python)

    def require_python(self, target: Target) -> Target:
        """Return *target*. Raises ConfigError when the project's requires-python excludes its Python.

        That any patch release of it is allowed is enough here: only the resolver knows which one Debian has.
        """
        if self.allows_python(target.python):
            return target
        fitting = [python for python in target_pythons() if self.allows_python(python)]
        names = " and ".join(target_pythons())
        key = "requires-python" if self.script else "project.requires-python"
        raise ConfigError(
            f'{key} is "{self.requires_python}", but {target} has Python {target.python}',
            hint=f'write python = "{fitting[-1]}" in [tool.incamera], or change requires-python'
            if fitting
            else f"change requires-python: cameras get Python {names}",
        )


def find_project_folder(start: Path) -> Path | None:
    """Return *start* or the nearest folder above it that has a pyproject.toml; None when there is none."""
    return next((folder for folder in (start, *start.parents) if (folder / "pyproject.toml").is_file()), None)


def load_project(start: Path) -> Project:
    """Return the project of the folder *start*, or of the nearest folder above it. Raises ConfigError."""
    _require_folder(start)
    folder = find_project_folder(start.absolute())
    if folder is None:
        scripts = sorted(path.name for path in start.glob("*.py"))
        raise ConfigError(
            f"there is no pyproject.toml in {start.absolute()} or above it",
            hint="go to the project's folder, or type `incamera init` in a folder with an app, or `incamera new NAME`"
            + (f"; one script runs without a project: `incamera run {scripts[0]}`" if scripts else ""),
        )
    path = folder / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="https://toml.io shows how it is written") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="make it readable") from error
    return parse_project(table, folder)


def _require_folder(start: Path) -> None:
    """Raises ConfigError, with the projects that are near, when there is no folder *start*."""
    if start.is_dir():
        return
    if start.exists():
        raise ConfigError(f"{start} is not a folder", hint=f"--project names the project's folder: {start.parent}")
    near = start.absolute().parent
    while not near.is_dir():
        near = near.parent
    try:
        folders = sorted(path.name for path in near.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        folders = []
    projects = [name for name in folders if (near / name / "pyproject.toml").is_file()]
    raise ConfigError(
        f"there is no folder {os.path.normpath(start.absolute())}",
        hint=did_you_mean(start.name, folders)
        or listing(f"{'projects' if projects else 'folders'} in {near}", projects or folders),
    )


def find_project(start: Path) -> Project | None:
    """Return the project of the folder *start*; None when there is none, or none that incamera can use.

    Raises ConfigError for a faulty pyproject.toml with a [tool.incamera] table: it may name the device to use. Also
    raises it when *start* is not a folder.
    """
    _require_folder(start)
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
    """Return the project that *table*, the pyproject.toml in *folder*, describes. Raises ConfigError with the key."""
    project = find_table(table, "project")
    settings = find_table(find_table(table, "tool"), "incamera", "tool.incamera")
    refuse_unknown(settings, _KEYS, "tool.incamera")
    test = find_table(settings, "test", "tool.incamera.test")
    refuse_unknown(test, _TEST_KEYS, "tool.incamera.test")
    runtime = find_table(settings, "runtime", "tool.incamera.runtime")
    refuse_unknown(runtime, _RUNTIME_KEYS, "tool.incamera.runtime")

    check_standard_tables(table)
    name = find_string(project, "name", "project.name")
    if name is None:
        raise ConfigError("project.name is missing", hint="`incamera init` adds what the project lacks")
    # A setup.py alone is a build system, too: PEP 517 names setuptools for it.
    has_build_system = is_package(table) and ("build-system" in table or (folder / "setup.py").is_file())
    dynamic = parse_dynamic(project)
    if dynamic and not has_build_system:
        raise ConfigError(
            f'project.dynamic names "{dynamic[0]}", but there is no build back end that could fill it in',
            hint="add a [build-system] table, or write the value in [project]",
        )
    all_named = not {"dependencies", "optional-dependencies"} & set(dynamic)
    _check_sdk(find_string(settings, "sdk", "tool.incamera.sdk"))
    own = parse_local(table, folder, parse_dependencies(table, project, settings), only_named=all_named)
    uv = find_table(find_table(table, "tool"), "uv", "tool.uv")
    python = find_string(settings, "python", "tool.incamera.python") or DEFAULT_PYTHON
    listed = find_strings(settings, "targets", "tool.incamera.targets")
    compiler = find_string(settings, "compiler", "tool.incamera.compiler") or COMPILERS[0]
    if compiler not in COMPILERS:
        raise ConfigError(
            f'tool.incamera.compiler: unknown compiler "{compiler}"', hint="choose " + " or ".join(COMPILERS)
        )
    return Project(
        folder=folder,
        name=parse_app_name(name),
        version=parse_version(project),
        dependencies=own.requirements,
        local=own.paths,
        git=own.git,
        constraints=(
            *parse_requirements(settings, "constraints", "tool.incamera.constraints", limits_only=True),
            *parse_requirements(uv, "constraint-dependencies", "tool.uv.constraint-dependencies", limits_only=True),
        ),
        sources=_parse_sources(find_table(settings, "sources", "tool.incamera.sources")),
        recipes=_parse_recipes(find_string(settings, "recipes", "tool.incamera.recipes"), folder),
        entry=_find_entry(find_string(settings, "entry", "tool.incamera.entry"), folder),
        targets=_parse_targets(listed, python) if "targets" in settings else None,
        python=_check_python(python),
        requires_python=parse_requires_python(project),
        device=find_string(settings, "device", "tool.incamera.device"),
        to=_parse_place(find_string(settings, "to", "tool.incamera.to")),
        debs=_parse_debs(find_strings(settings, "debs", "tool.incamera.debs")),
        compiler=compiler,
        keep=find_strings(runtime, "keep", "tool.incamera.runtime.keep"),
        has_build_system=has_build_system,
        dynamic=dynamic,
        extras=find_strings(settings, "extras", "tool.incamera.extras"),
        build_requires=find_strings(find_table(table, "build-system"), "requires", "build-system.requires"),
        test_groups=find_strings(test, "groups", "tool.incamera.test.groups") if "groups" in test else None,
        preload=parse_modules(find_strings(settings, "preload", "tool.incamera.preload"), "tool.incamera.preload")
        if "preload" in settings
        else None,
        memory_limit=_parse_size(
            find_string(settings, "memory-limit", "tool.incamera.memory-limit"), "tool.incamera.memory-limit"
        ),
        build_isolation=_parse_isolation(find_string(settings, "build-isolation", "tool.incamera.build-isolation")),
        data=_parse_data(find_string(settings, "data", "tool.incamera.data")),
        exclude=check_patterns(find_strings(settings, "exclude", "tool.incamera.exclude"), "tool.incamera.exclude"),
        build_limits=parse_build_limits(find_table(settings, "build-limits", "tool.incamera.build-limits")),
    )


def specifier_allows(specifier: SpecifierSet, python: str) -> bool:
    """Whether *specifier* allows any release of *python*: `3.11`."""
    return any(specifier.contains(f"{python}.{patch}") for patch in range(_PATCH_RELEASES))


def parse_app_name(text: str) -> AppName:
    """Return *text*, normalized. Raises ConfigError when it cannot be the name of a project."""
    if not _NAME.fullmatch(text):
        raise ConfigError(
            f'"{text}" cannot be the name of a project',
            hint="use letters, digits, `-`, `_` and `.`, with a letter or digit at either end",
        )
    return AppName(canonicalize_name(text))


def _find_entry(text: str | None, folder: Path) -> Entry | None:
    if text is not None:
        return parse_entry(text)
    return Entry(file=DEFAULT_ENTRY) if (folder / DEFAULT_ENTRY).is_file() else None


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
        hint = did_you_mean(text, PLACES) or "choose one of: " + ", ".join(PLACES)
        raise ConfigError(f'tool.incamera.to: unknown place "{text}"', hint=hint)
    return Kind(text) if text is not None else None


def _parse_data(text: str | None) -> DataPlace | None:
    if text is None:
        return None
    from incamera.project.data_folder import parse_data  # lazy: few projects say where their data is kept

    return parse_data(text)


def _check_sdk(text: str | None) -> None:
    if text is not None and text not in SDKS:
        raise ConfigError(
            f'tool.incamera.sdk: unknown value "{text}"',
            hint="the only value is \"builtin\", the default: incamera's own headers of the camera's libraries",
        )


def _parse_isolation(text: str | None) -> str:
    if text is not None and text not in ISOLATION:
        hint = did_you_mean(text, ISOLATION) or "choose one of: " + ", ".join(ISOLATION)
        raise ConfigError(f'tool.incamera.build-isolation: unknown value "{text}"', hint=hint)
    return text or ISOLATION[0]


def _parse_debs(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _DEB.fullmatch(name):
            raise ConfigError(
                f'tool.incamera.debs: "{name}" cannot be the name of a Debian package',
                hint="such names consist of lower-case letters, digits, +, - and ., like libgl1",
            )
    return names


def _parse_sources(table: Mapping[str, Any]) -> Mapping[str, str]:
    sources = {}
    for name, source in table.items():
        if not isinstance(source, str) or source not in SOURCES:
            hint = (
                did_you_mean(source, SOURCES) if isinstance(source, str) else None
            ) or "choose one of: " + ", ".join(SOURCES)
            raise ConfigError(f'tool.incamera.sources.{name}: unknown source "{source}"', hint=hint)
        sources[str(canonicalize_name(name))] = source
    return sources


def _parse_recipes(text: str | None, folder: Path) -> Path | None:
    if text is None:
        return None
    path = (folder / text).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_dir():
        raise ConfigError(
            f'tool.incamera.recipes: there is no folder "{text}" in the project',
            hint="make it, with a file NAME.toml for each package: see docs/reference/recipes.md",
        )
    return path


def _parse_size(text: str | None, where: str) -> int | None:
    try:
        return None if text is None else parse_bytes(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
