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
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.disk import users_umask
from incamera.errors import ConfigError, StoreError
from incamera.project.files import metadata_digest
from incamera.project.local import local_digest, locked_path
from incamera.project.lock_parsing import CREATED_BY, damaged_lock, parse_lock
from incamera.toml import decode_toml
from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.project.locked import Lock
    from incamera.project.settings import Project
    from incamera.targets.target import Target

# Raise it when locks made by an older incamera must be made again.
_FORMAT = 3
# Larger lockfiles are refused. A lock of 400 packages has 200 kB.
_MAX_BYTES = 10_000_000


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
        return f'created-by = "{CREATED_BY}"'.encode() in lock_path(project, target).read_bytes()
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
        inputs.append({locked_path(path, project.folder): local_digest(path) for path in project.local.values()})
    if project.git:
        inputs.append({name: str(source) for name, source in project.git.items()})
    if project.recipes is not None:
        inputs.append({path.name: path.read_text("utf-8") for path in sorted(project.recipes.glob("*.toml"))})
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _local_paths(project: Project) -> dict[str, str]:
    return {name: locked_path(path, project.folder) for name, path in project.local.items()}


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
            if path.parent == project.lock_folder:
                with suppress(OSError):
                    os.utime(stream.fileno())  # `store clean` removes what was not used for long
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="remove it, or make it readable") from error
    if len(data) > _MAX_BYTES:
        raise damaged_lock(path.name, f"it is larger than {format_bytes(_MAX_BYTES)}")
    try:
        text = decode_toml(data)
    except tomllib.TOMLDecodeError as error:
        raise damaged_lock(path.name, error) from error
    return parse_lock(text, path.name)


def write_lock(project: Project, lock: Lock) -> Path:
    """Write the lockfile and return its path.

    Raises StoreError when the disk is full or read-only; the old lockfile remains then.
    """
    from incamera.project.lock_dumping import dump_lock  # lazy: an idle build writes no lock

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
