"""What an agent that waits in a camera was started for, and whether that still fits the project."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import incamera
from incamera.eap.declared import app_variables
from incamera.project.included import included_folder, included_name
from incamera_agent.wire import protocol

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.locked import Lock
    from incamera.project.settings import Project


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldState:
    """What an agent was started for, and where its app is. All paths but *lockfile* and *bundle* are those on
    the device.

    *settings* is a digest of what the deployed bundle was made with, other than the app's files; *stamp* tells quickly
    that it cannot have changed (`make_stamp`). *files* are the states of the app's files (`live_sync.state`) in
    *root*/app, and in *live* once they *are_edited*. *work* is the working folder, which shows them. *preload* is what
    the fork server shall have imported before the app starts, *imports* what it has.
    """

    root: str
    destination: str
    bundle: str
    work: str
    live: str
    are_edited: bool
    target: str
    lockfile: str
    settings: str
    stamp: str
    preload: tuple[str, ...]
    imports: tuple[str, ...]
    files: Mapping[str, str]

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> HeldState | None:
        try:
            return cls(**{**table, **{name: tuple(table[name]) for name in ("preload", "imports")}})
        except (KeyError, TypeError):
            return None

    @property
    def bundle_folder(self) -> str:
        return f"{self.root}/app"

    @property
    def app_folders(self) -> list[str]:
        """The folders on the device that paths of the app's files may begin with."""
        return list(dict.fromkeys([self.work, self.live, self.bundle_folder, f"{self.destination}/app"]))

    def fits(self, context: Context, project: Project) -> bool:
        """Return whether the deployed bundle is still what *project* asks for, its files aside."""
        if self.stamp and self.stamp == make_stamp(context, project, Path(self.lockfile)):
            return True
        from incamera.project.lockfile import find_lock  # lazy: nothing of it has changed most of the time
        from incamera.targets.target import Target

        target = Target.parse(self.target)
        if project.targets and target not in project.targets:
            return False
        lock = find_lock(project, target)
        return lock is not None and digest_settings(context, project, lock) == self.settings


def digest_settings(context: Context, project: Project, lock: Lock) -> str:
    """Return a digest of what a bundle of *project* is made of, without the app's files where those can be edited.

    The entry is passed with each start; the version comes with pyproject.toml, which is sent like any file.
    """
    from incamera.build.keys import runtime_key  # lazy: see `fits`
    from incamera.project.files import files_digest

    what = [runtime_key(project, lock, context.environment)]
    if project.has_build_system:
        what += [repr(project), repr(app_variables(project)), files_digest(project.folder, project.find_files())]
    else:
        what.append(_describe(project))
    return hashlib.sha256(repr(what).encode()).hexdigest()


def make_stamp(context: Context, project: Project, lockfile: Path) -> str:
    """Return a digest that stays the same only while `digest_settings` does. It costs no parsing of the lockfile.

    Empty for a project that is made of more than its settings and its lockfile.
    """
    if project.has_build_system or project.recipes is not None or not all(map(included_name, project.local.values())):
        return ""
    try:
        lock = lockfile.read_bytes()
    except OSError:
        return ""
    what = [_describe(project), str(lockfile), lock, sorted(context.environment.items())]
    what.append(sorted(_own_files(project.local)))
    return hashlib.sha256(repr(what).encode()).hexdigest()


def _describe(project: Project) -> str:
    return repr((replace(project, entry=None, chosen=None, version=""), app_variables(project)))


def _own_files(local: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """Yield which files incamera, its agent, and the packages *local* that come with it have, with their sizes and
    times: a new version builds other bundles.
    """
    folders = [*map(str, incamera.__path__), str(Path(str(protocol.__file__)).parents[1])]
    folders += [str(folder) for folder in map(included_folder, local) if folder is not None]
    while folders:
        for entry in os.scandir(folders.pop()):
            if entry.is_dir():
                if entry.name != "__pycache__":
                    folders.append(entry.path)
            else:
                status = entry.stat()
                yield entry.path, status.st_size, status.st_mtime_ns
