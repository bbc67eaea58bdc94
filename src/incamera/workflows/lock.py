"""lock: choose the packages for a target and write them down."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from incamera.errors import ConfigError, ResolveError
from incamera.project.lockfile import (
    Lock,
    LockedDeb,
    LockedDistribution,
    describe_changes,
    find_lock,
    load_lock,
    lock_inputs,
    write_lock,
)
from incamera.workflows.tools import load_index

if TYPE_CHECKING:
    from incamera.debian.closure import ClosureRules
    from incamera.debian.index import Deb, PackageIndex
    from incamera.project.settings import Project
    from incamera.targets.target import Target
    from incamera.workflows.context import Context


def ensure_lock(
    context: Context, project: Project, target: Target, *, before_resolving: Callable[[], None] = lambda: None
) -> Lock:
    """Return the project's lock for *target*, made anew when there is none or the settings have changed."""
    with context.reporter.step("lock") as step:
        lock = find_lock(project, target)
        if lock is not None:
            step.cached = True
        else:
            before_resolving()
            lock = resolve_lock(context, project, target)
            write_lock(project, lock)
        step.note(f"{len(lock.debs)} packages for {target}")
    return lock


def make_lock(context: Context, project: Project, target: Target) -> tuple[Lock, Sequence[str]]:
    """Choose again from what the archive has now. Returns the lock and what changed, a line each."""
    try:
        before = load_lock(project, target)
    except ConfigError:  # a damaged one is what this mends
        before = None
    with context.reporter.step("lock") as step:
        lock = resolve_lock(context, project, target)
        write_lock(project, lock)
        step.note(f"{len(lock.debs)} packages for {target}")
    return lock, describe_changes(before, lock)


def resolve_lock(context: Context, project: Project, target: Target) -> Lock:
    from incamera.debian.closure import resolve_closure

    index = load_index(context, target.suite, target.architecture.facts.debian)
    for warning in index.warnings:
        context.reporter.warn(warning)
    choices = [_choose_deb(text, index, target) for text in project.dependencies]
    chosen = [choice for choice in choices if choice is not None]
    roots = [*runtime_roots(target), *(deb.package for deb, _ in chosen), *project.debs]
    debs = resolve_closure(index, roots, runtime_rules(target))
    return Lock(
        target=target,
        inputs=lock_inputs(project, target),
        distributions=tuple(distribution for _, distribution in chosen),
        debs=tuple(_locked(deb) for deb in sorted(debs, key=lambda deb: deb.package)),
    )


def runtime_roots(target: Target) -> list[str]:
    return [name.format(python=target.python) for name in _runtime_data()["roots"]]


def runtime_rules(target: Target) -> ClosureRules:
    from incamera.debian.closure import load_closure_rules

    data = _runtime_data()
    return load_closure_rules().extended(
        excluded=dict.fromkeys(data["excluded"], "not wanted in a runtime"),
        prefer=data["prefer"],
        provided={name.format(python=target.python): target.python for name in data["provided"]},
    )


def _choose_deb(text: str, index: PackageIndex, target: Target) -> tuple[Deb, LockedDistribution] | None:
    """Return the Debian package that satisfies the requirement *text*; None when a marker rules it out."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    requirement = Requirement(text)
    if requirement.marker is not None and not requirement.marker.evaluate(_environment(target)):
        return None
    name = canonicalize_name(requirement.name)
    package = _runtime_data()["distributions"].get(name, f"python3-{name}")
    found = index.find(package)
    if not found:
        closest = [match.removeprefix("python3-") for match in index.closest(package) if match.startswith("python3-")]
        raise ResolveError(
            f'there is no package for "{name}" in Debian {target.suite.name}, where packages come from so far',
            hint=f"did you mean {' or '.join(closest)}?" if closest else None,
        )
    deb = found[0]
    version = upstream_version(deb.version)
    if not requirement.specifier.contains(version, prereleases=True):
        raise ResolveError(
            f'"{text}" cannot be had for {target}: Debian {target.suite.name} has {name} {version}',
            hint=f'ask for "{name}", or choose another Python with python = "…" in [tool.incamera]',
        )
    why = f"{package} of Debian {target.suite.name} satisfies {json.dumps(text)}"
    return deb, LockedDistribution(name=name, version=version, rung="deb", why=why)


def upstream_version(version: str) -> str:
    """Return the version as its authors call it: `1:1.24.2-1+deb12u1` is 1.24.2."""
    upstream = version.rpartition(":")[2].rpartition("-")[0] or version.rpartition(":")[2]
    for addition in ("+dfsg", "+ds", "~dfsg", "~ds", ".dfsg", "+repack"):
        upstream = upstream.partition(addition)[0]
    return upstream.replace("~", "")


def _environment(target: Target) -> dict[str, str]:
    """PEP 508's markers as the target sees them, never the host."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{target.python}.0",
        "os_name": "posix",
        "platform_machine": target.architecture.facts.wheel,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{target.python}.0",
        "python_version": target.python,
        "sys_platform": "linux",
        "extra": "",
    }


def _locked(deb: Deb) -> LockedDeb:
    return LockedDeb(
        package=deb.package,
        version=deb.version,
        architecture=deb.architecture,
        archive=deb.archive,
        filename=deb.filename,
        size=deb.size,
        sha256=deb.sha256,
    )


@cache
def _runtime_data() -> dict[str, Any]:
    return tomllib.loads(resources.files("incamera.workflows").joinpath("data/runtime.toml").read_text("utf-8"))
