"""Wrong names in recipes: of a Debian package that does not exist, and of the recipe's own file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from incamera.debian.closure import unknown_package_hint
from incamera.errors import ConfigError
from incamera.names import closest

if TYPE_CHECKING:
    from incamera.debian.index import PackageIndex
    from incamera.project.recipes import Recipe


def refuse_unknown_debs(recipe: Recipe, key: str, debs: Sequence[str], index: PackageIndex) -> None:
    """Raises ConfigError for one of *debs* that Debian does not have. *key* is where *recipe* names them."""
    for name in debs:
        if not index.find(name) and not index.providers(name):
            raise ConfigError(
                f"recipe {recipe.name}.toml: {key}: there is no Debian package {name}",
                hint=unknown_package_hint(index, name),
            )


def describe_misnamed_recipes(recipes: Collection[str], resolved: Collection[str]) -> Iterator[str]:
    """Yield a warning for each of the project's *recipes* whose name is almost that of a package in *resolved*.

    A recipe for no package of this lock is not wrong: another target, or the packages of the tests, may need it.
    """
    free = [name for name in resolved if name not in recipes]
    for name in sorted(set(recipes) - set(resolved)):
        if similar := closest(name, free, count=1):
            yield f"recipe {name}.toml is for no package of the project: rename it if {similar[0]} was meant"
