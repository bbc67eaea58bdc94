"""The lockfile `pylock.<target>.toml` (PEP 751): the packages that were chosen for a target, with their hashes.

What comes from a package index is listed in `packages`, where any tool can read it. Debian packages are no
distributions in the sense of PyPA: they are listed under `[tool.incamera]`. So are the source of every distribution,
the reason for it, and what builds require. No Debian mirror is named: a file's path in the archive and its sha256
identify it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.pylock import (
    Package,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
    Pylock,
    PylockValidationError,
)
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from incamera.digest import Sha256
from incamera.disk import users_umask
from incamera.errors import ConfigError, StoreError
from incamera.project.files import metadata_digest
from incamera.project.git_source import GitSource, parse_git_address
from incamera.project.local import local_digest, relative_path
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

# Raise it when locks made by an older incamera must be made again.
_FORMAT = 3
# Larger lockfiles are refused. A lock of 400 packages has 200 kB.
_MAX_BYTES = 10_000_000
_ARCHIVES = ("main", "security")
_SOURCES = ("wheel", "deb", "sdist", "emulated")
_FILENAME = re.compile(r"[\w.+!-]+", re.ASCII)


_CREATED_BY = "incamera"


class ForeignLock(ConfigError):
    """The file with the name of our lockfile was made by another tool."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedDeb:
    """A Debian package. *filename* is its path in *archive* ("main" or "security"), *size* is in bytes."""

    package: str
    version: str
    architecture: str
    archive: str
    filename: str
    size: int
    sha256: Sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedFile:
    """A wheel or sdist of a package index. *url* is where it was found: other indexes may have it, too.

    *size* is in bytes, None where the index gave none. *path* is that of a wheel or folder of the user's own, relative
    to the lockfile; a folder was packed into an sdist. Nothing is read from it: pyproject.toml has to name it, too.
    The same holds for a *url* that begins with `git+`: the folder of a commit was packed.
    """

    filename: str
    url: str
    sha256: Sha256
    size: int | None = None
    path: str = ""

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")

    @property
    def is_git(self) -> bool:
        """Whether it was packed from a commit of a git repository."""
        return self.url.startswith("git+")


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedDistribution:
    """A Python distribution: its *source*, *why* it comes from there, and why not from the sources *passed_over*.

    *file* is None when it comes in a Debian package. *requires* are the names of the distributions that it needs.
    *recipe* is the digest of the recipe that an sdist is built with: the debs in the lock were chosen for that recipe.
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
class LockedBuild:
    """What the build of a wheel requires: of the sdist with the hash *sdist*, or of the project itself (empty).

    *requires* are the requirements, with those that the back end adds. *files* satisfy them, and what these need.
    """

    name: str
    sdist: str
    requires: tuple[str, ...]
    files: tuple[LockedFile, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """The packages of a project for *target*. *inputs* is a digest of the settings that they were chosen for."""

    target: Target
    inputs: str
    distributions: tuple[LockedDistribution, ...]
    debs: tuple[LockedDeb, ...]
    builds: tuple[LockedBuild, ...] = ()

    @property
    def digest(self) -> str:
        """A digest of what the runtime depends on: the packages, not where or when they were locked."""
        files = [f"{item.source} {item.file.sha256}" for item in self.distributions if item.file is not None]
        return hashlib.sha256(
            "\n".join([*sorted(deb.sha256 for deb in self.debs), *sorted(files)]).encode()
        ).hexdigest()

    def find(self, name: str) -> LockedDistribution | None:
        """Return the distribution called *name*; None when the lock has none."""
        return next((item for item in self.distributions if item.name == name), None)

    def build_digest(self, sdist: str) -> str:
        """Return a digest of what a build depends on; *sdist* as in `LockedBuild`."""
        return build_digest(self.builds, sdist)


def build_digest(builds: Iterable[LockedBuild], sdist: str) -> str:
    """Return a digest of all files that the build of *sdist* requires: also for those that are built themselves."""
    known = {build.sdist: build for build in builds}
    found: set[str] = set()
    queue = [sdist]
    while queue:
        build = known.get(queue.pop())
        new = {file.sha256 for file in build.files} - found if build is not None else set()
        found |= new
        queue += new
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


def lock_path(project: Project, target: Target) -> Path:
    """Return the path of the project's lockfile for *target*."""
    # PEP 751 allows no second dot in the name.
    name = f"{target}-{project.variant}" if project.variant else str(target)
    if project.script is None:
        return project.folder / f"pylock.{name}.toml"
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", project.script.removesuffix(".py"))
    beside = project.folder / f"pylock.{stem}-{name}.toml"
    if project.lock_folder is None or beside.exists():
        return beside
    return project.lock_folder / f"pylock.{name}.toml"


