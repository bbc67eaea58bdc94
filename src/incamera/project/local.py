"""Packages of a project that are files of the user's own: wheels and folders, instead of releases of a package index.

A requirement names one (`lamp @ file:///home/me/lamp`), or `[tool.uv.sources]` does (`lamp = { path = "../lamp" }`).
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.markers import InvalidMarker, Marker, UndefinedComparison
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from incamera.errors import ConfigError
from incamera.project.files import files_digest, project_files
from incamera.project.included import included_folder, locked_as
from incamera.project.tables import find_string, find_strings, find_table
from incamera.toml import decode_toml, parse_toml

if TYPE_CHECKING:
    from incamera.project.git_source import GitSource

# Ways to say "the project's folder" in a URL, and the tools that know them.
_ROOTS = ("${PROJECT_ROOT}", "{root:uri}")  # PDM, Hatch
_SUPPORTED = "supported are folders and wheels"
_PATH_KEYS = ("path", "editable", "package", "marker", "extra", "group")
# What a key of [tool.uv.sources] means that is not supported, and what to do about it.
_REMEDIES = {
    "url": "download the file, and name it with path",
    "index": "name that index in PIP_INDEX_URL or PIP_EXTRA_INDEX_URL, and remove the key",
    "workspace": 'name the member\'s folder: path = "../NAME"',
}
# The variables of PEP 508 that have the same value on all targets.
_FIXED = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"} | {
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}
_MAX_DEPTH = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnSources:
    """The *requirements* of a project without URLs, and where those packages come from that no package index has.

    *paths* are files and folders, *git* are commits of repositories; both by normalized name.
    """

    requirements: tuple[str, ...]
    paths: Mapping[str, Path]
    git: Mapping[str, GitSource]


def load_local(folder: Path, requirements: Iterable[str]) -> OwnSources:
    """As `parse_local`, with the pyproject.toml in *folder*, if there is one."""
    has_table = (folder / "pyproject.toml").is_file()
    return parse_local(_load_table(folder) if has_table else {}, folder, requirements)


def parse_local(
    table: Mapping[str, Any], folder: Path, requirements: Iterable[str], *, only_named: bool = True
) -> OwnSources:
    """Return where the packages of *requirements* come from: URLs in them, and [tool.uv.sources], name their sources.

    *table* is the pyproject.toml in *folder*. Without *only_named*, all that it has in [tool.uv.sources] counts.
    Raises ConfigError for a source that is not supported, and for one that does not exist or is another package.
    """
    found = _Found(table)
    texts = found.collect(table, folder, list(requirements), only_named=only_named)
    found.add_included()
    return OwnSources(requirements=texts, paths=dict(sorted(found.paths.items())), git=dict(sorted(found.git.items())))


def local_digest(path: Path) -> str:
    """Return a digest of the wheel or folder at *path*. Raises ConfigError when it cannot be read."""
    if path.is_dir():
        return files_digest(path, project_files(path))
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="make it readable") from error


def relative_path(path: Path, folder: Path) -> str:
    """Return *path* relative to the project's *folder*."""
    return Path(os.path.relpath(path, folder)).as_posix()


def locked_path(path: Path, folder: Path) -> str:
    """Return what the lockfile of the project in *folder* has for *path*: the same on every computer."""
    return locked_as(path) or relative_path(path, folder)


