"""A project of Poetry without [project]: what its tables say, as [project] has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from incamera.project.adoption.constraints import convert_constraint, python_marker
from incamera.project.tables import find_string, find_strings, find_table

_AUTHOR = re.compile(r"\s*([^<]*?)\s*(?:<([^>]+)>)?\s*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_URLS = ("homepage", "repository", "documentation")
_KEYS = frozenset(
    {"version", "extras", "optional", "python", "platform", "markers", "path", "develop", "git", "rev", "subdirectory"}
)
_REMEDIES = {
    "url": "download the file, and name it with path",
    "file": "name it with path",
    "source": "name the index in PIP_INDEX_URL or PIP_EXTRA_INDEX_URL, and remove the key",
    "branch": "name the full commit with rev",
    "tag": "name the full commit with rev",
    "allow-prereleases": "name the version that you want",
}


@dataclass(slots=True)
class Converted:
    """The tables that say what a project of Poetry says.

    *project*, *optional* (extras), *scripts*, *urls* and *plugins* make up [project]; *groups* is [dependency-groups],
    *sources* is [tool.uv.sources]. *refused* has a line for each thing that they cannot say.
    """

    project: dict[str, Any] = field(default_factory=dict)
    optional: dict[str, list[str]] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    plugins: dict[str, dict[str, str]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    sources: dict[str, Any] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def convert_poetry(table: Mapping[str, Any], default_name: str) -> Converted:
    """Return the tables for *table*, a pyproject.toml with [tool.poetry]. *default_name* is for one without a name."""
    tools = table["tool"]
    poetry = tools["poetry"]
    found = Converted()
    found.project["name"] = str(poetry.get("name", default_name))
    if "poetry-dynamic-versioning" in tools and "build-system" in table:
        found.project["dynamic"] = ["version"]
    else:
        found.project["version"] = str(poetry.get("version", "0"))
    _convert_metadata(found, poetry)
    _convert_dependencies(found, poetry)
    _convert_scripts(found, poetry)
    return found


def _convert_metadata(found: Converted, poetry: Mapping[str, Any]) -> None:
    if description := find_string(poetry, "description", "tool.poetry.description"):
        found.project["description"] = description
    for key in ("keywords", "classifiers"):
        if texts := find_strings(poetry, key, f"tool.poetry.{key}"):
            found.project[key] = list(texts)
    for key in ("authors", "maintainers"):
        if people := [_person(text) for text in find_strings(poetry, key, f"tool.poetry.{key}")]:
            found.project[key] = people
    if licence := find_string(poetry, "license", "tool.poetry.license"):
        found.project["license"] = {"text": licence}
    readme = poetry.get("readme")
    if isinstance(readme, str):
        found.project["readme"] = readme
    elif readme:
        found.refused.append("tool.poetry.readme is a list: [project] can name one file only; name one")
    for key in _URLS:
        if url := find_string(poetry, key, f"tool.poetry.{key}"):
            found.urls[key.capitalize()] = url
    urls = find_table(poetry, "urls", "tool.poetry.urls")
    found.urls |= {key: find_string(urls, key, f"tool.poetry.urls.{key}") or "" for key in urls}


def _person(text: str) -> dict[str, str]:
    match = _AUTHOR.fullmatch(text)
    name, email = (match[1], match[2]) if match else (text, None)
    return {key: value for key, value in (("name", name), ("email", email)) if value}


def _convert_dependencies(found: Converted, poetry: Mapping[str, Any]) -> None:
    where = "tool.poetry.dependencies"
    dependencies = dict(find_table(poetry, "dependencies", where))
    python = dependencies.pop("python", None)
    if isinstance(python, str):
        try:
            if specifier := convert_constraint(python):
                found.project["requires-python"] = specifier
        except ValueError as error:
            found.refused.append(f"{where}.python: {error}")
    elif python is not None:
        found.refused.append(f"{where}.python is not a string")
    required: list[str] = []
    optional: dict[str, list[str]] = {}
    for name, value in dependencies.items():
        for text, is_optional in _requirements(found, name, value, where):
            (optional.setdefault(canonicalize_name(name), []) if is_optional else required).append(text)
    found.project["dependencies"] = required
    extras = find_table(poetry, "extras", "tool.poetry.extras")
    for extra in extras:
        texts = found.optional.setdefault(extra, [])
        for name in find_strings(extras, extra, f"tool.poetry.extras.{extra}"):
            wanted = canonicalize_name(name)
            if (known := optional.get(wanted)) is not None:
                texts += known
            elif not any(canonicalize_name(Requirement(text).name) == wanted for text in required):
                found.refused.append(f'tool.poetry.extras.{extra} names "{name}", which is not in {where}')
    tables = {"dev": "tool.poetry.dev-dependencies"}
    older = find_table(poetry, "dev-dependencies", tables["dev"])
    groups = {"dev": dict(older)} if older else {}
    named = find_table(poetry, "group", "tool.poetry.group")
    for group in named:
        tables[group] = f"tool.poetry.group.{group}.dependencies"
        inner = find_table(find_table(named, group, f"tool.poetry.group.{group}"), "dependencies", tables[group])
        groups[group] = {**groups.get(group, {}), **inner}
    for group, entries in groups.items():
        found.groups[group] = [
            text for name, value in entries.items() for text, _ in _requirements(found, name, value, tables[group])
        ]


def _requirements(found: Converted, name: str, value: object, where: str) -> Iterator[tuple[str, bool]]:
    """Yield each requirement that the entry *name* of a table of dependencies has, and whether it is optional."""
    entries = value if isinstance(value, list) else [value]
    for number, entry in enumerate(entries):
        place = f"{where}.{name}[{number}]" if isinstance(value, list) else f"{where}.{name}"
        settings = {"version": entry} if isinstance(entry, str) else entry
        if not isinstance(settings, Mapping):
            found.refused.append(f"{place} is neither a version nor a table")
            continue
        try:
            text = _requirement(name, settings)
            source = _source(settings)
        except (ValueError, InvalidRequirement, InvalidMarker) as error:
            found.refused.append(f"{place}: {str(error).splitlines()[0]}")
            continue
        if source is not None:
            found.sources[name] = source
        yield text, settings.get("optional") is True


def _requirement(name: str, settings: Mapping[str, Any]) -> str:
    for key, remedy in _REMEDIES.items():
        if settings.get(key):
            raise ValueError(f"{key} cannot be taken over: {remedy}")
    for key in settings:
        if key not in _KEYS and key not in _REMEDIES:
            raise ValueError(f"{key} cannot be taken over: remove the key")
    names = find_strings(settings, "extras", f"{name}.extras")
    extras = f"[{','.join(names)}]" if names else ""
    text = f"{name}{extras}{convert_constraint(str(settings.get('version', '*')))}"
    markers = [python_marker(str(settings["python"]))] if settings.get("python", "*") != "*" else []
    if settings.get("platform"):
        markers.append(f'sys_platform == "{settings["platform"]}"')
    if settings.get("markers"):
        given = str(Marker(str(settings["markers"])))
        markers.append(f"({given})" if " or " in given and markers else given)
    text += f" ; {' and '.join(markers)}" if markers else ""
    Requirement(text)
    return text


def _source(settings: Mapping[str, Any]) -> dict[str, str] | None:
    if "path" in settings:
        return {"path": str(settings["path"])}
    if "git" not in settings:
        return None
    if not _COMMIT.fullmatch(str(settings.get("rev", ""))):
        raise ValueError("git without a full commit cannot be taken over: name the full commit with rev")
    return {key: str(settings[key]) for key in ("git", "rev", "subdirectory") if key in settings}


def _convert_scripts(found: Converted, poetry: Mapping[str, Any]) -> None:
    for name, value in find_table(poetry, "scripts", "tool.poetry.scripts").items():
        reference = value if isinstance(value, str) else None
        if isinstance(value, Mapping) and value.get("type", "console") == "console" and not value.get("extras"):
            reference = value.get("reference") or value.get("callable")
        if isinstance(reference, str):
            found.scripts[name] = reference
        else:
            found.refused.append(f"tool.poetry.scripts.{name} is not a function: [project.scripts] can name only such")
    plugins = find_table(poetry, "plugins", "tool.poetry.plugins")
    for group in plugins:
        entries = find_table(plugins, group, f"tool.poetry.plugins.{group}")
        found.plugins[group] = {
            name: find_string(entries, name, f"tool.poetry.plugins.{group}.{name}") or "" for name in entries
        }