def is_replaceable(project: Project, target: Target) -> bool:
    """Whether the project's damaged lockfile for *target* is one that incamera made."""
    try:
        return f'created-by = "{_CREATED_BY}"'.encode() in lock_path(project, target).read_bytes()
    except OSError:
        return False


def lock_inputs(project: Project, target: Target) -> str:
    """Return a digest of the settings that a lock depends on. A lock with another digest is stale."""
    inputs: list[Any] = [_FORMAT, str(target), sorted(project.dependencies), sorted(project.debs)]
    inputs += [list(project.build_requires)] if project.has_build_system else []
    if project.has_dynamic_dependencies:
        inputs.append([sorted(project.extras), metadata_digest(project.folder)])
    inputs += [sorted(project.constraints), dict(sorted(project.sources.items()))]
    if project.local:
        inputs.append({path: local_digest(project.folder / path) for path in _local_paths(project).values()})
    if project.git:
        inputs.append({name: str(source) for name, source in project.git.items()})
    if project.recipes is not None:
        inputs.append({path.name: path.read_text("utf-8") for path in sorted(project.recipes.glob("*.toml"))})
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _local_paths(project: Project) -> dict[str, str]:
    return {name: relative_path(path, project.folder) for name, path in project.local.items()}


def find_lock(project: Project, target: Target) -> Lock | None:
    """Return the project's lock for *target*; None when there is none, or it is stale. Raises ConfigError."""
    lock = load_lock(project, target)
    if lock is None or lock.target != target or lock.inputs != lock_inputs(project, target):
        return None
    paths = _local_paths(project)
    if any(item.file.path != paths.get(item.name, "") for item in lock.distributions if item.file is not None):
        return None
    built = [item for item in lock.distributions if item.recipe]
    planned = {build.sdist for build in lock.builds}
    if any(item.file is not None and item.file.sha256 not in planned for item in built):
        return None
    if built:
        from incamera.project.recipes import load_recipes  # lazy: an idle build without built sdists needs none

        recipes = load_recipes(target.architecture, project.recipes)
        if any(item.recipe != recipes.find(item.name).digest for item in built):
            return None
    return lock


