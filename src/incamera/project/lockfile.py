"""`pylock.<target>.toml` (PEP 751): what was chosen for a target, by hash.

What comes from a package index is listed in `packages`, where any tool can read it. Debian packages are no
distributions in the sense of PyPA: they are listed under `[tool.incamera]`, as is the source of every distribution, and
the reason for it.
No Debian mirror is named: a file's path in the archive and its sha256 say what it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock, PylockValidationError
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from incamera.errors import ConfigError, StoreError
from incamera.project.tables import (
    find_string,
    find_strings,
    find_table,
    find_tables,
    require_integer,
    require_string,
)
from incamera.targets.target import Target
from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.project.settings import Project

# Raise it when the same settings must be locked anew.
_FORMAT = 2
# A lock of 400 packages has 200 kB.
_LARGEST_BYTES = 10_000_000
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedDeb:
    """One Debian package, by its place in the archive ("main" or "security") and its hash."""

    package: str
    version: str
    architecture: str
    archive: str
    filename: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedFile:
    """A wheel or sdist of a package index. *url* is where it was seen: the same bytes may lie elsewhere, too."""

    filename: str
    url: str
    sha256: str
    size: int | None = None

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedDistribution:
    """One Python distribution: the source it comes from, why that one, and why not the sources before it.

    *file* is None for what comes in a Debian package. *requires* are the names of the distributions it needs. *recipe*
    is the digest of the recipe that an sdist is built by: the debs of the lock were chosen for that one.
    """

    name: str
    version: str
    source: str
    why: str
    file: LockedFile | None = None
    requires: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    recipe: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    target: Target
    inputs: str
    distributions: tuple[LockedDistribution, ...]
    debs: tuple[LockedDeb, ...]

    @property
    def digest(self) -> str:
        """What the runtime made from this lock depends on: the packages, not where or when they were locked."""
        files = [f"{item.source} {item.file.sha256}" for item in self.distributions if item.file is not None]
        return hashlib.sha256(
            "\n".join([*sorted(deb.sha256 for deb in self.debs), *sorted(files)]).encode()
        ).hexdigest()

    def find(self, name: str) -> LockedDistribution | None:
        return next((item for item in self.distributions if item.name == name), None)


def lock_path(project: Project, target: Target) -> Path:
    # PEP 751 allows no second dot in the name.
    return project.folder / (f"pylock.{target}-{project.variant}.toml" if project.variant else f"pylock.{target}.toml")


def lock_inputs(project: Project, target: Target) -> str:
    """Return a digest of the settings that a lock answers: another digest, a stale lock."""
    inputs: list[Any] = [_FORMAT, str(target), sorted(project.dependencies), sorted(project.debs)]
    inputs += [sorted(project.constraints), dict(sorted(project.sources.items()))]
    if project.recipes is not None:
        inputs.append({path.name: path.read_text("utf-8") for path in sorted(project.recipes.glob("*.toml"))})
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def find_lock(project: Project, target: Target) -> Lock | None:
    """Return the project's lock for *target*; None when there is none, or it is stale. Raises ConfigError."""
    lock = load_lock(project, target)
    if lock is None or lock.target != target or lock.inputs != lock_inputs(project, target):
        return None
    built = [item for item in lock.distributions if item.recipe]
    if built:
        from incamera.project.recipes import load_recipes

        recipes = load_recipes(target.architecture, project.recipes)
        if any(item.recipe != recipes.find(item.name).digest for item in built):
            return None
    return lock


