"""lock: choose the packages for a target, each from its source, and write them to the lockfile."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from incamera.errors import ConfigError, UsageError
from incamera.names import did_you_mean
from incamera.project.lockfile import find_lock, is_replaceable, load_lock, lock_path, write_lock
from incamera.units import format_count

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.lock_changes import Change
    from incamera.project.locked import Lock, LockedDistribution
    from incamera.project.settings import Project
    from incamera.targets.target import Target
    from incamera.wheels.index import PackageIndexes


def ensure_lock(
    context: Context,
    project: Project,
    target: Target,
    *,
    renew: bool = True,
    before_resolving: Callable[[], None] = lambda: None,
) -> Lock:
    """Return the project's lock for *target*. A missing one is made, and with *renew* a stale one is replaced.

    *before_resolving* is called when packages have to be resolved. Raises ConfigError for a stale lock without
    *renew*, ResolveError, FetchError.
    """
    with context.reporter.step("lock") as step:
        lock = find_lock(project, target)
        if lock is not None:
            step.cached = True
            if project.local or project.git:
                from incamera.build.local import ensure_local_files  # lazy: few projects have local packages

                ensure_local_files(context, project, lock)
        else:
            before = load_lock(project, target)
            if before is not None and not renew:
                raise ConfigError(
                    f"{lock_path(project, target).name} is stale: it was made for other dependencies or settings",
                    hint="renew it with `incamera lock`",
                )
            from incamera.resolver.lock import resolve_lock  # lazy: an idle build resolves nothing

            before_resolving()
            lock = resolve_lock(
                context, project, target, preferred=preferences(before), builds=before.builds if before else ()
            )
            write_lock(project, lock)
        step.note(f"{_count(lock)} for {target}")
    return lock


def make_locks(
    context: Context, project: Project, targets: Sequence[Target], *, upgrade: bool = False, names: Iterable[str] = ()
) -> list[tuple[Lock, Sequence[Change]]]:
    """Choose all packages for *targets* again and write the lockfiles. Returns each lock, and what has changed.

    Locked versions are kept where they still fit, except those of *names*; with *upgrade*, none is kept. Debian
    packages are always the newest, because the archive has no others.
    """
    from incamera.build.deb_trees import ask_mirrors_again  # lazy: an idle build resolves nothing
    from incamera.build.indexes import open_indexes

    if upgrade:
        ask_mirrors_again(context)
    named = frozenset(names)
    indexes = open_indexes(context, fresh=upgrade or named)
    return [_make_lock(context, project, target, indexes, None if upgrade else named) for target in targets]


def _make_lock(
    context: Context, project: Project, target: Target, indexes: PackageIndexes, upgraded: Collection[str] | None
) -> tuple[Lock, Sequence[Change]]:
    """As `make_locks`, for one target. *upgraded* are the packages whose versions are not kept; None: all."""
    from incamera.project.lock_changes import find_changes  # lazy: an idle build changes nothing
    from incamera.resolver.lock import resolve_lock

    try:
        before = load_lock(project, target)
    except ConfigError:
        if not is_replaceable(project, target):
            raise
        before = None
    for name in sorted(upgraded or ()):
        if before is not None:
            require_distribution(before, name)
    kept = before if upgraded is not None else None
    preferred = {name: choice for name, choice in preferences(kept).items() if name not in (upgraded or ())}
    builds = [build for build in kept.builds if build.name not in (upgraded or ())] if kept else []
    with context.reporter.step("lock") as step:
        lock = resolve_lock(context, project, target, preferred=preferred, builds=builds, indexes=indexes)
        if lock != before:
            write_lock(project, lock)
        step.note(f"{_count(lock)} for {target}")
    return lock, find_changes(before, lock)


def require_distribution(lock: Lock, name: str) -> LockedDistribution:
    """Return the distribution *name* of *lock*. Raises UsageError, with similar names, when there is none."""
    if found := lock.find(name):
        return found
    names = [item.name for item in lock.distributions]
    hint = did_you_mean(name, names) or "packages in the lockfile: " + (", ".join(names) or "none")
    raise UsageError(f"{name} is not in the lockfile for {lock.target}", hint=hint)


def preferences(lock: Lock | None) -> Mapping[str, tuple[str, str]]:
    """Return version and source of each distribution in *lock*, by name."""
    return {item.name: (item.version, item.source) for item in lock.distributions} if lock else {}


def _count(lock: Lock) -> str:
    files = sum(item.file is not None for item in lock.distributions)
    return format_count(len(lock.debs), "deb") + (f" and {format_count(files, 'distribution')}" if files else "")