def load_lock(project: Project, target: Target) -> Lock | None:
    """Return the lock in the project's lockfile for *target*, stale or not; None when there is none.

    Raises ConfigError when the file is damaged or cannot be read, ForeignLock when another tool made it.
    """
    path = lock_path(project, target)
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="remove it, or make it readable") from error
    if len(data) > _MAX_BYTES:
        raise _damaged(path.name, f"it is larger than {format_bytes(_MAX_BYTES)}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(path.name, error) from error
    return parse_lock(text, path.name)


def parse_lock(text: str, name: str) -> Lock:
    """Return the lock in *text*, the contents of the file *name*.

    Raises ConfigError that names the wrong key, ForeignLock.
    """
    try:
        table = tomllib.loads(text)
        creator = table.get("created-by")
        if isinstance(creator, str) and creator != _CREATED_BY:
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
        raise _damaged(name, error) from error


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


def _damaged(name: str, reason: object) -> ConfigError:
    return ConfigError(f"{name} is damaged: {reason}", hint="remove it, and make a new one with `incamera lock`")


def dump_lock(lock: Lock, requires_python: str) -> str:
    """Return the text of the lockfile for *lock*. Equal locks give equal texts."""
    import tomli_w  # lazy: an idle build writes no lock

    pylock = Pylock(
        lock_version=Version("1.0"),
        requires_python=SpecifierSet(requires_python),
        created_by=_CREATED_BY,
        packages=[_make_package(item, item.file, lock) for item in lock.distributions if item.file is not None],
        tool={
            "incamera": {
                "target": str(lock.target),
                "inputs": lock.inputs,
                "distributions": [_dump_distribution(item) for item in lock.distributions],
                "debs": [asdict(deb) for deb in lock.debs],
                **({"builds": [_dump_build(build) for build in lock.builds]} if lock.builds else {}),
            }
        },
    )
    pylock.validate()
    return tomli_w.dumps(pylock.to_dict())


def _make_package(item: LockedDistribution, file: LockedFile, lock: Lock) -> Package:
    # Only packages in this list can be named as dependencies, and those from Debian are not in it.
    listed = {other.name for other in lock.distributions if other.file is not None}
    known = [{"name": name} for name in item.requires if name in listed]
    if file.path and not file.is_wheel:  # PEP 751 has no hash for a folder, and no version where it may change
        return Package(
            name=canonicalize_name(item.name),
            dependencies=known or None,
            directory=PackageDirectory(path=file.path),
            tool={"incamera": {"name": file.filename, "size": file.size, "sha256": file.sha256}},
        )
    place = {"path": file.path} if file.path else {"url": file.url}
    if file.is_git:
        git = parse_git_address(file.url)
        return Package(
            name=canonicalize_name(item.name),
            version=Version(item.version),
            dependencies=known or None,
            vcs=PackageVcs(
                type="git", url=git.url, commit_id=git.revision or "", subdirectory=git.subdirectory or None
            ),
            tool={"incamera": {"name": file.filename, "size": file.size, "sha256": file.sha256}},
        )
    values: dict[str, Any] = {"name": file.filename, "size": file.size, **place}
    hashes = {"sha256": file.sha256}
    return Package(
        name=canonicalize_name(item.name),
        version=Version(item.version),
        dependencies=known or None,
        wheels=[PackageWheel(**values, hashes=hashes)] if file.is_wheel else None,
        sdist=None if file.is_wheel else PackageSdist(**values, hashes=hashes),
    )


def _dump_build(build: LockedBuild) -> dict[str, Any]:
    sha256 = {"sha256": build.sdist} if build.sdist else {}
    return {"name": build.name, **sha256, "requires": list(build.requires), "files": list(map(_dump_file, build.files))}


def _dump_file(file: LockedFile) -> dict[str, Any]:
    size = {} if file.size is None else {"size": file.size}
    return {"name": file.filename, "url": file.url, "sha256": file.sha256, **size}


def _dump_distribution(item: LockedDistribution) -> dict[str, Any]:
    values = {"name": item.name, "version": item.version, "source": item.source, "why": item.why}
    if item.recipe:
        values["recipe"] = item.recipe
    lists = {"requires": list(item.requires), "passed_over": list(item.passed_over)}
    return values | {key: value for key, value in lists.items() if value}


def write_lock(project: Project, lock: Lock) -> Path:
    """Write the lockfile and return its path.

    Raises StoreError when the disk is full or read-only; the old lockfile remains then.
    """
    path = lock_path(project, lock.target)
    # Each process writes to a temporary file of its own.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            if project.lock_folder is not None and path.parent == project.lock_folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            with users_umask():
                temporary.write_text(dump_lock(lock, f"=={lock.target.python}.*"), "utf-8")
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}",
            hint="make the project's folder writable, or free some space on its disk",
        ) from error
    return path


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A package whose version or source is another one: *before* is None where it is new, *after* where it is gone."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"added {self.name} {self.after}"
        if self.after is None:
            return f"removed {self.name} {self.before}"
        return f"updated {self.name} {self.before} → {self.after}"


def find_changes(before: Lock | None, after: Lock) -> Sequence[Change]:
    """Return what was added, removed or updated between *before* and *after*, sorted by name."""
    old, new = (_contents(before) if before else {}), _contents(after)
    return [
        Change(name=name, before=old.get(name), after=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _contents(lock: Lock) -> dict[str, str]:
    distributions = {
        item.name: f"{item.version} ({item.source})" for item in lock.distributions if item.file is not None
    }
    tools = {}
    for build in lock.builds:
        for file in build.files:
            name, _, version = file.filename.removesuffix(".tar.gz").removesuffix(".zip").partition("-")
            tools[f"{name}, for the build of {build.name},"] = version.partition("-")[0]
    return distributions | {deb.package: deb.version for deb in lock.debs} | tools
