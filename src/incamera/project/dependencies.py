"""The requirements that a pyproject.toml names: dependencies, extras, dependency groups."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from incamera.errors import ConfigError
from incamera.names import did_you_mean
from incamera.project.tables import find_strings, find_table

if TYPE_CHECKING:
    from pathlib import Path


def parse_dependencies(
    table: Mapping[str, Any], project: Mapping[str, Any], ours: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the project's requirements, with those of the extras and groups that it wants in the camera."""
    texts = list(parse_requirements(project, "dependencies", "project.dependencies"))
    optional = find_table(project, "optional-dependencies", "project.optional-dependencies")
    for extra in find_strings(ours, "extras", "tool.incamera.extras"):
        if extra not in optional:
            hint = did_you_mean(extra, optional) or "it would be a key of [project.optional-dependencies]"
            raise ConfigError(f'tool.incamera.extras: the project has no extra "{extra}"', hint=hint)
        texts += parse_requirements(optional, extra, f"project.optional-dependencies.{extra}")
    texts += _resolve_groups(table, find_strings(ours, "groups", "tool.incamera.groups"))
    own = canonicalize_name(str(project.get("name", "")))
    return tuple(dict.fromkeys(text for text in texts if canonicalize_name(Requirement(text).name) != own))


def load_test_requirements(folder: Path, *, app: str, groups: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return what the tests of the project *app* in *folder* need, as its dependency *groups* say. Raises ConfigError.

    It is read only when it is wanted: a group that suits nobody but the host must not stop the app.
    """
    table = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    if groups is None:
        groups = ("test",) if "test" in find_table(table, "dependency-groups") else ()
    texts = _resolve_groups(table, groups)
    return tuple(text for text in texts if str(canonicalize_name(Requirement(text).name)) != app)


def parse_requirements(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    texts = find_strings(table, key, where)
    for position, text in enumerate(texts):
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise ConfigError(
                f'{where}[{position}]: "{text}": {str(error).splitlines()[0]}',
                hint='write, for example, "numpy", "numpy>=1.24" or "numpy>=1.24,<2"',
            ) from error
        _refuse_address(requirement, f'{where}[{position}]: "{text}"')
    return texts


def _resolve_groups(table: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        return ()
    from packaging.dependency_groups import resolve_dependency_groups

    try:
        texts = resolve_dependency_groups(dict(find_table(table, "dependency-groups")), *names)
    except ExceptionGroup as errors:
        raise ConfigError(f"dependency-groups: {errors.exceptions[0]}") from errors
    except (LookupError, ValueError, TypeError, InvalidRequirement) as error:
        raise ConfigError(f"dependency-groups: {error}") from error
    for text in texts:
        _refuse_address(Requirement(text), f'dependency-groups: "{text}"')
    return tuple(texts)


def _refuse_address(requirement: Requirement, where: str) -> None:
    if requirement.url is not None:
        raise ConfigError(
            f"{where} names an address; packages come from an index or from Debian",
            hint=f'write "{requirement.name}", and put its wheel into a folder served as an index if it has to be',
        )
