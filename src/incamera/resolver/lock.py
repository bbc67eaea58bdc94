"""Make a lock: versions and sources of the distributions, and the Debian packages that they and the runtime need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from incamera.build.deb_trees import load_index
from incamera.build.indexes import open_indexes
from incamera.debian.closure import load_closure_rules, resolve_closure
from incamera.errors import ConfigError
from incamera.names import did_you_mean
from incamera.project.locked import Lock, LockedBuild, LockedDeb, LockedDistribution
from incamera.project.lockfile import lock_inputs
from incamera.project.recipes import load_recipes
from incamera.resolver.candidates import locked_file
from incamera.resolver.deb_contents import find_wrong_debs
from incamera.resolver.explain import explain_choice, explain_passed_over
from incamera.resolver.extras import describe_unknown_extras
from incamera.resolver.finder import CandidateFinder
from incamera.resolver.misnomers import describe_misnomers
from incamera.resolver.recipe_names import describe_misnamed_recipes, refuse_unknown_debs
from incamera.resolver.size import describe_size
from incamera.resolver.solve import resolve
from incamera.resolver.suites import runtime_data, target_environment
from incamera.wheels.metadata import fetch_wheel_metadata

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.debian.closure import ClosureRules
    from incamera.debian.index import Deb, PackageIndex
    from incamera.project.recipes import Recipe, Recipes
    from incamera.project.settings import Project
    from incamera.resolver.builds import BuildPlanner
    from incamera.resolver.solve import Resolved
    from incamera.targets.target import Target
    from incamera.wheels.index import PackageIndexes
    from incamera.wheels.metadata import Metadata
    from incamera.wheels.page import IndexFile


def resolve_lock(
    context: Context,
    project: Project,
    target: Target,
    *,
    preferred: Mapping[str, tuple[str, str]] | None = None,
    builds: Sequence[LockedBuild] = (),
    indexes: PackageIndexes | None = None,
) -> Lock:
    """Return a new lock of *project* for *target*.

    *preferred* maps names to the version and source that are kept where they fit, as are the versions in *builds*.
    *indexes* are those of the user's settings, where they are open already. Raises ResolveError when no versions fit
    each other, FetchError when an index or mirror cannot be reached.
    """
    debs = load_index(context, target.suite, target.architecture.facts.debian)
    for warning in debs.warnings:
        context.reporter.warn(warning)
    recipes = load_recipes(target.architecture, project.recipes)
    indexes = open_indexes(context) if indexes is None else indexes.for_target()
    environment = target_environment(target, debs)

    @cache
    def planner() -> BuildPlanner:
        from incamera.resolver.builds import BuildPlanner  # lazy: most locks have no builds, which need much

        made = BuildPlanner(context, project, target, indexes, recipes, environment=environment)
        made.earlier = builds
        return made

    def read_metadata(file: IndexFile, _: Recipe) -> Metadata:
        is_wheel = file.kind == "wheel"
        return fetch_wheel_metadata(file, context.http, context.store) if is_wheel else planner().metadata(file)

    if project.local or project.git:
        from incamera.resolver.local import use_local_files  # lazy: few projects have local packages

        use_local_files(planner())
    wanted = project
    if project.has_build_system:
        planner().plan_project()
    if project.has_dynamic_dependencies:
        from incamera.resolver.own_metadata import with_dynamic_metadata  # lazy: it imports what builds need

        wanted = with_dynamic_metadata(context, project, planner())
    _require_full_python(wanted, target, environment["python_full_version"])
    finder = CandidateFinder(
        target,
        debs,
        indexes,
        recipes,
        read_metadata=read_metadata,
        sources=project.sources,
        preferred=preferred,
    )
    resolved = resolve(wanted, finder)
    _refuse_unknown_sources(wanted, [item.candidate.name for item in resolved])
    while wrong := find_wrong_debs(context, resolved, finder.names):
        finder.refuse_debs(wrong)
        resolved = resolve(wanted, finder)
    for warning in (
        *describe_unknown_extras(resolved, finder),
        *describe_misnomers(resolved),
        *describe_misnamed_recipes(recipes.own, [item.candidate.name for item in resolved]),
    ):
        context.reporter.warn(warning)
    sdists = [
        planner().sdist(item.candidate.file, item.candidate.source).file.sha256
        for item in resolved
        if item.candidate.source in ("sdist", "emulated") and item.candidate.file is not None
    ]
    closure = _resolve_debs(project, finder, debs, recipes, resolved)
    for warning in describe_size(resolved, closure, debs, runtime_rules(target), project.debs):
        context.reporter.warn(warning)
    return Lock(
        target=target,
        inputs=lock_inputs(project, target),
        distributions=tuple(_locked_distribution(item, finder, project, recipes) for item in resolved),
        debs=tuple(_locked_deb(deb) for deb in closure),
        builds=planner().needed(sdists) if sdists or project.has_build_system else (),
    )


def _require_full_python(project: Project, target: Target, full: str) -> None:
    """Raises ConfigError when the project's requires-python excludes the patch release that Debian has."""
    if not project.requires_python.contains(full, prereleases=True):
        raise ConfigError(
            f'project.requires-python is "{project.requires_python}", but {target} has Python {full}',
            hint="change requires-python: Debian has no other patch release",
        )


