"""`pylock.<target>.toml` (PEP 751): what was chosen for a target, by hash.

Debian packages are no distributions in the sense of PyPA, so they, and the distributions that come in them, stand
under `[tool.incamera]`. No mirror is named: a file's path in the archive and its sha256 say what it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import ConfigError, StoreError
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.project.settings import Project

# Raise it when the same settings must be locked anew.
_FORMAT = 1


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
class LockedDistribution:
    """One Python distribution, the rung it comes from and why that one."""

    name: str
    version: str
    rung: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    target: Target
    inputs: str
    distributions: tuple[LockedDistribution, ...]
    debs: tuple[LockedDeb, ...]

    @property
    def digest(self) -> str:
        """What the runtime made from this lock depends on: the packages, not where or when they were locked."""
        return hashlib.sha256("\n".join(sorted(deb.sha256 for deb in self.debs)).encode()).hexdigest()


def lock_path(project: Project, target: Target) -> Path:
    return project.folder / f"pylock.{target}.toml"


def lock_inputs(project: Project, target: Target) -> str:
    """Return a digest of the settings that a lock answers: another digest, a stale lock."""
    inputs = [_FORMAT, str(target), sorted(project.dependencies), sorted(project.debs)]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def find_lock(project: Project, target: Target) -> Lock | None:
    """Return the project's lock for *target*; None when there is none, or it is stale. Raises ConfigError."""
    lock = load_lock(project, target)
    fresh = lock is not None and lock.target == target and lock.inputs == lock_inputs(project, target)
    return lock if fresh else None


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
        ours = tomllib.loads(text)["tool"]["incamera"]
        return Lock(
            target=Target.parse(ours["target"]),
            inputs=ours["inputs"],
            distributions=tuple(LockedDistribution(**table) for table in ours.get("distributions", [])),
            debs=tuple(LockedDeb(**table) for table in ours["debs"]),
        )
    except (tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError) as error:
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> ConfigError:
    reason = f"it has no {error}" if isinstance(error, KeyError) else error
    return ConfigError(f"{name} is damaged: {reason}", hint="remove it, and make it anew with `incamera lock`")


def dump_lock(lock: Lock, requires_python: str) -> str:
    import tomli_w

    table: dict[str, Any] = {
        "lock-version": "1.0",
        "created-by": "incamera",
        "requires-python": requires_python,
        "packages": [],
        "tool": {
            "incamera": {
                "target": str(lock.target),
                "inputs": lock.inputs,
                "distributions": [asdict(distribution) for distribution in lock.distributions],
                "debs": [asdict(deb) for deb in lock.debs],
            }
        },
    }
    return tomli_w.dumps(table)


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
    old = {deb.package: deb.version for deb in before.debs} if before else {}
    new = {deb.package: deb.version for deb in after.debs}
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            lines.append(f"{name} {old.get(name, '(new)')} → {new.get(name, '(gone)')}")
    return lines