class _Found:
    """The local packages of a project, and those that its folders name in turn."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.paths: dict[str, Path] = {}
        self.git: dict[str, GitSource] = {}
        self._named: set[str] = set()
        settings = find_table(find_table(table, "tool"), "incamera", "tool.incamera")
        self._chosen = {
            key: {canonicalize_name(name) for name in find_strings(settings, f"{key}s", f"tool.incamera.{key}s")}
            for key in ("extra", "group")
        }

    def collect(
        self, table: Mapping[str, Any], folder: Path, texts: Sequence[str], *, only_named: bool, depth: int = 0
    ) -> tuple[str, ...]:
        sources = {str(canonicalize_name(name)): (name, value) for name, value in _uv_sources(table).items()}
        _refuse_for_build(table, sources)
        named = {canonicalize_name(Requirement(text).name) for text in texts}
        self._named |= named
        prefix = f"{folder / 'pyproject.toml'}: " * bool(depth)
        plain = []
        paths = []
        for text in texts:
            requirement = Requirement(text)
            if requirement.url is None:
                plain.append(text)
                continue
            where = f'{prefix}"{text}"'
            if requirement.url.startswith("git+"):
                from incamera.project.git_source import parse_git_reference  # lazy: few projects have packages from git

                self._add_git(requirement.name, parse_git_reference(requirement, where), where, depth)
            else:
                paths.append((requirement.name, parse_file_url(requirement.url, folder, where), where))
            requirement.url = None
            sources.pop(canonicalize_name(requirement.name), None)
            plain.append(str(requirement))
        _refuse_foreign_sources(table, named - sources.keys())
        for name, (written, value) in sources.items():
            where = f"{prefix}tool.uv.sources.{written}"
            if (name not in named and only_named) or (entry := self.choose(value, where)) is None:
                continue
            if "git" in entry:
                from incamera.project.git_source import parse_git_source  # lazy: few projects have packages from git

                self._add_git(written, parse_git_source(entry, where), where, depth)
            else:
                paths.append((written, Path(os.path.normpath(folder / _require_path(entry, where))), where))
        for name, path, where in paths:  # the last: their own sources may name repositories that the project names
            self._add(name, path, where, depth)
        return tuple(dict.fromkeys(plain))

    def add_included(self) -> None:
        """Add what was required, comes with incamera, and has no other source."""
        for name in sorted(self._named):
            if name not in self.paths and name not in self.git and (folder := included_folder(name)) is not None:
                self.paths[name] = folder

    def choose(self, value: object, where: str) -> Mapping[str, Any] | None:
        """Return the table that holds of *value*, an entry of [tool.uv.sources]; None where it is for other targets."""
        entries = value if isinstance(value, list) else [value]
        chosen: Mapping[str, Any] | None = None
        for number, entry in enumerate(entries):
            place = f"{where}[{number}]" if isinstance(value, list) else where
            if not isinstance(entry, Mapping):
                raise ConfigError(f"{place} must be a table", hint='write, for example, { path = "../lamp" }')
            if chosen is None and self._holds(entry, place):
                if "git" not in entry:
                    _require_path(entry, place)
                chosen = entry
        return chosen

    def _holds(self, entry: Mapping[str, Any], where: str) -> bool:
        for key, names in self._chosen.items():
            name = find_string(entry, key, f"{where}.{key}")
            if name is not None and canonicalize_name(name) not in names:
                return False
        text = find_string(entry, "marker", f"{where}.marker")
        if text is None:
            return True
        try:
            marker = Marker(text)
        except InvalidMarker as error:
            raise ConfigError(f'{where}.marker: "{text}": {str(error).splitlines()[0]}') from error
        # A marker that is true or false whatever the other variables are could be obeyed, too, but nobody writes one.
        if not _variables(marker) <= _FIXED.keys():
            raise ConfigError(
                f'{where}.marker: "{text}" may differ between targets, and a source is the same for all',
                hint="use only: " + ", ".join(_FIXED),
            )
        try:
            return marker.evaluate(_FIXED)
        except UndefinedComparison as error:
            raise ConfigError(
                f'{where}.marker: "{text}" has no meaning: {error}', hint="compare names with == or !="
            ) from error

    def _add_git(self, written: str, source: GitSource, where: str, depth: int) -> None:
        name = str(canonicalize_name(written))
        if depth:  # the commit that the project names is taken
            if name not in self.git:
                raise ConfigError(
                    f"{where} is a git repository, and the project does not name it",
                    hint=f'write it into the project, too: dependencies = ["{written} @ {source}"]',
                )
        elif self.git.setdefault(name, source) != source:
            raise ConfigError(
                f"{where}: {name} is {source} here and {self.git[name]} elsewhere", hint="name one of them only"
            )

    def _add(self, written: str, path: Path, where: str, depth: int) -> None:
        name = canonicalize_name(written)
        if (other := self.paths.get(name)) is not None:
            if other == path:
                return
            raise ConfigError(f"{where}: {name} is {path} here and {other} elsewhere", hint="name one of them only")
        _require_local(name, path, where)
        self.paths[name] = path
        if path.is_dir() and (path / "pyproject.toml").is_file() and depth < _MAX_DEPTH:
            table = _load_table(path)
            self.collect(table, path, own_requirements(table), only_named=True, depth=depth + 1)


def own_requirements(table: Mapping[str, Any]) -> list[str]:
    """Return the requirements of the pyproject.toml *table*, with those of all extras; none that is malformed."""
    project = find_table(table, "project")
    lists = [project.get("dependencies", []), *find_table(project, "optional-dependencies").values()]
    found = []
    for text in [text for texts in lists if isinstance(texts, list) for text in texts if isinstance(text, str)]:
        try:
            found.append(str(Requirement(text)))
        except InvalidRequirement:  # its build says so
            continue
    return found


def parse_file_url(url: str, folder: Path, where: str) -> Path:
    """Return the path in *url*, a direct reference of the project in *folder*. Raises ConfigError."""
    for root in _ROOTS:
        url = url.replace(f"file:///{root}", folder.as_uri()).replace(root, folder.as_uri())
    try:
        split = urlsplit(url)
    except ValueError as error:  # a host such as `[::`
        raise ConfigError(f"{where} is a faulty URL: {error}", hint='write "NAME @ file:///PATH"') from error
    if split.scheme != "file":
        raise ConfigError(
            f"{where} is a URL ({split.scheme or url}); packages come from a package index, from Debian, from a git "
            "repository, or from a wheel or folder of yours",
            hint="write git+ before the URL of a repository: git+https://HOST/PATH@COMMIT"
            if split.scheme.startswith("git") or split.path.endswith(".git")
            else 'write the name alone; if it must be that file, download it and write "NAME @ file:///PATH"',
        )
    if split.netloc not in ("", "localhost") or not split.path.startswith("/"):
        raise ConfigError(
            f"{where} does not have an absolute path of this computer",
            hint='write file:///ABSOLUTE/PATH, or [tool.uv.sources] NAME = { path = "../RELATIVE" }',
        )
    if split.query or split.fragment:
        raise ConfigError(f'{where}: "{url}" has more than a path', hint="remove what follows # or ?")
    return Path(os.path.normpath(unquote(split.path)))


def _load_table(folder: Path) -> Mapping[str, Any]:
    path = folder / "pyproject.toml"
    try:
        return parse_toml(decode_toml(path.read_bytes()))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}", hint="https://toml.io shows how it is written") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="make it readable") from error


def _uv_sources(table: Mapping[str, Any]) -> Mapping[str, Any]:
    uv = find_table(find_table(table, "tool"), "uv", "tool.uv")
    return find_table(uv, "sources", "tool.uv.sources")


def _variables(marker: Marker) -> set[str]:
    """Return the names of the variables in *marker*."""
    words = str(marker).replace("(", " ").replace(")", " ").split()
    return {word for word in words if word.replace("_", "").isalpha() and word not in ("and", "or", "in", "not")}


def _require_path(entry: Mapping[str, Any], where: str) -> str:
    for key, remedy in _REMEDIES.items():
        if key in entry:
            raise ConfigError(f"{where}.{key} is not supported", hint=remedy)
    path = find_string(entry, "path", f"{where}.path")
    if path is None or not path:
        raise ConfigError(f"{where}.path is missing", hint='write, for example, { path = "../lamp" }')
    for key in entry:
        if key not in _PATH_KEYS:
            raise ConfigError(f"{where}.{key} is not supported", hint="use path alone")
    if entry.get("package") is False:
        raise ConfigError(
            f"{where}.package = false is not supported: the folder would not be installed",
            hint="remove the key, or add what the folder depends on to the project's dependencies",
        )
    return path


def _require_local(name: str, path: Path, where: str) -> None:
    """Raises ConfigError unless *path* is a wheel of *name*, or a folder that may be its source."""
    if path.is_dir():
        if not any((path / file).is_file() for file in ("pyproject.toml", "setup.py")):
            raise ConfigError(
                f"{where}: {path} has neither pyproject.toml nor setup.py, so it cannot be built",
                hint="name the folder of a package",
            )
        has_table = (path / "pyproject.toml").is_file()
        own = find_table(_load_table(path), "project").get("name") if has_table else None
    elif not path.is_file():
        raise ConfigError(f"{where}: there is no {path}", hint=f"correct the path: {_SUPPORTED}")
    elif path.suffix != ".whl":
        raise ConfigError(f"{where}: {path} is neither a folder nor a wheel", hint=f"{_SUPPORTED}: unpack an archive")
    else:
        try:
            own = parse_wheel_filename(path.name)[0]
        except InvalidWheelFilename as error:
            raise ConfigError(f"{where}: {error}", hint="keep the name that the wheel was built with") from error
    if isinstance(own, str) and canonicalize_name(own) != name:
        raise ConfigError(f"{where}: {path} is the package {own}, not {name}", hint="name each package as it is called")


def _refuse_for_build(table: Mapping[str, Any], sources: Mapping[str, object]) -> None:
    """Raises ConfigError when the build of the project requires a package of *sources*."""
    for text in find_strings(find_table(table, "build-system"), "requires", "build-system.requires"):
        try:
            name = canonicalize_name(Requirement(text).name)
        except InvalidRequirement:  # its build says so
            continue
        if name in sources:
            raise ConfigError(
                f"tool.uv.sources.{name}: what a build requires comes from a package index",
                hint="remove it from build-system.requires, or from [tool.uv.sources]",
            )


def _refuse_foreign_sources(table: Mapping[str, Any], named: set[Any]) -> None:
    """Raises ConfigError when Poetry or Pixi would take one of the packages *named* from elsewhere."""
    tools = find_table(table, "tool")
    poetry = find_table(tools, "poetry", "tool.poetry")
    groups = find_table(poetry, "group", "tool.poetry.group")
    tables = {
        "tool.poetry.dependencies": poetry.get("dependencies"),
        "tool.pixi.pypi-dependencies": find_table(tools, "pixi", "tool.pixi").get("pypi-dependencies"),
    }
    for group, value in groups.items():
        tables[f"tool.poetry.group.{group}.dependencies"] = isinstance(value, Mapping) and value.get("dependencies")
    for where, entries in tables.items():
        for name, value in entries.items() if isinstance(entries, Mapping) else ():
            keys = [key for key in ("path", "git", "url", "file", "source", "index") if _has_key(value, key)]
            if keys and canonicalize_name(name) in named:
                raise ConfigError(
                    f"{where}.{name}.{keys[0]} is not supported",
                    hint=f'write [tool.uv.sources] {name} = {{ path = "…" }}, or "{name} @ file:///…" in dependencies',
                )


def _has_key(value: object, key: str) -> bool:
    return any(isinstance(entry, Mapping) and key in entry for entry in (value if isinstance(value, list) else [value]))
