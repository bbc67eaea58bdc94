"""The requirements in a pyproject.toml: dependencies, extras, dependency groups."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from packaging.dependency_groups import resolve_dependency_groups
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from incamera.errors import ConfigError
from incamera.names import did_you_mean
from incamera.project.tables import find_strings, find_table

if TYPE_CHECKING:
    from pathlib import Path


def parse_dependencies(
    table: Mapping[str, Any], project: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the project's requirements, with those of its extras and groups that go into the camera.

    *table* is the whole pyproject.toml, *project* its [project], *settings* its [tool.incamera]. Raises ConfigError.
    """
    texts = list(parse_requirements(project, "dependencies", "project.dependencies"))
    optional = find_table(project, "optional-dependencies", "project.optional-dependencies")
    for extra in find_strings(settings, "extras", "tool.incamera.extras"):
        if extra not in optional:
            hint = did_you_mean(extra, optional) or "extras are the keys of [project.optional-dependencies]"
            raise ConfigError(f'tool.incamera.extras: the project has no extra "{extra}"', hint=hint)
        texts += parse_requirements(optional, extra, f"project.optional-dependencies.{extra}")
    where = "tool.incamera.groups"
    texts += _resolve_groups(table, find_strings(settings, "groups", where), where)
    own = canonicalize_name(str(project.get("name", "")))
    return tuple(dict.fromkeys(text for text in texts if canonicalize_name(Requirement(text).name) != own))


def load_test_requirements(folder: Path, *, app: str, groups: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return what the tests of the project *app* in *folder* need, as its dependency *groups* say. Raises ConfigError.

    Call it only to run the tests: a mistake in a group that only they use must not stop the app.
    """
    table = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    if groups is None:
        groups = ("test",) if "test" in find_table(table, "dependency-groups") else ()
    texts = _resolve_groups(table, groups, "tool.incamera.test.groups")
    return tuple(text for text in texts if str(canonicalize_name(Requirement(text).name)) != app)


def parse_requirements(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """Return the requirements in the list *key* of *table*; *where* is its name in messages. Raises ConfigError."""
    texts = find_strings(table, key, where)
    for position, text in enumerate(texts):
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise ConfigError(
                f'{where}[{position}]: "{text}": {str(error).splitlines()[0]}',
                hint='write, for example, "numpy", "numpy>=1.24" or "numpy>=1.24,<2"',
            ) from error
        _refuse_url(requirement, f'{where}[{position}]: "{text}"')
    return texts


def _resolve_groups(table: Mapping[str, Any], names: tuple[str, ...], where: str) -> tuple[str, ...]:
    if not names:
        return ()
    groups = find_table(table, "dependency-groups")
    known = {canonicalize_name(group) for group in groups}
    for name in names:
        if canonicalize_name(name) not in known:
            hint = did_you_mean(name, groups) or "groups are the keys of [dependency-groups]"
            raise ConfigError(f'{where}: the project has no dependency group "{name}"', hint=hint)
    try:
        texts = resolve_dependency_groups(dict(groups), *names)
    except ExceptionGroup as errors:
        raise ConfigError(f"dependency-groups: {errors.exceptions[0]}") from errors
    except (LookupError, ValueError, TypeError, InvalidRequirement) as error:
        raise ConfigError(f"dependency-groups: {error}") from error
    for text in texts:
        _refuse_url(Requirement(text), f'dependency-groups: "{text}"')
    return tuple(texts)


def _refuse_url(requirement: Requirement, where: str) -> None:
    if requirement.url is not None:
        raise ConfigError(
            f"{where} has a URL; packages come from a package index or from Debian",
            hint=f'write "{requirement.name}"; if it must be that file, put it on a package index of your own',
        )
