"""lock: choose the packages for a target, each from its source, and write them to the lockfile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from incamera.build.deb_trees import load_index
from incamera.errors import ConfigError, UsageError
from incamera.names import did_you_mean
from incamera.project.lockfile import (
    Lock,
    LockedDeb,
    LockedDistribution,
    LockedFile,
    describe_changes,
    find_lock,
    load_lock,
    lock_inputs,
    lock_path,
    write_lock,
)

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.debian.closure import ClosureRules
    from incamera.debian.index import Deb, PackageIndex
    from incamera.project.recipes import Recipes
    from incamera.project.settings import Project
    from incamera.resolver.finder import CandidateFinder
    from incamera.resolver.solve import Resolved
    from incamera.targets.target import Target


def ensure_lock(
    context: Context,
    project: Project,
    target: Target,
    *,
    renew: bool = True,
    before_resolving: Callable[[], None] = lambda: None,
) -> Lock:
    """Return the project's lock for *target*; one that is not there is made.

    One that no longer answers the settings is made anew, or, without *renew*, refused (ConfigError).
    """
    with context.reporter.step("lock") as step:
        lock = find_lock(project, target)
        if lock is not None:
            step.cached = True
        else:
            before = load_lock(project, target)
            if before is not None and not renew:
                raise ConfigError(
                    f"{lock_path(project, target).name} is stale: it was made for other dependencies or settings",
                    hint="make it anew with `incamera lock`",
                )
            before_resolving()
            lock = resolve_lock(context, project, target, preferred=preferences(before))
            write_lock(project, lock)
        step.note(f"{_count(lock)} for {target}")
    return lock


def make_lock(
    context: Context, project: Project, target: Target, *, upgrade: bool = False, names: Iterable[str] = ()
) -> tuple[Lock, Sequence[str]]:
    """Choose again from what there is now. Returns the lock and what changed, a line each.

    What was locked stays where it still fits, but for *names*; nothing does with *upgrade*. Debian packages are always
    those that the archive has now: it keeps no others.
    """
    try:
        before = load_lock(project, target)
    except ConfigError:  # a damaged one is what this mends
        before = None
    names = set(names)
    for name in sorted(names):
        if before is not None:
            require_distribution(before, name)
    preferred = {} if upgrade else {n: choice for n, choice in preferences(before).items() if n not in names}
    with context.reporter.step("lock") as step:
        lock = resolve_lock(context, project, target, preferred=preferred, fresh=upgrade or bool(names))
        write_lock(project, lock)
        step.note(f"{_count(lock)} for {target}")
    return lock, describe_changes(before, lock)


def require_distribution(lock: Lock, name: str) -> LockedDistribution:
    """Raises UsageError, with the closest names, when the lock has no *name*."""
    if found := lock.find(name):
        return found
    names = [item.name for item in lock.distributions]
    hint = did_you_mean(name, names) or ("it has " + ", ".join(names) if names else "it has no distributions")
    raise UsageError(f"{name} is not in the lock for {lock.target}", hint=hint)


def preferences(lock: Lock | None) -> Mapping[str, tuple[str, str]]:
    return {item.name: (item.version, item.source) for item in lock.distributions} if lock else {}


def resolve_lock(
    context: Context,
    project: Project,
    target: Target,
    *,
    preferred: Mapping[str, tuple[str, str]] | None = None,
    fresh: bool = False,
) -> Lock:
    from incamera.build.sdists import open_indexes, require_metadata
    from incamera.project.recipes import load_recipes
    from incamera.resolver.finder import CandidateFinder
    from incamera.resolver.solve import resolve

    debs = load_index(context, target.suite, target.architecture.facts.debian)
    for warning in debs.warnings:
        context.reporter.warn(warning)
    recipes = load_recipes(target.architecture, project.recipes)
    indexes = open_indexes(context, fresh=fresh)
    finder = CandidateFinder(
        target,
        debs,
        indexes,
        recipes,
        read_metadata=lambda file, recipe: require_metadata(context, target, indexes, file, recipe),
        sources=project.sources,
        preferred=preferred,
    )
    resolved = resolve(project, finder)
    closure = _resolve_debs(project, target, debs, recipes, resolved)
    return Lock(
        target=target,
        inputs=lock_inputs(project, target),
        distributions=tuple(_locked_distribution(item, finder, project, recipes) for item in resolved),
        debs=tuple(_locked_deb(deb) for deb in closure),
    )


def _resolve_debs(
    project: Project, target: Target, index: PackageIndex, recipes: Recipes, resolved: Sequence[Resolved]
) -> list[Deb]:
    """Return the runtime's own packages, those from the source "deb", and those that wheels and built sdists need."""
    from incamera.build.sdists import runtime_debs
    from incamera.debian.closure import resolve_closure
    from incamera.resolver.suites import deb_package, runtime_data

    roots = [*runtime_roots(target), *project.debs]
    # A distribution from another source takes the place of Debian's package of it.
    elsewhere: dict[str, str] = {}
    left_out: set[str] = set()
    for item in resolved:
        candidate, recipe = item.candidate, recipes.find(item.candidate.name)
        if candidate.deb is not None:
            roots.append(candidate.deb.package)
            left_out |= set(recipe.deb.without)
            continue
        elsewhere[deb_package(recipe)] = ""
        if candidate.source == "wheel":
            roots += recipe.wheel.debs
        else:
            roots += recipe.sdist.debs
            roots += runtime_debs(index, recipe.sdist.dev)
        if candidate.file is not None and not candidate.file.filename.endswith("-any.whl"):
            roots += runtime_data()["binary"]
    rules = runtime_rules(target).extended(
        provided=elsewhere, excluded=dict.fromkeys(sorted(left_out - elsewhere.keys()), "left out by a recipe")
    )
    return resolve_closure(index, list(dict.fromkeys(roots)), rules)


def runtime_roots(target: Target) -> list[str]:
    from incamera.resolver.suites import runtime_data

    return [name.format(python=target.python) for name in runtime_data()["roots"]]


def runtime_rules(target: Target) -> ClosureRules:
    from incamera.debian.closure import load_closure_rules
    from incamera.resolver.suites import runtime_data

    data = runtime_data()
    return load_closure_rules().extended(
        excluded=dict.fromkeys(data["excluded"], "not wanted in a runtime"),
        prefer=data["prefer"],
        provided={name.format(python=target.python): target.python for name in data["provided"]},
    )


def _locked_distribution(
    item: Resolved, finder: CandidateFinder, project: Project, recipes: Recipes
) -> LockedDistribution:
    from incamera.resolver.explain import explain_choice, explain_passed_over

    candidate = item.candidate
    file = candidate.file
    return LockedDistribution(
        name=candidate.name,
        version=str(candidate.version),
        source=candidate.source,
        why=explain_choice(item, finder, project),
        file=LockedFile(filename=file.filename, url=file.url, sha256=file.sha256, size=file.size) if file else None,
        requires=item.requires,
        passed_over=tuple(explain_passed_over(item, finder, project)),
        recipe=recipes.find(candidate.name).digest if candidate.source in ("sdist", "emulated") else "",
    )


def _locked_deb(deb: Deb) -> LockedDeb:
    return LockedDeb(
        package=deb.package,
        version=deb.version,
        architecture=deb.architecture,
        archive=deb.archive,
        filename=deb.filename,
        size=deb.size,
        sha256=deb.sha256,
    )


def _count(lock: Lock) -> str:
    files = sum(item.file is not None for item in lock.distributions)
    return f"{len(lock.debs)} debs" + (f" and {files} distributions" if files else "")
