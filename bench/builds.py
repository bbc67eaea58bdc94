"""What the builds of these scripts require: resolved from the package index, since there is no lock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.deb_trees import load_index
from incamera.build.indexes import open_indexes
from incamera.project.recipes import load_recipes
from incamera.project.settings_parsing import parse_project
from incamera.resolver.builds import BuildPlanner, Chooser
from incamera.resolver.suites import target_environment

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.targets.target import Target


def fresh_requirements(context: Context, target: Target) -> Chooser:
    """Return what installs the newest versions that a build for *target* requires."""
    project = parse_project({"project": {"name": "bench"}, "tool": {"incamera": {"entry": "bench"}}}, Path())
    recipes = load_recipes(target.architecture, None)
    environment = target_environment(target, load_index(context, target.suite, target.architecture.facts.debian))
    planner = BuildPlanner(context, project, target, open_indexes(context), recipes, environment=environment)
    return Chooser(planner, "bench", "")
