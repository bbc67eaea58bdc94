"""What a recipe may change about a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Setting = str | tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions:
    """*settings*: the back end's config settings. *environment*: variables on top of the build's own.

    *build_requires*: in place of the project's `build-system.requires`; what the back end asks for is added as ever.
    """

    settings: Mapping[str, Setting] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    build_requires: tuple[str, ...] | None = None
