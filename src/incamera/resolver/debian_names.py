"""Which Debian package holds which distribution. Their names differ: pytz is python3-tz, zope-event python3-zope.event.

The table of a suite is that of its dh-python, which was made from the metadata inside the packages. For a distribution
that it lacks, the package is guessed, and what the package holds is looked up before the lock is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from incamera.debian.index import PackageIndex
    from incamera.project.recipes import Recipes

_PREFIX = "python3-"


class DebianNames:
    """The names in *suite*, whose packages are *debs*. A recipe's name goes first."""

    def __init__(self, suite: str, debs: PackageIndex, recipes: Recipes) -> None:
        self._debs = debs
        self._packages = dict(_table(suite))
        for name in recipes.names():
            if package := recipes.find(name).deb.package:
                self._packages[name] = (package,)
        self._distributions: dict[str, list[str]] = {}
        # A recipe's first: python3-opencv is opencv-python, not the opencv that its metadata say.
        by_recipe = {name for name in recipes.names() if recipes.find(name).deb.package}
        for name in sorted(self._packages, key=lambda name: (name not in by_recipe, name)):
            for package in self._packages[name]:
                self._distributions.setdefault(package, []).append(name)
        self._guesses: dict[str, str] | None = None

    def package_of(self, name: str) -> str:
        """Return the name of the package that holds the distribution *name*, if the suite has one."""
        known = self._packages.get(name, ())
        return next((package for package in known if self._debs.find(package)), None) or self._guess(name)

    def distribution_of(self, package: str) -> str:
        """Return the name of the distribution that *package* holds."""
        plain = canonicalize_name(package.removeprefix(_PREFIX))
        known = self._distributions.get(package, ())
        return plain if plain in known or not known else known[0]

    def others_in(self, package: str, name: str) -> Sequence[str]:
        """Return the distributions that *package* is known to hold, if *name* is none of them."""
        known = self._distributions.get(package, ())
        return () if name in known else known

    def is_certain(self, name: str, package: str) -> bool:
        """Return whether *package* is known to hold *name*. A program's package may have its modules elsewhere."""
        return package.startswith(_PREFIX) and name in self._distributions.get(package, ())

    def _guess(self, name: str) -> str:
        guess = f"{_PREFIX}{name}"
        if self._debs.find(guess):
            return guess
        if self._guesses is None:  # python3-zope.event
            found = self._debs.names(_PREFIX)
            self._guesses = {canonicalize_name(found): found for found in found}
        return self._guesses.get(guess, guess)


@cache
def _table(suite: str) -> Mapping[str, tuple[str, ...]]:
    """Return the packages of each distribution, by its normalized name."""
    text = resources.files("incamera.resolver").joinpath("data", "debian_names", f"{suite}.txt").read_text("utf-8")
    table: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        name, _, package = line.partition(" ")
        if name != "#":
            table[name] = (*table.get(name, ()), package or f"{_PREFIX}{name}")
    return table
