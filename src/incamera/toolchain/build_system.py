"""Reads the build system of a project: its back end and build requirements."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from incamera.errors import ConfigError

_MAX_BYTES = 4_000_000


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
        with path.open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ConfigError(f"{path} is longer than {_MAX_BYTES} bytes")
        table = tomllib.loads(text.decode("utf-8")).get("build-system")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: its values are nested too deeply") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    return BuildSystem() if table is None else _parse_build_system(path, table)


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


def requirement_names(requirements: Iterable[str]) -> frozenset[str]:
    """Return the normalised names of *requirements*, without invalid ones."""
    names = set()
    for text in requirements:
        try:
            names.add(str(canonicalize_name(Requirement(text).name)))
        except InvalidRequirement:
            continue
    return frozenset(names)


# Back ends whose get_requires_for_build_wheel returns nothing.
_ADD_NOTHING = frozenset({"flit_core.buildapi", "poetry.core.masonry.api"})
_SETUPTOOLS = frozenset({"setuptools.build_meta", "setuptools.build_meta:__legacy__"})
# Since this version setuptools adds no `wheel`.
_SETUPTOOLS_ALONE = Version("70.1")


def adds_no_requirements(system: BuildSystem, project: Path, setuptools: Version | None) -> bool:
    """Return whether it is certain that the back end of *project* adds no requirement of its own.

    Asking it takes seconds, and a toolchain. *setuptools*: the version that the build gets, if it gets one.
    """
    if system.backend_path is not None:
        return False
    if system.backend in _ADD_NOTHING:
        return True
    if system.backend == "hatchling.build":
        return not _mentions(project, b"hooks")
    if system.backend in _SETUPTOOLS and setuptools is not None and setuptools >= _SETUPTOOLS_ALONE:
        return not _mentions(project, b"setup_requires")
    return False


def _mentions(project: Path, word: bytes) -> bool:
    """Return whether a file in the top folder that may say so has *word*."""
    files = (path for pattern in ("*.py", "*.cfg", "*.toml") for path in project.glob(pattern))
    return any(word in path.read_bytes() for path in files if path.is_file())
