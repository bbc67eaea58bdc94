"""The text of a lockfile becomes a lock. Each value is checked, because anybody may have written it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock, PylockValidationError

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
        table = tomllib.loads(text)
        creator = table.get("created-by")
        if isinstance(creator, str) and creator != CREATED_BY:
            raise ForeignLock(
                f"{name} was made by {creator}, but incamera keeps its own lockfile under that name",
                hint="rename or remove that file: incamera does not overwrite it",
            )
        pylock = Pylock.from_dict(table)
        settings = find_table(pylock.tool or {}, "incamera", "tool.incamera")
        files = {
            str(package.name): _read_file(package, f"packages[{number}]")
            for number, package in enumerate(pylock.packages)
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
    # RecursionError: tables or arrays are nested too deeply. ValueError: it is not TOML.
    except (ConfigError, PylockValidationError, RecursionError, ValueError) as error:
        raise damaged_lock(name, error) from error


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


def _read_file(package: Package, where: str) -> LockedFile:
    """Return the file of *package*: locks made by incamera have exactly one."""
    file: PackageWheel | PackageSdist | None
    if package.directory is not None or package.vcs is not None:
        packed, where = find_table(package.tool or {}, "incamera", f"{where}.tool.incamera"), f"{where}.tool.incamera"
        name, sha256 = require_string(packed, "name", f"{where}.name"), _require_sha256(packed, f"{where}.sha256")
        size = require_integer(packed, "size", f"{where}.size")
        if package.directory is not None:
            return replace(_checked_file(name, "", sha256, size, where), path=package.directory.path)
        assert package.vcs is not None
        vcs = package.vcs
        from incamera.project.git_source import GitSource  # lazy: few locks have packages from git

        source = GitSource(url=vcs.url or "", commit=vcs.commit_id, subdirectory=vcs.subdirectory or "")
        return _checked_file(name, str(source), sha256, size, where)
    if package.wheels:
        file, where = package.wheels[0], f"{where}.wheels[0]"
    else:
        file, where = package.sdist, f"{where}.sdist"
    if file is None:
        raise ConfigError(f"{where} is missing")
    if file.url is None and not file.path:
        raise ConfigError(f"{where}.url is missing")
    sha256 = _require_sha256(file.hashes, f"{where}.hashes.sha256")
    return replace(_checked_file(file.filename, file.url or "", sha256, file.size, where), path=file.path or "")


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
