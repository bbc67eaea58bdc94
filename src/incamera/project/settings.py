"""A project's settings, as frozen values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NewType

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from incamera.errors import ConfigError
from incamera.project.app_files import AppFiles
from incamera.project.script_files import script_files
from incamera.targets.suite import target_pythons
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.project.data_folder import DataPlace
    from incamera.project.entry import Entry
    from incamera.project.git_source import GitSource
    from incamera.targets.form import Kind

AppName = NewType("AppName", str)
"""The name of an app: valid as the name of a distribution, and normalized."""

DEFAULT_TARGETS = ("armv7hf",)
# The folder of the store with the lockfiles of scripts.
SCRIPTS = "scripts"
# What `incamera run` starts where pyproject.toml has no entry.
DEFAULT_ENTRY = "app.py"
# In place of an image of the vendor's SDK: incamera's own headers of the camera's libraries.
BUILTIN_SDK = "builtin"
# What stands in the name of an image for the architecture of each target.
ARCHITECTURE = "{architecture}"
# Where builds cannot be isolated: warn, or refuse.
ISOLATION = ("auto", "require")
# The sources of a package, in the order in which they are tried.
SOURCES = ("wheel", "deb", "sdist", "emulated")

# More than any Python has had.
_PATCH_RELEASES = 40

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


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
    what else can be written. *exclude* are patterns of files that do not belong to the app. *sdk* is `BUILTIN_SDK`, or
    the image of the vendor's SDK against which the project is built, maybe with `ARCHITECTURE` in its name.
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
    sdk: str = BUILTIN_SDK

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
            hint='`incamera init` finds it; or name it with entry = "…" in [tool.incamera]'
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
