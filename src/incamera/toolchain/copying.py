"""The copy of a project that is built, so that the user's own folder stays as it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from incamera.errors import BuildError

# Folders that no build needs, wherever they are; and those that are somebody's output at the project's top.
_NEVER_COPIED = frozenset(
    (
        *(".git", ".hg", ".svn", ".incamera", ".venv", "venv", ".tox", ".nox", "node_modules"),
        *("__pycache__", ".cache", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    )
)
_NOT_COPIED_FROM_TOP = frozenset({"build", "dist", "wheelhouse"})


def copy_project(project: Path, copy: Path) -> None:
    """Copy what a build of *project* needs, so that it leaves nothing behind in the user's own folder.

    An sdist is copied whole: what is in it is meant to be.
    """
    try:
        shutil.copytree(project, copy, ignore=_ignored_names(project), ignore_dangling_symlinks=True)
    except shutil.Error as error:
        source, _, reason = error.args[0][0]
        raise BuildError(f"cannot copy {source}: {reason}") from error


def update_copy(project: Path, copy: Path, *, record: Path) -> None:
    """Make *copy* what `copy_project` would make anew, and touch only what changed; what builds left there stays.

    *record* is where it is written down what was copied. A file that changed gets the time of now, whatever its own is:
    it must be newer than what was made of it.
    """
    try:
        before: dict[str, list[int]] = json.loads(record.read_text("utf-8"))
    except (OSError, ValueError):
        before = {}
        shutil.rmtree(copy, ignore_errors=True)
    # Until this is through, what is there is not to be trusted.
    record.unlink(missing_ok=True)
    ignore, now = _ignored_names(project), {}
    try:
        for parent, folders, files in os.walk(project):
            ignored = set(ignore(parent, [*folders, *files]))
            folders[:] = [name for name in folders if name not in ignored]
            relative = Path(parent).relative_to(project)
            (copy / relative).mkdir(parents=True, exist_ok=True)
            for name in set(files) - ignored:
                source, path = Path(parent, name), (relative / name).as_posix()
                try:
                    status = source.stat()
                    now[path] = [status.st_size, status.st_mtime_ns, status.st_mode]
                    if before.get(path) != now[path]:
                        shutil.copyfile(source, copy / path)
                        (copy / path).chmod(status.st_mode & 0o777 | 0o600)
                except FileNotFoundError:  # a dangling link, or gone since
                    now.pop(path, None)
        for path in before.keys() - now.keys():
            (copy / path).unlink(missing_ok=True)
    except OSError as error:
        raise BuildError(f"cannot copy {project}: {error}") from error
    record.write_text(json.dumps(now), "utf-8")


def _ignored_names(project: Path) -> Callable[[str, list[str]], list[str]]:
    is_sdist = (project / "PKG-INFO").exists()

    def ignore(folder: str, names: list[str]) -> list[str]:
        if is_sdist:
            return []
        at_top = Path(folder) == project
        return [
            name
            for name in names
            if name in _NEVER_COPIED
            or (at_top and name in _NOT_COPIED_FROM_TOP)
            or name.endswith(".egg-info")
            # Extension modules built in place are for this computer.
            or (".cpython-" in name and name.endswith(".so"))
        ]

    return ignore
