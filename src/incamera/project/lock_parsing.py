"""The text of a lockfile becomes a lock. Each value is checked, because anybody may have written it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from packaging.utils import is_normalized_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from incamera.digest import Sha256
from incamera.errors import ConfigError
from incamera.project.locked import Lock, LockedBuild, LockedDeb, LockedDistribution, LockedFile
from incamera.project.tables import (
    find_string,
    find_strings,
    find_table,
    find_tables,
    require_integer,
    require_string,
)
from incamera.targets.target import Target
from incamera.toml import parse_toml

_ARCHIVES = ("main", "security")
_SOURCES = ("wheel", "deb", "sdist", "emulated")
_FILENAME = re.compile(r"[\w.+!-]+", re.ASCII)
CREATED_BY = "incamera"


class ForeignLock(ConfigError):
    """The file with the name of our lockfile was made by another tool."""


def parse_lock(text: str, name: str) -> Lock:
    """Return the lock in *text*, the contents of the file *name*.

    Raises ConfigError that names the wrong key, ForeignLock.
    """
    try:
        table = parse_toml(text)
        creator = table.get("created-by")
        if isinstance(creator, str) and creator != CREATED_BY:
            raise ForeignLock(
                f"{name} was made by {creator}, but incamera keeps its own lockfile under that name",
                hint="rename or remove that file: incamera does not overwrite it",
            )
        _check_standard_keys(table)
        settings = find_table(find_table(table, "tool"), "incamera", "tool.incamera")
        files = {
            _require_name(package, where): _read_file(package, where)
            for where, package in find_tables(table, "packages", "packages")
        }
        return Lock(
            target=Target.parse(require_string(settings, "target", "tool.incamera.target")),
            inputs=require_string(settings, "inputs", "tool.incamera.inputs"),
            distributions=tuple(
                _read_distribution(item, where, files)
                for where, item in find_tables(settings, "distributions", "tool.incamera.distributions")
            ),
            debs=tuple(_read_deb(item, where) for where, item in find_tables(settings, "debs", "tool.incamera.debs")),
            builds=tuple(
                _read_build(item, where) for where, item in find_tables(settings, "builds", "tool.incamera.builds")
            ),
        )
    except ForeignLock:
        raise
    # ValueError: it is not TOML.
    except (ConfigError, ValueError) as error:
        raise damaged_lock(name, error) from error


# By hand, and not with packaging.pylock: an idle build reads the lock, and that module takes longer to import than the
# lock takes to read.
def _check_standard_keys(table: Mapping[str, Any]) -> None:
    version = require_string(table, "lock-version", "lock-version")
    if not version.startswith("1."):
        raise ConfigError(f'lock-version "{version}" is not supported')
    require_string(table, "created-by", "created-by")
    if "packages" not in table:
        raise ConfigError("packages is missing")


def _require_name(package: Mapping[str, Any], where: str) -> str:
    name = require_string(package, "name", f"{where}.name")
    if not is_normalized_name(name):
        raise ConfigError(f'{where}.name: "{name}" is not normalized')
    return name


def _read_build(item: Mapping[str, Any], where: str) -> LockedBuild:
    return LockedBuild(
        name=require_string(item, "name", f"{where}.name"),
        sdist=_require_sha256(item, f"{where}.sha256") if "sha256" in item else "",
        requires=find_strings(item, "requires", f"{where}.requires"),
        files=tuple(
            _checked_file(
                require_string(file, "name", f"{place}.name"),
                require_string(file, "url", f"{place}.url"),
                _require_sha256(file, f"{place}.sha256"),
                require_integer(file, "size", f"{place}.size") if "size" in file else None,
                place,
            )
            for place, file in find_tables(item, "files", f"{where}.files")
        ),
    )


def _read_file(package: Mapping[str, Any], where: str) -> LockedFile:
    """Return the file of *package*: locks made by incamera have exactly one."""
    kinds = [key for key in ("wheels", "sdist", "directory", "vcs") if package.get(key)]
    if len(kinds) != 1:
        raise ConfigError(f"{where} must have one of: wheels, sdist, directory, vcs")
    if kinds[0] in ("directory", "vcs"):
        return _read_packed(package, where)
    wheels = find_tables(package, "wheels", f"{where}.wheels")
    where, file = wheels[0] if wheels else (f"{where}.sdist", find_table(package, "sdist", f"{where}.sdist"))
    filename = require_string(file, "name", f"{where}.name")
    url, path = (find_string(file, key, f"{where}.{key}") or "" for key in ("url", "path"))
    if not url and not path:
        raise ConfigError(f"{where}.url is missing")
    sha256 = _require_sha256(find_table(file, "hashes", f"{where}.hashes"), f"{where}.hashes.sha256")
    size = require_integer(file, "size", f"{where}.size") if "size" in file else None
    read = replace(_checked_file(filename, url, sha256, size, where), path=path)
    _require_fitting_name(package, read, where)
    return read


def _read_packed(package: Mapping[str, Any], where: str) -> LockedFile:
    """Return the sdist that was packed from the folder or the commit of *package*."""
    place = f"{where}.tool.incamera"
    packed = find_table(find_table(package, "tool", f"{where}.tool"), "incamera", place)
    name, sha256 = require_string(packed, "name", f"{place}.name"), _require_sha256(packed, f"{place}.sha256")
    size = require_integer(packed, "size", f"{place}.size")
    if "directory" in package:
        folder = find_table(package, "directory", f"{where}.directory")
        path = require_string(folder, "path", f"{where}.directory.path")
        return replace(_checked_file(name, "", sha256, size, place), path=path)
    from incamera.project.git_source import GitSource  # lazy: few locks have packages from git

    vcs = find_table(package, "vcs", f"{where}.vcs")
    source = GitSource(
        url=require_string(vcs, "url", f"{where}.vcs.url"),
        commit=require_string(vcs, "commit-id", f"{where}.vcs.commit-id"),
        subdirectory=find_string(vcs, "subdirectory", f"{where}.vcs.subdirectory") or "",
    )
    return _checked_file(name, str(source), sha256, size, place)


def _require_fitting_name(package: Mapping[str, Any], file: LockedFile, where: str) -> None:
    """Raises ConfigError when the name of *file* is that of another project or version than *package*."""
    text = find_string(package, "version", "version")
    parsed = parse_wheel_filename(file.filename)[:2] if file.is_wheel else parse_sdist_filename(file.filename)
    try:
        fits = parsed[0] == package["name"] and (text is None or parsed[1] == Version(text))
    except InvalidVersion as error:
        raise ConfigError(f"{where}: {error}") from error
    if not fits:
        raise ConfigError(f'{where}.name: "{file.filename}" is not a file of {package["name"]} {text or ""}'.rstrip())


def _checked_file(filename: str, url: str, sha256: Sha256, size: int | None, where: str) -> LockedFile:
    if not _FILENAME.fullmatch(filename):
        raise ConfigError(f"{where}.name is not a file name")
    if size is not None and size < 0:
        raise ConfigError(f"{where}.size is negative")
    return LockedFile(filename=filename, url=url, sha256=sha256, size=size)


def _read_distribution(item: Mapping[str, Any], where: str, files: Mapping[str, LockedFile]) -> LockedDistribution:
    name = require_string(item, "name", f"{where}.name")
    source = require_string(item, "source", f"{where}.source")
    if source not in _SOURCES:
        raise ConfigError(f"{where}.source must be one of: {', '.join(_SOURCES)}")
    if source != "deb" and name not in files:
        raise ConfigError(f"{where}.name: there is no {name} in packages")
    return LockedDistribution(
        name=name,
        version=require_string(item, "version", f"{where}.version"),
        source=source,
        why=require_string(item, "why", f"{where}.why"),
        file=None if source == "deb" else files[name],
        requires=find_strings(item, "requires", f"{where}.requires"),
        passed_over=find_strings(item, "passed_over", f"{where}.passed_over"),
        recipe=find_string(item, "recipe", f"{where}.recipe") or "",
    )


def _read_deb(item: Mapping[str, Any], where: str) -> LockedDeb:
    texts = {
        key: require_string(item, key, f"{where}.{key}")
        for key in ("package", "version", "architecture", "archive", "filename")
    }
    if texts["archive"] not in _ARCHIVES:
        raise ConfigError(f"{where}.archive must be {' or '.join(_ARCHIVES)}")
    # The path becomes part of a URL below the mirror's.
    if ".." in texts["filename"].split("/"):
        raise ConfigError(f"{where}.filename leads out of the archive")
    size = require_integer(item, "size", f"{where}.size")
    if size < 0:
        raise ConfigError(f"{where}.size is negative")
    return LockedDeb(
        **texts,
        size=size,
        sha256=_require_sha256(item, f"{where}.sha256"),
    )


def _require_sha256(table: Mapping[str, Any], where: str) -> Sha256:
    sha256 = require_string(table, "sha256", where)
    try:
        return Sha256(sha256)
    except ValueError:
        raise ConfigError(f"{where} is not a sha256 in hexadecimal") from None


def damaged_lock(name: str, reason: object) -> ConfigError:
    return ConfigError(f"{name} is damaged: {reason}", hint="remove it, and make a new one with `incamera lock`")
