"""Wrong names in the recipes of a project."""

from __future__ import annotations

import pytest

from incamera.debian.index import PackageIndex
from incamera.errors import ConfigError
from incamera.project.recipes import Recipe
from incamera.resolver.recipe_names import describe_misnamed_recipes, refuse_unknown_debs

from .world import World


@pytest.fixture
def index() -> PackageIndex:
    world = World()
    world.deb("libzbar-dev", "0.23-1")
    return PackageIndex({"main": "\n".join(world.stanzas).encode()})


def test_unknown_debian_package_is_refused_with_the_recipe_and_the_key(index: PackageIndex) -> None:
    recipe = Recipe(name="zbarlight")
    refuse_unknown_debs(recipe, "sdist.dev", ["libzbar-dev"], index)
    with pytest.raises(ConfigError, match=r"zbarlight\.toml: sdist\.dev: .* libzbar-dve$") as caught:
        refuse_unknown_debs(recipe, "sdist.dev", ["libzbar-dev", "libzbar-dve"], index)
    assert caught.value.hint == "did you mean libzbar-dev?"


@pytest.mark.parametrize(
    ("recipes", "warned"),
    [
        (["zbarligth"], ["recipe zbarligth.toml is for no package of the project: rename it if zbarlight was meant"]),
        (["zbarlight"], []),
        (["zbarlight", "zbarlight2"], []),
        (["shapely"], []),  # another target may need it
    ],
)
def test_recipe_with_a_misspelt_name_gets_a_warning(recipes: list[str], warned: list[str]) -> None:
    assert list(describe_misnamed_recipes(recipes, ["pillow", "zbarlight"])) == warned
