"""Which Debian package holds which distribution. Their names differ: pytz is python3-tz, zope-event python3-zope.event.

The table of a suite is that of its dh-python, which was made from the metadata inside the packages. For a distribution
that it lacks, the package is guessed, and what the package holds is looked up before the lock is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name, is_normalized_name

if TYPE_CHECKING:
    from incamera.debian.index import PackageIndex
    from incamera.project.recipes import Recipes

_PREFIX = "python3-"


class DebianNames:
    """The names in *suite*, whose packages are *debs*. A recipe's name goes first."""

    def __init__(self, suite: str, debs: PackageIndex, recipes: Recipes) -> None:
        self._suite = suite
        self._debs = debs
        self._recipes = recipes
        self._distributions: dict[str, tuple[str, ...]] = {}
        self._guesses: dict[str, str] | None = None

    @cached_property
    def _by_recipe(self) -> Mapping[str, str]:
        """The packages that recipes name, by the names of the distributions, sorted."""
        packages = {name: self._recipes.find(name).deb.package for name in sorted(self._recipes.names())}
        return {name: package for name, package in packages.items() if package}

    def package_of(self, name: str) -> str:
        """Return the name of the package that holds the distribution *name*, if the suite has one."""
        named = self._by_recipe.get(name)
        known = (named,) if named else _packages_in(_table(self._suite), name)
        return next((package for package in known if self._debs.find(package)), None) or self._guess(name)

    def distribution_of(self, package: str) -> str:
        """Return the name of the distribution that *package* holds."""
        plain = canonicalize_name(package.removeprefix(_PREFIX))
        known = self._distributions_in(package)
        return plain if plain in known or not known else known[0]

    def distributions(self) -> list[str]:
        """Return the names of all distributions in the suite, and of those that have recipes."""
        lines = [line.partition(" ")[0] for line in _table(self._suite).splitlines()]
        return [*self._by_recipe, *(name for name in lines if name and name != "#")]

    def others_in(self, package: str, name: str) -> Sequence[str]:
        """Return the distributions that *package* is known to hold, if *name* is none of them."""
        known = self._distributions_in(package)
        return () if name in known else known

    def is_certain(self, name: str, package: str) -> bool:
        """Return whether *package* is known to hold *name*. A program's package may have its modules elsewhere."""
        return package.startswith(_PREFIX) and name in self._distributions_in(package)

    def _distributions_in(self, package: str) -> tuple[str, ...]:
        """Return the distributions that *package* is known to hold, those of recipes first.

        python3-opencv is opencv-python, not the opencv that its metadata say.
        """
        if package not in self._distributions:
            named = [name for name, other in self._by_recipe.items() if other == package]
            listed = [name for name in _names_in(_table(self._suite), package) if name not in self._by_recipe]
            self._distributions[package] = (*named, *listed)
        return self._distributions[package]

    def _guess(self, name: str) -> str:
        guess = f"{_PREFIX}{name}"
        if self._debs.find(guess):
            return guess
        if self._guesses is None:  # python3-zope.event
            found = (name for name in self._debs.names(_PREFIX) if not is_normalized_name(name))
            self._guesses = {canonicalize_name(name): name for name in found}
        return self._guesses.get(guess, guess)


@cache
def _table(suite: str) -> str:
    """Return the table of *suite*, with a line break before each line and after it.

    A line is a distribution's normalized name, and its package where that is not `python3-NAME`. A lock asks for some
    dozens of 4,000 lines, so it is searched, not parsed.
    """
    text = resources.files("incamera.resolver").joinpath("data", "debian_names", f"{suite}.txt").read_text("utf-8")
    return f"\n{text.strip()}\n"


@lru_cache(maxsize=4096)
def _packages_in(table: str, name: str) -> tuple[str, ...]:
    """Return the packages of the distribution *name*, in the table's order."""
    found = []
    place = table.find(f"\n{name}")
    while place >= 0:
        rest = place + 1 + len(name)
        end = table.index("\n", place + 1)
        if table[rest] == "\n":
            found.append(f"{_PREFIX}{name}")
        elif table[rest] == " ":
            found.append(table[rest + 1 : end])
        place = table.find(f"\n{name}", end)
    return tuple(found)


def _names_in(table: str, package: str) -> list[str]:
    """Return the distributions of *package*, sorted."""
    found = []
    place = table.find(f" {package}\n")
    while place >= 0:
        found.append(table[table.rindex("\n", 0, place) + 1 : place])
        place = table.find(f" {package}\n", place + 1)
    plain = package.removeprefix(_PREFIX)
    if plain != package and f"\n{plain}\n" in table:
        found.append(plain)
    return sorted(name for name in found if name != "#")
