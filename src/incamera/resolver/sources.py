"""The candidates that each source (wheel, deb, sdist, emulated) has for a target, and why a source has none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from incamera.errors import ResolveError
from incamera.project.included import INCLUDED
from incamera.resolver.candidates import Candidate
from incamera.resolver.suites import upstream_version
from incamera.wheels.tags import supported_tags, wheel_rank

if TYPE_CHECKING:
    from incamera.debian.index import PackageIndex
    from incamera.project.recipes import Recipe
    from incamera.resolver.debian_names import DebianNames
    from incamera.targets.target import Target
    from incamera.wheels.index import PackageIndexes
    from incamera.wheels.page import IndexFile

_LINUX = re.compile(r"(?:manylinux(?:\d+|_\d+_\d+)|linux)_(\w+)")


class Sources:
    """Asks Debian's index and the package indexes for one distribution at a time.

    *environment* holds the target's values of PEP 508's marker variables.
    """

    def __init__(
        self,
        target: Target,
        debs: PackageIndex,
        indexes: PackageIndexes,
        environment: Mapping[str, str],
        names: DebianNames,
    ) -> None:
        self._target = target
        self._debs = debs
        self._indexes = indexes
        self._environment = environment
        self._names = names
        self._tags = supported_tags(target)
        # By name, then by source: why it has no candidate. For messages and `lock --explain`.
        self.why_not: dict[str, dict[str, str]] = {}

    def files(self, name: str, version: Version | None = None) -> Sequence[IndexFile]:
        """Return the sdists of *name* in the indexes, and the wheels whose tags fit the target; of *version* only.

        Raises ResolveError for what comes with incamera: then the project does not name it itself.
        """
        if name in INCLUDED:
            raise ResolveError(
                f"{name} comes with incamera, and only what the project itself requires is taken from there",
                hint=f'write "{name}" into the dependencies of [project], or into a group of tool.incamera.groups',
            )
        return self._indexes.find(name, self._tags, version=version)

    def local(self, name: str) -> Candidate | None:
        """Return the wheel or folder of the user's own that is *name*; None when it comes from elsewhere."""
        file = self._indexes.find_own(name)
        return None if file is None else Candidate(name=name, version=file.version, source=file.kind, file=file)

    def wheels(self, name: str, files: Sequence[IndexFile]) -> list[Candidate]:
        """Return the best wheel of each version among *files*, the newest version first."""
        best: dict[Version, tuple[tuple[int, int], IndexFile]] = {}
        for file in files:
            if file.kind != "wheel" or not allows_python(file, self._environment):
                continue
            rank = wheel_rank(file.filename, self._tags)
            if rank is not None and (file.version not in best or rank < best[file.version][0]):
                best[file.version] = (rank, file)
        return [
            Candidate(name=name, version=version, source="wheel", file=best[version][1])
            for version in sorted(best, reverse=True)
        ]

    def sdists(self, name: str, files: Sequence[IndexFile], recipe: Recipe) -> list[Candidate]:
        """Return the sdists among *files* of the versions that *recipe* was tried with, the newest first."""
        tried = SpecifierSet(recipe.sdist.versions)
        source = "emulated" if recipe.sdist.builder == "emulated" else "sdist"
        found: dict[Version, IndexFile] = {}
        for file in files:
            if (
                file.kind == "sdist"
                and allows_python(file, self._environment)
                and (not recipe.sdist.versions or tried.contains(file.version, prereleases=True))
            ):
                found.setdefault(file.version, file)
        if files and not found:
            which = (
                f" of the versions that the recipe was tried with ({recipe.sdist.versions})"
                if recipe.sdist.versions
                else ""
            )
            self.why_not.setdefault(name, {})["sdist"] = (
                f"the index has no sdist{which} for Python {self._target.python}"
            )
        return [
            Candidate(name=name, version=version, source=source, file=found[version])
            for version in sorted(found, reverse=True)
        ]

    def deb(self, name: str) -> Candidate | None:
        """Return the newest Debian package of the distribution *name*; None where the suite has none."""
        package = self._names.package_of(name)
        found = self._debs.find(package)
        why_not = self.why_not.setdefault(name, {})
        if found and (others := self._names.others_in(package, name)):
            why_not["deb"] = f"{package} of Debian {self._target.suite.name} holds {', '.join(others[:3])}, not {name}"
            return None
        if not found:
            why_not["deb"] = f"Debian {self._target.suite.name} has no {package}"
            return None
        try:
            version = Version(upstream_version(found[0].version))
        except InvalidVersion:
            why_not["deb"] = f"{package} has the version {found[0].version}, which is not a Python version"
            return None
        return Candidate(name=name, version=version, source="deb", deb=found[0])

    def explain_no_wheel(self, name: str) -> str:
        """Return why none of *name*'s wheels fits the target."""
        newest = self._indexes.find_newest_wheels(name)
        if newest is None:
            return "the index has no wheels, only sdists" if self.files(name) else "no package index has it"
        machines = sorted({match[1] for platform in newest.platforms if (match := _LINUX.fullmatch(platform))})
        there = f"those of {newest.version} for Linux are for {', '.join(machines)}"
        machine = self._target.architecture.facts.wheel
        return f"none fits {machine} and Python {self._target.python}: {there if machines else 'none is for Linux'}"


def allows_python(file: IndexFile, environment: Mapping[str, str]) -> bool:
    """Return whether *file* is for the Python of *environment*, the values of PEP 508's variables."""
    return file.requires_python is None or _allows(file.requires_python, environment["python_full_version"])


@cache
def _allows(requires_python: str, full: str) -> bool:
    # Most files of a project have the same text here, and comparing takes longer than all else done with a file.
    try:
        return SpecifierSet(requires_python).contains(full, prereleases=True)
    except ValueError:  # InvalidSpecifier, or a number of more than 4300 digits
        return True  # as pip does: a specifier that cannot be read rules nothing out
