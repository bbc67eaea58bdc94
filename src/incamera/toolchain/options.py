"""What a recipe may change about a build."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Setting = str | tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """*settings*: the back end's config settings. *environment*: variables on top of the build's own.

    *build_requires*: in place of the project's `build-system.requires`; what the back end asks for is added as ever.
    """

    settings: Mapping[str, Setting] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    build_requires: tuple[str, ...] | None = None


def with_build_folder(
    settings: Mapping[str, Setting], requirements: Collection[str], folder: Path
) -> Mapping[str, Setting]:
    """Return *settings* so that a back end among the *requirements* keeps its objects in *folder*.

    Those that are not named here (setuptools) keep them in the project.
    """
    if {"meson-python", "scikit-build-core"} & set(requirements):
        return {"build-dir": str(folder), **settings}
    return settings