def _refuse_unknown_sources(project: Project, resolved: Sequence[str]) -> None:
    """Raises ConfigError for a name in tool.incamera.sources that is none of the project's packages."""
    # A marker may exclude a dependency on this target.
    named = {canonicalize_name(Requirement(text).name) for text in (*project.dependencies, *project.constraints)}
    for name in project.sources:
        if name not in resolved and name not in named:
            hint = did_you_mean(name, resolved) or "packages of the project: " + (", ".join(resolved) or "none")
            raise ConfigError(f'tool.incamera.sources: "{name}" is not a package that the project needs', hint=hint)


def _resolve_debs(
    project: Project, finder: CandidateFinder, index: PackageIndex, recipes: Recipes, resolved: Sequence[Resolved]
) -> list[Deb]:
    """Return the runtime's own packages, those from the source "deb", and those that wheels and built sdists need."""
    target = finder.target
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
        if package := finder.package_of(candidate.name):
            elsewhere[package] = ""
        if candidate.source == "wheel":
            refuse_unknown_debs(recipe, "wheel.debs", recipe.wheel.debs, index)
            roots += recipe.wheel.debs
        else:
            refuse_unknown_debs(recipe, "sdist.debs", recipe.sdist.debs, index)
            refuse_unknown_debs(recipe, "sdist.dev", recipe.sdist.dev, index)
            roots += recipe.sdist.debs
            roots += runtime_debs(index, recipe.sdist.dev)
        if candidate.file is not None and not candidate.file.filename.endswith("-any.whl"):
            roots += runtime_data()["binary"]
    rules = runtime_rules(target).extended(
        provided=elsewhere, excluded=dict.fromkeys(sorted(left_out - elsewhere.keys()), "left out by a recipe")
    )
    return resolve_closure(index, list(dict.fromkeys(roots)), rules)


def runtime_debs(index: PackageIndex, dev: Sequence[str]) -> list[str]:
    """Return the packages with the shared libraries of the *dev* packages, which depend on them in the same version."""
    found: list[str] = []
    queue = list(dev)
    seen: set[str] = set()
    while queue:
        name = queue.pop()
        if name in seen or not (debs := index.find(name)):
            continue
        seen.add(name)
        for relation in debs[0].requirements:
            needed = relation[0]
            if needed.name.endswith("-dev"):
                queue.append(needed.name)
            elif needed.operator == "=" and needed.name.startswith("lib"):
                found.append(needed.name)
    return sorted(dict.fromkeys(found))


def runtime_roots(target: Target) -> list[str]:
    """Return the Debian packages that every runtime for *target* has."""
    return [name.format(python=target.python) for name in runtime_data()["roots"]]


def runtime_rules(target: Target) -> ClosureRules:
    """Return the rules for the closure of a runtime's packages."""
    data = runtime_data()
    return load_closure_rules().extended(
        excluded=dict.fromkeys(data["excluded"], "not wanted in a runtime"),
        prefer=data["prefer"],
        provided={name.format(python=target.python): target.python for name in data["provided"]},
    )


def _locked_distribution(
    item: Resolved, finder: CandidateFinder, project: Project, recipes: Recipes
) -> LockedDistribution:
    candidate = item.candidate
    file = candidate.file
    return LockedDistribution(
        name=candidate.name,
        version=str(candidate.version),
        source=candidate.source,
        why=explain_choice(item, finder, project),
        file=locked_file(file) if file else None,
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
