"""A project's settings parsed from the tables of its pyproject.toml, and checked once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from incamera.errors import ConfigError
from incamera.image_name import EXAMPLE, parse_image_name
from incamera.names import did_you_mean
from incamera.project.app_files import check_patterns
from incamera.project.build_limits import parse_build_limits
from incamera.project.dependencies import parse_dependencies, parse_requirements
from incamera.project.entry import Entry, parse_entry
from incamera.project.local import parse_local
from incamera.project.preload import parse_modules
from incamera.project.settings import (
    ARCHITECTURE,
    BUILTIN_SDK,
    DEFAULT_ENTRY,
    DEFAULT_TARGETS,
    ISOLATION,
    SOURCES,
    Project,
    parse_app_name,
)
from incamera.project.standard import (
    check_standard_tables,
    is_package,
    parse_dynamic,
    parse_requires_python,
    parse_version,
)
from incamera.project.tables import find_string, find_strings, find_table, refuse_unknown
from incamera.targets.form import PLACES, Kind
from incamera.targets.target import DEFAULT_PYTHON, Target
from incamera.units import parse_memory_limit

if TYPE_CHECKING:
    from incamera.project.data_folder import DataPlace

COMPILERS = ("gcc", "zig")

_DEB = re.compile(r"[a-z0-9][a-z0-9+.-]+")

_KEYS = (
    *("targets", "entry", "device", "python", "debs", "compiler", "runtime", "preload", "memory-limit"),
    *("extras", "groups", "constraints", "sources", "recipes", "to", "test", "build-isolation"),
    *("build-limits", "data", "exclude", "sdk", "package"),
)
_RUNTIME_KEYS = ("keep",)
_TEST_KEYS = ("groups",)
# Their values are read by `package_settings`, for the one command that needs them.
PACKAGE_KEYS = (
    *("app-name", "friendly-name", "vendor", "vendor-id", "vendor-url", "app-id", "run-mode", "run-options", "schema"),
    *("compatible-os-versions", "groups", "dbus-methods", "resources", "settings-page", "parameters", "reverse-proxy"),
    *("http-config", "post-install-script", "pre-uninstall-script", "manifest", "html", "files"),
    "sign-command",
)


def parse_project(table: Mapping[str, Any], folder: Path) -> Project:
    """Return the project that *table*, the pyproject.toml in *folder*, describes. Raises ConfigError with the key."""
    project = find_table(table, "project")
    settings = find_table(find_table(table, "tool"), "incamera", "tool.incamera")
    refuse_unknown(settings, _KEYS, "tool.incamera")
    test = find_table(settings, "test", "tool.incamera.test")
    refuse_unknown(test, _TEST_KEYS, "tool.incamera.test")
    runtime = find_table(settings, "runtime", "tool.incamera.runtime")
    refuse_unknown(runtime, _RUNTIME_KEYS, "tool.incamera.runtime")
    refuse_unknown(find_table(settings, "package", "tool.incamera.package"), PACKAGE_KEYS, "tool.incamera.package")

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
        memory_limit=_parse_memory_limit(
            find_string(settings, "memory-limit", "tool.incamera.memory-limit"), "tool.incamera.memory-limit"
        ),
        build_isolation=_parse_isolation(find_string(settings, "build-isolation", "tool.incamera.build-isolation")),
        data=_parse_data(find_string(settings, "data", "tool.incamera.data")),
        exclude=check_patterns(find_strings(settings, "exclude", "tool.incamera.exclude"), "tool.incamera.exclude"),
        sdk=_parse_sdk(find_string(settings, "sdk", "tool.incamera.sdk")),
        build_limits=parse_build_limits(find_table(settings, "build-limits", "tool.incamera.build-limits")),
    )


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


def _parse_sdk(text: str | None) -> str:
    if text is None or text == BUILTIN_SDK:
        return BUILTIN_SDK
    if "/" not in text:  # any word could be an image of Docker's
        raise ConfigError(
            f'tool.incamera.sdk: unknown value "{text}"',
            hint=f'write "{BUILTIN_SDK}", the default, or the name of an image: {EXAMPLE}',
        )
    try:
        parse_image_name(text.replace(ARCHITECTURE, DEFAULT_TARGETS[0]))
    except ConfigError as error:
        raise ConfigError(f"tool.incamera.sdk: {error}", hint=error.hint) from error
    return text


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


def _parse_memory_limit(text: str | None, where: str) -> int | None:
    try:
        return None if text is None else parse_memory_limit(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
