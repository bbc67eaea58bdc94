"""The requirements in a pyproject.toml: dependencies, extras, dependency groups."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from incamera.errors import ConfigError
from incamera.names import did_you_mean
from incamera.project.local import parse_local
from incamera.project.tables import find_strings, find_table

if TYPE_CHECKING:
    from pathlib import Path


def parse_dependencies(
    table: Mapping[str, Any], project: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the project's requirements, with those of its extras and groups that go into the camera.

    *table* is the whole pyproject.toml, *project* its [project], *settings* its [tool.incamera]. Raises ConfigError.
    """
    own = OwnExtras(project)
    dependencies = parse_requirements(project, "dependencies", "project.dependencies")
    own.refuse_itself(dependencies)
    texts = list(dependencies)
    dynamic = "optional-dependencies" in find_strings(project, "dynamic", "project.dynamic")
    for extra in () if dynamic else find_strings(settings, "extras", "tool.incamera.extras"):
        texts += own.find(extra, "tool.incamera.extras")
    where = "tool.incamera.groups"
    texts += _resolve_groups(table, find_strings(settings, "groups", where), where)
    return own.expand(texts)


class OwnExtras:
    """The extras of a project, which its requirements may name: `bell[view]` in the project `bell`."""

    def __init__(self, project: Mapping[str, Any]) -> None:
        where = "project.optional-dependencies"
        table = find_table(project, "optional-dependencies", where)
        self._name = canonicalize_name(str(project.get("name", "")))
        self._extras = {
            canonicalize_name(extra): parse_requirements(table, extra, f"{where}.{extra}") for extra in table
        }

    def find(self, extra: str, where: str) -> tuple[str, ...]:
        """Return the requirements of *extra*, which is named in *where*. Raises ConfigError."""
        found = self._extras.get(canonicalize_name(extra))
        if found is None:
            hint = did_you_mean(extra, self._extras) or "extras are the keys of [project.optional-dependencies]"
            raise ConfigError(f'{where}: the project has no extra "{extra}"', hint=hint)
        return found

    def refuse_itself(self, dependencies: tuple[str, ...]) -> None:
        """Raises ConfigError when the project itself, without extras, is among its *dependencies*."""
        for position, text in enumerate(dependencies):
            requirement = Requirement(text)
            if canonicalize_name(requirement.name) == self._name and not requirement.extras:
                raise ConfigError(
                    f'project.dependencies[{position}]: "{text}" is the project itself',
                    hint=f"give the project another name than the package {requirement.name}, or remove the dependency",
                )

    def expand(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Return the requirements *texts*; in place of the project itself, those of its extras that are named."""
        return tuple(dict.fromkeys(found for text in texts for found in self._expand(Requirement(text), ())))

    def _expand(self, requirement: Requirement, within: tuple[str, ...]) -> Iterator[str]:
        """Yield what *requirement* stands for. *within* are the extras that led to it; none is entered twice."""
        if canonicalize_name(requirement.name) != self._name:
            yield str(requirement)
            return
        for extra in sorted(requirement.extras):
            found = self.find(extra, f'"{requirement}"')
            for text in found if extra not in within else ():
                inner = Requirement(text)
                if requirement.marker:
                    both = f"({requirement.marker}) and ({inner.marker})" if inner.marker else str(requirement.marker)
                    inner.marker = Marker(both)
                yield from self._expand(inner, (*within, extra))


def load_test_requirements(folder: Path, *, groups: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return what the tests of the project in *folder* need, as its dependency *groups* say. Raises ConfigError.

    Call it only to run the tests: a mistake in a group that only they use must not stop the app.
    """
    table = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    if groups is None:
        groups = ("test",) if "test" in find_table(table, "dependency-groups") else ()
    texts = _resolve_groups(table, groups, "tool.incamera.test.groups")
    found = OwnExtras(find_table(table, "project")).expand(texts)
    parse_local(table, folder, found)  # an address that is not supported is refused before anything is built
    return found


def parse_requirements(table: Mapping[str, Any], key: str, where: str, *, limits_only: bool = False) -> tuple[str, ...]:
    """Return the requirements in the list *key* of *table*; *where* is its name in messages.

    With *limits_only*, none may have a URL. Raises ConfigError.
    """
    texts = find_strings(table, key, where)
    for position, text in enumerate(texts):
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise ConfigError(
                f'{where}[{position}]: "{text}" is not a requirement',
                hint='write, for example, "numpy", "numpy>=1.24" or "numpy>=1.24,<2"',
            ) from error
        if limits_only and requirement.url is not None:
            raise ConfigError(
                f'{where}[{position}]: "{text}" has a URL, but can only limit versions',
                hint=f'write "{requirement.name} @ {requirement.url}" in dependencies',
            )
    return texts


def _resolve_groups(table: Mapping[str, Any], names: tuple[str, ...], where: str) -> tuple[str, ...]:
    if not names:
        return ()
    from packaging.dependency_groups import resolve_dependency_groups  # lazy: start-up; few projects name groups

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
    return tuple(texts)