def load_lock(project: Project, target: Target) -> Lock | None:
    """Return what is written down for *target*, stale or not. Raises ConfigError."""
    path = lock_path(project, target)
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="remove it, or make it readable") from error
    if len(data) > _LARGEST_BYTES:
        raise _damaged(path.name, f"it is larger than {format_bytes(_LARGEST_BYTES)}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(path.name, error) from error
    return parse_lock(text, path.name)


def parse_lock(text: str, name: str) -> Lock:
    """Return the lock that *text* describes. Raises ConfigError, with the path of the key that is wrong in *name*."""
    try:
        pylock = Pylock.from_dict(tomllib.loads(text))
        ours = find_table(pylock.tool or {}, "incamera", "tool.incamera")
        files = {
            str(package.name): _read_file(package, f"packages[{number}]")
            for number, package in enumerate(pylock.packages)
        }
        return Lock(
            target=Target.parse(require_string(ours, "target", "tool.incamera.target")),
            inputs=require_string(ours, "inputs", "tool.incamera.inputs"),
            distributions=tuple(
                _read_distribution(item, where, files)
                for where, item in find_tables(ours, "distributions", "tool.incamera.distributions")
            ),
            debs=tuple(_read_deb(item, where) for where, item in find_tables(ours, "debs", "tool.incamera.debs")),
        )
    # RecursionError: tables or arrays are nested too deeply. ValueError: it is not TOML.
    except (ConfigError, PylockValidationError, RecursionError, ValueError) as error:
        raise _damaged(name, error) from error


def _read_file(package: Package, where: str) -> LockedFile:
    """Return the one file that a lock of ours has for *package*."""
    file: PackageWheel | PackageSdist | None
    if package.wheels:
        file, where = package.wheels[0], f"{where}.wheels[0]"
    else:
        file, where = package.sdist, f"{where}.sdist"
    if file is None:
        raise ConfigError(f"{where} is missing")
    if file.url is None:
        raise ConfigError(f"{where}.url is missing")
    sha256 = _require_sha256(file.hashes, f"{where}.hashes.sha256")
    return LockedFile(filename=file.filename, url=file.url, sha256=sha256, size=file.size)


def _read_distribution(item: Mapping[str, Any], where: str, files: Mapping[str, LockedFile]) -> LockedDistribution:
    name = require_string(item, "name", f"{where}.name")
    source = require_string(item, "source", f"{where}.source")
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
    return LockedDeb(
        **texts,
        size=require_integer(item, "size", f"{where}.size"),
        sha256=_require_sha256(item, f"{where}.sha256"),
    )


def _require_sha256(table: Mapping[str, Any], where: str) -> str:
    """Return the hash. It becomes part of a path in the store, so nothing else is let through."""
    sha256 = require_string(table, "sha256", where)
    if not _SHA256.fullmatch(sha256):
        raise ConfigError(f"{where} is not a sha256 in hexadecimal")
    return sha256


def _damaged(name: str, reason: object) -> ConfigError:
    return ConfigError(f"{name} is damaged: {reason}", hint="remove it, and make it anew with `incamera lock`")


def dump_lock(lock: Lock, requires_python: str) -> str:
    """Return the lockfile's text: equal locks give equal bytes."""
    import tomli_w  # lazy: an idle build writes no lock

    pylock = Pylock(
        lock_version=Version("1.0"),
        requires_python=SpecifierSet(requires_python),
        created_by="incamera",
        packages=[_make_package(item, item.file, lock) for item in lock.distributions if item.file is not None],
        tool={
            "incamera": {
                "target": str(lock.target),
                "inputs": lock.inputs,
                "distributions": [_dump_distribution(item) for item in lock.distributions],
                "debs": [asdict(deb) for deb in lock.debs],
            }
        },
    )
    pylock.validate()
    return tomli_w.dumps(pylock.to_dict())


def _make_package(item: LockedDistribution, file: LockedFile, lock: Lock) -> Package:
    # What comes in a Debian package is no package of this list, and can't be pointed to.
    listed = {other.name for other in lock.distributions if other.file is not None}
    known = [{"name": name} for name in item.requires if name in listed]
    values: dict[str, Any] = {"name": file.filename, "url": file.url, "size": file.size}
    hashes = {"sha256": file.sha256}
    return Package(
        name=canonicalize_name(item.name),
        version=Version(item.version),
        dependencies=known or None,
        wheels=[PackageWheel(**values, hashes=hashes)] if file.is_wheel else None,
        sdist=None if file.is_wheel else PackageSdist(**values, hashes=hashes),
    )


def _dump_distribution(item: LockedDistribution) -> dict[str, Any]:
    values = {"name": item.name, "version": item.version, "source": item.source, "why": item.why}
    if item.recipe:
        values["recipe"] = item.recipe
    lists = {"requires": list(item.requires), "passed_over": list(item.passed_over)}
    return values | {key: value for key, value in lists.items() if value}


def write_lock(project: Project, lock: Lock) -> Path:
    """Raises StoreError when the project's disk does not take it; the lockfile that was there stays then."""
    path = lock_path(project, lock.target)
    # Two builds at once must not write to the same one.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            temporary.write_text(dump_lock(lock, f"=={lock.target.python}.*"), "utf-8")
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}", hint="the project's folder must be writable and have some space"
        ) from error
    return path


def describe_changes(before: Lock | None, after: Lock) -> Sequence[str]:
    """Return a line for each package that *after* has in another version than *before*, or that came or went."""
    old, new = (_contents(before) if before else {}), _contents(after)
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            lines.append(f"{name} {old.get(name, '(new)')} → {new.get(name, '(gone)')}")
    return lines


def _contents(lock: Lock) -> dict[str, str]:
    distributions = {
        item.name: f"{item.version} ({item.source})" for item in lock.distributions if item.file is not None
    }
    return distributions | {deb.package: deb.version for deb in lock.debs}
