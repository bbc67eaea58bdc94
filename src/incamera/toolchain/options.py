"""The settings of a build that a recipe may change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Setting = str | tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """What a recipe changes about a build.

    `settings`: the back end's config settings. `environment`: additional environment variables.
    `build_requires`: replaces the project's `build-system.requires`. The back end may still add its own.
    """

    settings: Mapping[str, Setting] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    build_requires: tuple[str, ...] | None = None


def with_build_folder(
    settings: Mapping[str, Setting], requirements: Collection[str], folder: Path
) -> Mapping[str, Setting]:
    """Return *settings* with which a back end among the *requirements* keeps its object files in *folder*.

    Other back ends, as setuptools, keep them in the project.
    """
    if {"meson-python", "scikit-build-core"} & set(requirements):
        return {"build-dir": str(folder), **settings}
    return settings
