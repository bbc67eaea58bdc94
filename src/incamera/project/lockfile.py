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
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import ConfigError, StoreError
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.project.settings import Project

# Raise it when the same settings must be locked anew.
_FORMAT = 2


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
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="remove it, or make it readable") from error
    except UnicodeDecodeError as error:
        raise _damaged(path.name, error) from error
    return parse_lock(text, path.name)


def parse_lock(text: str, name: str) -> Lock:
    """Raises ConfigError when *text* is not a lockfile of ours."""
    try:
        table = tomllib.loads(text)
        ours = table["tool"]["incamera"]
        files = {package["name"]: _parse_file(package) for package in table["packages"]}
        return Lock(
            target=Target.parse(ours["target"]),
            inputs=ours["inputs"],
            distributions=tuple(_parse_distribution(item, files) for item in ours.get("distributions", [])),
            debs=tuple(LockedDeb(**item) for item in ours["debs"]),
        )
    except (tomllib.TOMLDecodeError, AttributeError, IndexError, KeyError, TypeError) as error:
        raise _damaged(name, error) from error


def _parse_file(package: Mapping[str, Any]) -> LockedFile:
    file = package["wheels"][0] if "wheels" in package else package["sdist"]
    sha256 = file["hashes"]["sha256"]
    # It becomes part of a path in the store.
    if not isinstance(sha256, str) or len(sha256) != 64 or not sha256.isalnum():
        raise TypeError(f"{package['name']} has no sound sha256")
    return LockedFile(filename=file["name"], url=file["url"], sha256=sha256, size=file.get("size"))


def _parse_distribution(item: Mapping[str, Any], files: Mapping[str, LockedFile]) -> LockedDistribution:
    lists = {key: tuple(item.get(key, ())) for key in ("requires", "passed_over")}
    file = None if item["source"] == "deb" else files[item["name"]]
    return LockedDistribution(**{**item, **lists}, file=file)


def _damaged(name: str, error: Exception) -> ConfigError:
    reason = f"it has no {error}" if isinstance(error, KeyError) else error
    return ConfigError(f"{name} is damaged: {reason}", hint="remove it, and make it anew with `incamera lock`")


def dump_lock(lock: Lock, requires_python: str) -> str:
    import tomli_w

    table: dict[str, Any] = {
        "lock-version": "1.0",
        "created-by": "incamera",
        "requires-python": requires_python,
        "packages": [_dump_package(item, item.file, lock) for item in lock.distributions if item.file is not None],
        "tool": {
            "incamera": {
                "target": str(lock.target),
                "inputs": lock.inputs,
                "distributions": [_dump_distribution(item) for item in lock.distributions],
                "debs": [asdict(deb) for deb in lock.debs],
            }
        },
    }
    return tomli_w.dumps(table)


def _dump_package(item: LockedDistribution, file: LockedFile, lock: Lock) -> dict[str, Any]:
    entry = {"name": file.filename, "url": file.url, "size": file.size, "hashes": {"sha256": file.sha256}}
    if file.size is None:
        del entry["size"]
    # What comes in a Debian package is no package of this list, and can't be pointed to.
    listed = {other.name for other in lock.distributions if other.file is not None}
    package: dict[str, Any] = {"name": item.name, "version": item.version}
    if known := [{"name": name} for name in item.requires if name in listed]:
        package["dependencies"] = known
    return package | ({"wheels": [entry]} if file.is_wheel else {"sdist": entry})


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
