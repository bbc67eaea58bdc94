"""The tables of pyproject.toml that are not ours: obeyed, or refused where obeying them is not possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from incamera.errors import ConfigError
from incamera.names import did_you_mean
from incamera.project.tables import find_string, find_strings, find_table, refuse_unknown

# https://packaging.python.org/en/latest/specifications/pyproject-toml/
_PROJECT_KEYS = (
    *("name", "version", "description", "readme", "requires-python", "license", "license-files", "authors"),
    *("maintainers", "keywords", "classifiers", "urls", "scripts", "gui-scripts", "entry-points", "dependencies"),
    *("optional-dependencies", "dynamic", "import-names", "import-namespaces"),
)
_TABLES = ("project", "build-system", "dependency-groups", "tool")
_BUILD_SYSTEM_KEYS = ("requires", "build-backend", "backend-path")

# Tables in which other tools keep dependencies that [project] does not have: key, and what the tool calls it.
_FOREIGN_DEPENDENCIES = {
    ("poetry", "dependencies"): "Poetry",
    ("flit", "metadata", "requires"): "Flit",
    ("pixi", "pypi-dependencies"): "Pixi",
}
_INDEX = "name the index in PIP_INDEX_URL or PIP_EXTRA_INDEX_URL, and remove the key"
_LIMIT = "limit versions with constraints in [tool.incamera], and remove the key"
# Settings of other tools that change which packages are chosen, and what to do instead.
_FOREIGN_SETTINGS = {
    ("uv", "index"): f"{_INDEX}, or move it to uv.toml, which only uv reads",
    ("uv", "index-url"): _INDEX,
    ("uv", "extra-index-url"): _INDEX,
    ("uv", "find-links"): "name each wheel in [tool.uv.sources] with path, and remove the key",
    ("uv", "no-index"): "name an index of your own in PIP_INDEX_URL, and remove the key",
    ("uv", "override-dependencies"): _LIMIT,
    ("uv", "exclude-dependencies"): "remove the key: a recipe with [deb] without can leave out Debian packages",
    ("uv", "build-constraint-dependencies"): "list build-requires in a recipe for that package, and remove the key",
    ("uv", "dependency-metadata"): "correct the package's own metadata, and remove the key",
    ("pdm", "source"): _INDEX,
    ("pdm", "resolution", "overrides"): _LIMIT,
    ("poetry", "source"): _INDEX,
}


def check_standard_tables(table: Mapping[str, Any]) -> None:
    """Raises ConfigError for what is misspelt, or would be ignored although the app needs it."""
    _refuse_misspelt_tables(table)
    project = find_table(table, "project")
    refuse_unknown(project, _PROJECT_KEYS, "project")
    refuse_unknown(find_table(table, "build-system"), _BUILD_SYSTEM_KEYS, "build-system")
    _refuse_foreign_settings(table)
    dynamic = parse_dynamic(project)
    if "dependencies" not in project and "dependencies" not in dynamic:
        _refuse_foreign_dependencies(table)


def _refuse_foreign_settings(table: Mapping[str, Any]) -> None:
    """Raises ConfigError for what another tool would obey when it chooses packages."""
    tools = find_table(table, "tool")
    for path, remedy in _FOREIGN_SETTINGS.items():
        found: Any = tools
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(found, list):  # an explicit index serves only the packages that name it
            found = [item for item in found if not (isinstance(item, Mapping) and _is_explicit(item))]
        if found:
            raise ConfigError(f"tool.{'.'.join(path)} is not supported, and would be ignored", hint=remedy)


def _is_explicit(index: Mapping[str, Any]) -> bool:
    return index.get("explicit") is True or index.get("priority") == "explicit"


def parse_dynamic(project: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of [project] that its build back end fills in. Raises ConfigError."""
    where = "project.dynamic"
    keys = find_strings(project, "dynamic", where)
    refuse_unknown(dict.fromkeys(keys), _PROJECT_KEYS, where)
    for key in keys:
        if key in project:
            raise ConfigError(f'{where}: "{key}" is in [project] as well', hint="remove one of them")
        if key == "name":
            raise ConfigError(f"{where}: a name cannot be dynamic", hint='write name = "…" in [project]')
    return keys


def is_package(table: Mapping[str, Any]) -> bool:
    """Whether the project is built into a wheel: uv and Poetry can say that it is not, in spite of a [build-system]."""
    tools = find_table(table, "tool")
    uv, poetry = find_table(tools, "uv", "tool.uv"), find_table(tools, "poetry", "tool.poetry")
    return uv.get("package") is not False and poetry.get("package-mode") is not False


def parse_version(project: Mapping[str, Any]) -> str:
    """Return the project's version; 0 where it has none. Raises ConfigError."""
    text = find_string(project, "version", "project.version") or "0"
    try:
        Version(text)
    except InvalidVersion as error:
        raise ConfigError(f'project.version: "{text}" is not a version', hint='write, for example, "1.0"') from error
    return text


def parse_requires_python(project: Mapping[str, Any]) -> SpecifierSet:
    """Return the Pythons that the project is for; those of an empty set are all. Raises ConfigError."""
    text = find_string(project, "requires-python", "project.requires-python") or ""
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ConfigError(f'project.requires-python: "{text}": {error}', hint='write, for example, ">=3.11"') from error


def _refuse_misspelt_tables(table: Mapping[str, Any]) -> None:
    """Raises ConfigError for a table with nearly the name of one that is read. Others may be another tool's."""
    for key in table:
        if key not in _TABLES and (hint := did_you_mean(key, _TABLES)):
            raise ConfigError(f'pyproject.toml: unknown table "{key}"', hint=hint)
    if "incamera" in table:
        raise ConfigError('pyproject.toml: unknown table "incamera"', hint="write [tool.incamera]")
    tools = find_table(table, "tool")
    if "incamera" not in tools:
        for key in tools:
            if did_you_mean(key, ("incamera",)):
                raise ConfigError(f'tool: unknown table "{key}"', hint='did you mean "incamera"?')


def _refuse_foreign_dependencies(table: Mapping[str, Any]) -> None:
    tools = find_table(table, "tool")
    for path, tool in _FOREIGN_DEPENDENCIES.items():
        found: Any = tools
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        names = [str(name) for name in found or () if name != "python"]
        if names:
            shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            raise ConfigError(
                f"tool.{'.'.join(path)} has dependencies ({shown}), but [project] has none",
                hint=f"`incamera init` copies those of Poetry to [project]; {tool} reads it, too",
            )
