"""add, remove: change the dependencies in pyproject.toml, and lock. The files are written when all has succeeded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from incamera.build.git_checkout import ensure_checkout, resolve_commit
from incamera.build.indexes import open_indexes
from incamera.context import SilentReporter
from incamera.errors import ConfigError, InCameraError, ResolveError
from incamera.project.additions import Addition, parse_addition
from incamera.project.changes import FileChange, apply_changes, read_bytes
from incamera.project.dependency_edit import add_requirement, needs_bound, remove_requirement, set_bound, written
from incamera.project.git_source import GitSource
from incamera.project.loading import load_project
from incamera.project.lock_cost import LockCost, compare_locks
from incamera.project.lock_dumping import dump_lock
from incamera.project.lockfile import find_lock, load_lock, lock_inputs, lock_path
from incamera.project.script_edit import ScriptEdit
from incamera.project.settings import SCRIPTS
from incamera.project.settings_parsing import parse_project
from incamera.project.targets import choose_targets
from incamera.project.toml_text import TomlText
from incamera.resolver.lock import resolve_lock
from incamera.targets.target import Target
from incamera.workflows.lock import preferences

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.locked import Lock
    from incamera.project.settings import Project


@dataclass(frozen=True, kw_only=True, slots=True)
class EditRequest:
    """What the user asks of `add` or `remove`.

    *texts* are what was typed, *start* the folder of the project, *group* the dependency group, *source* the source to
    take the packages from, *target* the one target to lock for; None for the project's. *script* is the script to
    edit, in place of a project.
    """

    texts: tuple[str, ...]
    start: Path
    group: str | None = None
    source: str | None = None
    target: str | None = None
    script: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Edited:
    """The *requirements* that were added or removed, the *files* that were written, and the *costs* for each target."""

    project: Path
    requirements: tuple[str, ...]
    files: tuple[Path, ...]
    costs: tuple[LockCost, ...]


def add_packages(context: Context, request: EditRequest) -> Edited:
    """Add requirements to the project, and lock it. A package without a version gets a lower bound.

    Raises ConfigError, UsageError, ResolveError, FetchError. Nothing is written then.
    """
    edit = _Edit(context, request)
    additions = [_parse(context, text, edit.folder) for text in request.texts]
    for addition in additions:
        add_requirement(edit.toml, addition, request.group, request.source)
    if not edit.goes_into_camera:
        _add_bounds(edit, additions, lambda name: _newest(context, name))
        return edit.write({}, _texts(edit, additions))
    locks = edit.resolve()
    if _add_bounds(edit, additions, lambda name: _locked_version(locks, name)):
        locks = edit.resolve(locks)
    return edit.write(locks, _texts(edit, additions))


def remove_packages(context: Context, request: EditRequest) -> Edited:
    """Remove requirements from the project, and lock it. Raises as `add_packages`."""
    edit = _Edit(context, request)
    removed = [text for name in request.texts for text in remove_requirement(edit.toml, name, request.group)]
    return edit.write(edit.resolve() if edit.goes_into_camera else {}, removed)


def _parse(context: Context, text: str, project: Path) -> Addition:
    """Return what *text* adds. A branch or a tag of a git repository becomes the commit that it is now."""
    found = parse_addition(text, project, Path.cwd())
    if isinstance(found, Addition):
        return found
    address = found.address
    source = GitSource(url=address.url, commit=resolve_commit(context, address), subdirectory=address.subdirectory)
    return found.at(source, ensure_checkout(context, source))


class _Edit:
    """A change of a project's pyproject.toml that is not written yet."""

    def __init__(self, context: Context, request: EditRequest) -> None:
        self._context = context
        self._request = request
        self._script = None
        self.toml: TomlText
        if request.script is not None:
            self._script = ScriptEdit(request.script, context.store.root / SCRIPTS)
            self._before = self._script.project
            self._path, self._bytes, self.toml = request.script, self._script.before, self._script.toml
        else:
            self._before = load_project(request.start)
            self._path = self._before.folder / "pyproject.toml"
            self._bytes = read_bytes(self._path) or b""
            self.toml = TomlText(self._bytes.decode("utf-8"), str(self._path))
        self.folder = self._before.folder
        self._baselines: dict[Target, Lock | None] = {}

    @property
    def goes_into_camera(self) -> bool:
        """Whether the app's own lockfile has what is changed: its dependencies, or a group that it names."""
        group = self.group
        return group is None or group in (self.toml.find("tool", "incamera", "groups") or ())

    @property
    def group(self) -> str | None:
        return self._request.group

    @property
    def project(self) -> Project:
        return self._script.project if self._script else parse_project(self.toml.values, self.folder)

    def resolve(self, earlier: dict[Target, Lock] | None = None) -> dict[Target, Lock]:
        """Return a new lock for each target. Versions of *earlier*, or of the lockfiles, are kept where they fit."""
        project = self.project
        # The second time, the same warnings would come.
        context = dataclasses.replace(self._context, reporter=SilentReporter()) if earlier else self._context
        locks = {}
        for target in self._targets(project):
            with context.reporter.step("lock") as step:
                before = earlier[target] if earlier else load_lock(self._before, target)
                if target not in self._baselines:
                    self._baselines[target] = self._baseline(target)
                locks[target] = resolve_lock(
                    context,
                    project,
                    target,
                    preferred=preferences(before),
                    builds=before.builds if before else (),
                )
                step.note(str(target))
        return locks

    def _targets(self, project: Project) -> Sequence[Target]:
        """Return the project's targets, and those that it has lockfiles for: they would be stale otherwise."""
        chosen = list(choose_targets(project, self._request.target))
        if self._request.target is None and project.targets is None and project.script is None:
            for path in sorted(self.folder.glob("pylock.*.toml")):
                with suppress(ConfigError):  # the lockfile of a variant, or of another tool
                    target = Target.parse(path.name.split(".")[1])
                    if target not in chosen and project.allows_python(target.python):
                        chosen.append(target)
        return chosen

    def _baseline(self, target: Target) -> Lock | None:
        """Return the lock as it was before, to compare the new one with."""
        if (lock := find_lock(self._before, target)) is not None:
            return lock
        try:
            known = load_lock(self._before, target)
            return resolve_lock(
                dataclasses.replace(self._context, reporter=SilentReporter()),
                self._before,
                target,
                preferred=preferences(known),
            )
        except InCameraError:  # the project could not be locked; that may be why it is changed
            return None

    def write(self, locks: dict[Target, Lock], requirements: Sequence[str]) -> Edited:
        project = self.project
        after = self._script.after if self._script else self.toml.text.encode()
        changes = [FileChange(self._path, self._bytes, after)]
        for target, lock in locks.items():
            lock = dataclasses.replace(lock, inputs=lock_inputs(project, target))
            path = lock_path(project, target)
            changes.append(FileChange(path, read_bytes(path), dump_lock(lock, f"=={target.python}.*").encode()))
        changes = [change for change in changes if change.before != change.after]
        apply_changes(changes)
        return Edited(
            project=self.folder,
            requirements=tuple(requirements),
            files=tuple(change.path for change in changes),
            costs=tuple(compare_locks(self._baselines.get(target), lock) for target, lock in locks.items()),
        )


