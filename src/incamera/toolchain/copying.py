"""Copies a project before it is built, so that the build does not change the user's folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from incamera.disk import remove_tree
from incamera.errors import BuildError

# Folders that no build needs; and those with the output of builds, in the project's top folder only.
_NEVER_COPIED = frozenset(
    (
        *(".git", ".hg", ".svn", ".incamera", ".venv", "venv", ".tox", ".nox", "node_modules"),
        *("__pycache__", ".cache", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    )
)
_NOT_COPIED_FROM_TOP = frozenset({"build", "dist", "wheelhouse"})


def copy_project(project: Path, copy: Path, leaves_out: Callable[[str], bool] = lambda _: False) -> None:
    """Copy the files of *project* that a build may need to the folder *copy*. An sdist is copied completely.

    *leaves_out* is called with paths of the project, those of folders with `/` at the end.
    Raises BuildError when a file cannot be copied.
    """
    try:
        shutil.copytree(project, copy, ignore=_ignored_names(project, leaves_out), ignore_dangling_symlinks=True)
    except shutil.Error as error:
        source, _, reason = error.args[0][0]
        raise BuildError(f"cannot copy {source}: {reason}") from error


def update_copy(
    project: Path, copy: Path, leaves_out: Callable[[str], bool] = lambda _: False, *, record: Path
) -> None:
    """Update *copy* to what `copy_project` would make. Only changed files are written; files from builds stay.

    *record*: a file that lists what was copied. A changed file gets the current time, even if its own is older: it must
    be newer than the object files made from it. Raises BuildError when a file cannot be copied.
    """
    try:
        before: dict[str, list[int]] = json.loads(record.read_text("utf-8"))
    except (OSError, ValueError):
        before = {}
        remove_tree(copy)
    # Without the record, an interrupted update makes the next one start from nothing.
    record.unlink(missing_ok=True)
    ignore, now = _ignored_names(project, leaves_out), {}
    try:
        for parent, folders, files in os.walk(project):
            ignored = set(ignore(parent, [*folders, *files]))
            folders[:] = [name for name in folders if name not in ignored]
            relative = Path(parent).relative_to(project)
            _remove_link(copy / relative)
            (copy / relative).mkdir(parents=True, exist_ok=True)
            for name in set(files) - ignored:
                source, path = Path(parent, name), (relative / name).as_posix()
                try:
                    status = source.stat()
                    now[path] = [status.st_size, status.st_mtime_ns, status.st_mode]
                    if before.get(path) != now[path]:
                        _remove_link(copy / path)
                        shutil.copyfile(source, copy / path)
                        (copy / path).chmod(status.st_mode & 0o777 | 0o600)
                except FileNotFoundError:  # a dangling link, or a file removed in the meantime
                    now.pop(path, None)
        for path in before.keys() - now.keys():
            if (copy / path).parent.resolve() == (copy.resolve() / path).parent:
                (copy / path).unlink(missing_ok=True)
    except OSError as error:
        raise BuildError(f"cannot copy {project}: {error}") from error
    record.write_text(json.dumps(now), "utf-8")


def _remove_link(path: Path) -> None:
    """Remove *path* if it is a link: a build may have made it, and what is written would get out of the copy."""
    if path.is_symlink():
        path.unlink()


def _ignored_names(project: Path, leaves_out: Callable[[str], bool]) -> Callable[[str, list[str]], list[str]]:
    is_sdist = (project / "PKG-INFO").exists()

    def ignore(folder: str, names: list[str]) -> list[str]:
        if is_sdist:
            return []
        at_top = Path(folder) == project
        prefix = "" if at_top else f"{Path(folder).relative_to(project).as_posix()}/"
        return [
            name
            for name in names
            if name in _NEVER_COPIED
            or (at_top and name in _NOT_COPIED_FROM_TOP)
            or name.endswith(".egg-info")
            # Extension modules that were built in place for this computer.
            or (".cpython-" in name and name.endswith(".so"))
            or leaves_out(prefix + name + ("/" if Path(folder, name).is_dir() else ""))
        ]

    return ignore
