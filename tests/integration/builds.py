"""Wheel builds outside of a lock: what they require is resolved when they are built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.build.deb_trees import load_index
from incamera.build.indexes import open_indexes
from incamera.context import Context
from incamera.project.recipes import load_recipes
from incamera.project.settings_parsing import parse_project
from incamera.resolver.builds import BuildPlanner, Chooser
from incamera.resolver.suites import target_environment
from incamera.targets.target import Target
from incamera.toolchain.wheel_build import WheelBuild

from .reporter import QuietReporter

if TYPE_CHECKING:
    from incamera.store import Store


def wheel_build(*, store: Store, target: str = "armv7hf", **values: Any) -> WheelBuild:
    return WheelBuild(store=store, requirements=fresh_requirements(store, Target.parse(target)), **values)


def fresh_requirements(store: Store, target: Target) -> Chooser:
    context = Context(store, QuietReporter())
    project = parse_project({"project": {"name": "tests"}, "tool": {"incamera": {"entry": "tests"}}}, Path())
    debs = load_index(context, target.suite, target.architecture.facts.debian)
    planner = BuildPlanner(
        context,
        project,
        target,
        open_indexes(context),
        load_recipes(target.architecture, None),
        environment=target_environment(target, debs),
    )
    return Chooser(planner, "tests", "")
