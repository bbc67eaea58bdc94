"""What each rung of the ladder has of one distribution for a target, and why it has not what one might expect."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from incamera.resolver.candidates import Candidate
from incamera.resolver.suites import deb_package, upstream_version

if TYPE_CHECKING:
    from incamera.debian.index import PackageIndex
    from incamera.project.recipes import Recipe
    from incamera.targets.target import Target
    from incamera.wheels.index import PackageIndexes
    from incamera.wheels.page import IndexFile

_LINUX = re.compile(r"(?:manylinux(?:\d+|_\d+_\d+)|linux)_(\w+)")


class Rungs:
    def __init__(
        self, target: Target, debs: PackageIndex, indexes: PackageIndexes, environment: Mapping[str, str]
    ) -> None:
        from incamera.wheels.tags import supported_tags

        self._target = target
        self._debs = debs
        self._indexes = indexes
        self._environment = environment
        self._tags = supported_tags(target)
        # Why something isn't offered, for those who ask: by name, then by rung.
        self.reasons: dict[str, dict[str, str]] = {}

    def files(self, name: str) -> Sequence[IndexFile]:
        """Return what the indexes have of *name* for the target."""
        return self._indexes.find(name, self._tags)

    def wheels(self, name: str, files: Sequence[IndexFile]) -> list[Candidate]:
        """Return the best wheel of each version that fits, newest first."""
        from incamera.wheels.tags import wheel_rank

        best: dict[Version, tuple[tuple[int, int], IndexFile]] = {}
        for file in files:
            if file.kind != "wheel" or not self._suits_python(file):
                continue
            rank = wheel_rank(file.filename, self._tags)
            if rank is not None and (file.version not in best or rank < best[file.version][0]):
                best[file.version] = (rank, file)
        return [
            Candidate(name=name, version=version, rung="wheel", file=best[version][1])
            for version in sorted(best, reverse=True)
        ]

    def sdists(self, name: str, files: Sequence[IndexFile], recipe: Recipe) -> list[Candidate]:
        tried = SpecifierSet(recipe.sdist.versions)
        rung = "emulated" if recipe.sdist.builder == "emulated" else "sdist"
        found: dict[Version, IndexFile] = {}
        for file in files:
            if file.kind == "sdist" and self._suits_python(file) and tried.contains(file.version, prereleases=True):
                found.setdefault(file.version, file)
        if files and not found:
            beyond = f" that the recipe was tried with ({recipe.sdist.versions})" if recipe.sdist.versions else ""
            self.reasons.setdefault(name, {})["sdist"] = (
                f"the index has no sdist{beyond} for Python {self._target.python}"
            )
        return [
            Candidate(name=name, version=version, rung=rung, file=found[version])
            for version in sorted(found, reverse=True)
        ]

    def deb(self, name: str, recipe: Recipe) -> Candidate | None:
        package = deb_package(recipe)
        found = self._debs.find(package)
        reasons = self.reasons.setdefault(name, {})
        if not found:
            reasons["deb"] = f"Debian {self._target.suite.name} has no {package}"
            return None
        try:
            version = Version(upstream_version(found[0].version))
        except InvalidVersion:
            reasons["deb"] = f"{package} has the version {found[0].version}, which says nothing to a Python requirement"
            return None
        return Candidate(name=name, version=version, rung="deb", deb=found[0])

    def explain_wheels(self, name: str) -> str:
        """Return why none of *name*'s wheels will do."""
        files = self._indexes.find(name)
        if not files:
            return "no package index has it"
        wheels = [file for file in files if file.kind == "wheel"]
        if not wheels:
            return "the index has no wheels, only sdists"
        newest = [file for file in wheels if file.version == wheels[0].version]
        platforms = {part for file in newest for part in file.filename[:-4].rpartition("-")[2].split(".")}
        machines = sorted({match[1] for platform in platforms if (match := _LINUX.fullmatch(platform))})
        there = f"those of {wheels[0].version} for Linux are for {', '.join(machines)}"
        machine = self._target.architecture.facts.wheel
        return f"none fits {machine} and Python {self._target.python}: {there if machines else 'none is for Linux'}"

    def _suits_python(self, file: IndexFile) -> bool:
        if file.requires_python is None:
            return True
        try:
            return _specifier(file.requires_python).contains(self._environment["python_full_version"], prereleases=True)
        except InvalidSpecifier:
            return True  # as pip does: what cannot be read forbids nothing


@cache
def _specifier(text: str) -> SpecifierSet:
    return SpecifierSet(text)
