"""Add requirements to a project's pyproject.toml, and remove them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from incamera.errors import ConfigError, UsageError
from incamera.names import did_you_mean

if TYPE_CHECKING:
    from incamera.project.additions import Addition
    from incamera.project.toml_text import TomlText

_DEPENDENCIES = ("project", "dependencies")
_GROUP = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def list_path(group: str | None) -> tuple[str, ...]:
    """Return where the requirements of the dependency *group* are; of the app itself with None."""
    return _DEPENDENCIES if group is None else ("dependency-groups", group)


def add_requirement(toml: TomlText, addition: Addition, group: str | None, source: str | None) -> str:
    """Add *addition* to the app's dependencies, or to *group*. Returns the requirement as it is written.

    One that is there is changed. *source* is "wheel", "deb", … for [tool.incamera.sources]. Raises ConfigError,
    UsageError.
    """
    _refuse_dynamic(toml, group)
    if group is not None and not _GROUP.fullmatch(group):
        raise UsageError(
            f'"{group}" cannot be the name of a dependency group',
            hint="use letters, digits, `-`, `_` and `.`, with a letter or digit at either end",
        )
    path = list_path(group)
    known = list(_requirements(toml.find(*path)))
    same = [(position, found) for position, found in known if canonicalize_name(found.name) == addition.name]
    wanted = addition.requirement
    exact = [(position, found) for position, found in same if str(found.marker) == str(wanted.marker)]
    if len(same) > 1 and not exact and wanted.marker is None:
        listed = ", ".join(f'"{found}"' for _, found in same)
        raise UsageError(
            f"{addition.name} is there with several markers: {listed}",
            hint='type the marker, too: `incamera add "NAME>=1 ; MARKER"`',
        )
    if exact or (len(same) == 1 and wanted.marker is None):
        position, found = (exact or same)[0]
        merged = _merged(found, wanted, keeps_version=addition.is_bare)
        if str(merged) != str(found):
            toml.replace(path, position, str(merged))
        text = str(merged)
    else:
        text = str(wanted)
        toml.insert(path, text)
    _put_sources(toml, addition, source)
    return text


def set_bound(toml: TomlText, group: str | None, name: str, bound: str) -> str:
    """Give the requirement *name*, which has no version, the lower *bound*. Returns it as it is written."""
    path = list_path(group)
    for position, found in _requirements(toml.find(*path)):
        if canonicalize_name(found.name) == name and not found.specifier:
            text = str(Requirement(f"{found.name}{_extras(found)}>={bound}{_marker(found)}"))
            toml.replace(path, position, text)
            return text
    raise AssertionError(name)


def needs_bound(toml: TomlText, group: str | None, name: str) -> bool:
    """Whether the requirement *name* has no version."""
    return any(
        canonicalize_name(found.name) == name and not found.specifier and found.url is None
        for _, found in _requirements(toml.find(*list_path(group)))
    )


def written(toml: TomlText, group: str | None, name: str) -> list[str]:
    """Return the requirements of the package *name*, as they are written."""
    found = _requirements(toml.find(*list_path(group)))
    return [str(requirement) for _, requirement in found if canonicalize_name(requirement.name) == name]


def remove_requirement(toml: TomlText, name: str, group: str | None) -> list[str]:
    """Remove all requirements of the package *name* from the app's dependencies, or from *group*.

    Returns them. Its entries in [tool.incamera.sources] and [tool.uv.sources] go, too, when nothing else names it.
    Raises ConfigError, UsageError that lists what is there.
    """
    _refuse_dynamic(toml, group)
    wanted = canonicalize_name(name)
    path = list_path(group)
    found = [item for item in _requirements(toml.find(*path)) if canonicalize_name(item[1].name) == wanted]
    if not found:
        raise _not_there(toml, name, group)
    for position, _ in reversed(found):
        toml.discard(path, position)
    if not any(canonicalize_name(item.name) == wanted for item in _all_requirements(toml)):
        for table in (("tool", "incamera", "sources"), ("tool", "uv", "sources")):
            for key in [key for key in toml.find(*table) or () if canonicalize_name(key) == wanted]:
                toml.remove((*table, key))
    return [str(requirement) for _, requirement in found]


def _not_there(toml: TomlText, name: str, group: str | None) -> UsageError:
    names = [requirement.name for _, requirement in _requirements(toml.find(*list_path(group)))]
    place = "the dependencies" if group is None else f"the group {group}"
    wanted = canonicalize_name(name)
    for other in toml.find("dependency-groups") or ():
        if other != group and any(
            canonicalize_name(found.name) == wanted for _, found in _requirements(toml.find("dependency-groups", other))
        ):
            option = "--dev" if other == "dev" else f"--group {other}"
            hint = f"type {option}, too" if group is None else f"type {option} instead"
            return UsageError(f"{name} is not in {place}, but in the group {other}", hint=hint)
    if group is not None and any(
        canonicalize_name(found.name) == wanted for _, found in _requirements(toml.find(*_DEPENDENCIES))
    ):
        return UsageError(f"{name} is not in {place}, but in the dependencies", hint="leave out the group")
    alone = next((found for found in names if _name_in(name) == canonicalize_name(found)), None)
    hint = (
        f"type the name alone: {alone}"
        if alone
        else did_you_mean(wanted, map(canonicalize_name, names)) or f"in {place}: " + (", ".join(names) or "nothing")
    )
    return UsageError(f"{name} is not in {place}", hint=hint)


def _name_in(text: str) -> str | None:
    """Return the normalized name in the requirement *text*, None when it is none."""
    try:
        return canonicalize_name(Requirement(text).name)
    except InvalidRequirement:
        return None


def _refuse_dynamic(toml: TomlText, group: str | None) -> None:
    if group is None and "dependencies" in (toml.find("project", "dynamic") or ()):
        raise ConfigError(
            'project.dynamic names "dependencies": the build back end fills them in',
            hint="change them where it reads them, as in setup.py, and type `incamera lock`",
        )


def _requirements(texts: Any) -> Iterator[tuple[int, Requirement]]:
    """Yield position and value of each requirement in a list; tables, and what is no requirement, are left out."""
    for position, text in enumerate(texts if isinstance(texts, list) else ()):
        try:
            yield position, Requirement(text)
        except (InvalidRequirement, TypeError, AttributeError):
            continue


def _all_requirements(toml: TomlText) -> Iterator[Requirement]:
    lists: list[Any] = [toml.find(*_DEPENDENCIES)]
    for table in (("project", "optional-dependencies"), ("dependency-groups",)):
        lists += (toml.find(*table) or {}).values()
    for texts in lists:
        yield from (requirement for _, requirement in _requirements(texts))


def _merged(found: Requirement, wanted: Requirement, *, keeps_version: bool) -> Requirement:
    """Return *wanted* with the extras and the marker of *found*; with *keeps_version*, with its version, too."""
    merged = Requirement(str(wanted))
    merged.name = found.name
    merged.extras = found.extras | wanted.extras
    merged.marker = wanted.marker or found.marker
    if keeps_version:
        merged.specifier = found.specifier
    return merged


def _extras(requirement: Requirement) -> str:
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""


def _marker(requirement: Requirement) -> str:
    return f" ; {requirement.marker}" if requirement.marker else ""


def _put_sources(toml: TomlText, addition: Addition, source: str | None) -> None:
    own = ("tool", "uv", "sources")
    written = _key_of(toml, own, addition.name)
    if addition.source is not None:
        if toml.find(*own, written) != addition.source:
            toml.put((*own, written), addition.source)
    elif addition.requirement.specifier and toml.find(*own, written) is not None:
        toml.remove((*own, written))  # from now on a release of the index is wanted
    if source is not None:
        table = ("tool", "incamera", "sources")
        toml.put((*table, _key_of(toml, table, addition.name)), source)


def _key_of(toml: TomlText, table: Sequence[str], name: str) -> str:
    """Return how the package *name* is written in *table*."""
    return next((key for key in toml.find(*table) or () if canonicalize_name(key) == name), name)