def _add_bounds(edit: _Edit, additions: Sequence[Addition], version_of: Callable[[str], Version | None]) -> bool:
    """Write a lower bound for each addition without a version. Returns whether there was one."""
    group = edit.group
    changed = False
    for addition in additions:
        if addition.is_bare and needs_bound(edit.toml, group, addition.name):
            version = version_of(addition.name)
            if version is not None:
                set_bound(edit.toml, group, addition.name, lower_bound(version))
                changed = True
    return changed


def lower_bound(version: Version) -> str:
    """Return the bound that is written for a package of which *version* was chosen: its first two numbers.

    A patch release makes no difference: the sources of a package (wheel, Debian, sdist) have different ones.
    """
    if version.is_prerelease:
        return version.public
    epoch = f"{version.epoch}!" if version.epoch else ""
    return epoch + ".".join(map(str, version.release[:2]))


def _locked_version(locks: dict[Target, Lock], name: str) -> Version | None:
    """Return the lowest version of the package *name* in *locks*; None where a marker excludes it from all."""
    found = [Version(item.version) for lock in locks.values() if (item := lock.find(name)) is not None]
    return min(found, default=None)


def _newest(context: Context, name: str) -> Version:
    """Return the newest release of the package *name*. Raises ResolveError where no package index has it."""
    versions = [file.version for file in open_indexes(context).find(name) if not file.version.is_prerelease]
    if not versions:
        raise ResolveError(f"no package index has {name}", hint="check the name")
    return max(versions)


def _texts(edit: _Edit, additions: Sequence[Addition]) -> list[str]:
    return [text for addition in additions for text in written(edit.toml, edit.group, addition.name)]
