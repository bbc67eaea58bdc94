"""The ladder: of one distribution, what each rung offers a target, in the order in which it is taken.

wheel → Debian package → sdist, cross-built → sdist, built under emulation. A wheel older than Debian's package comes
after it: the last wheel that somebody once built for a machine is no reason to forgo ten years of a package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from incamera.workflows.suite_facts import deb_package, runtime_data, target_environment, upstream_version

if TYPE_CHECKING:
    from incamera.debian.index import Deb, PackageIndex
    from incamera.project.recipes import Recipe, Recipes
    from incamera.targets.target import Target
    from incamera.wheels.index import PackageIndexes
    from incamera.wheels.metadata import Metadata
    from incamera.wheels.page import IndexFile

# An sdist's requirements may have to be fetched one by one: older ones than these are not tried.
_SDISTS = 8
_LINUX = re.compile(r"(?:manylinux(?:\d+|_\d+_\d+)|linux)_(\w+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """A requirement, evaluated for the target. *rung*: the only one that will do. *text*: as it was written."""

    name: str
    extras: frozenset[str] = frozenset()
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    rung: str | None = None
    text: str

    @property
    def exact(self) -> bool:
        return any(clause.operator in ("==", "===") and "*" not in clause.version for clause in self.specifier)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One version of a distribution on one rung. *extras* are those whose requirements are asked for, too."""

    name: str
    version: Version
    rung: str
    extras: frozenset[str] = frozenset()
    file: IndexFile | None = None
    deb: Deb | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Ladder:
    """What there is for *target*. *preferred*: name → (version, rung) of an earlier lock, kept where it will do."""

    def __init__(
        self,
        target: Target,
        debs: PackageIndex,
        indexes: PackageIndexes,
        recipes: Recipes,
        *,
        read_metadata: Callable[[IndexFile, Recipe], Metadata],
        sources: Mapping[str, str] | None = None,
        preferred: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        from incamera.wheels.tags import supported_tags

        self.target = target
        self._read_metadata = read_metadata
        self._debs = debs
        self._indexes = indexes
        self._recipes = recipes
        self._sources = sources or {}
        self._preferred = preferred or {}
        self._tags = supported_tags(target)
        self._environment = target_environment(target, debs)
        self._offers: dict[str, tuple[Candidate, ...]] = {}
        self._requirements: dict[Candidate, tuple[Wish, ...]] = {}
        # Why something isn't offered, for those who ask: by name, then by rung.
        self.reasons: dict[str, dict[str, str]] = {}
        # What to do about a release that is of no use.
        self.hints: dict[str, str] = {}

    def prefetch(self, names: Sequence[str]) -> None:
        self._indexes.prefetch(
            [name for name in names if name not in self._offers and self._sources.get(name) != "deb"]
        )

    def wish(self, text: str) -> Wish | None:
        """Return what the requirement *text* asks for on the target; None when its marker rules it out."""
        return self._evaluate(Requirement(text), frozenset())

    def _evaluate(self, requirement: Requirement, extras: frozenset[str]) -> Wish | None:
        if requirement.marker is not None and not any(
            requirement.marker.evaluate({**self._environment, "extra": extra}) for extra in (*sorted(extras), "")
        ):
            return None
        return Wish(
            name=canonicalize_name(requirement.name),
            extras=frozenset(canonicalize_name(extra) for extra in requirement.extras),
            specifier=requirement.specifier,
            text=str(requirement).partition(";")[0].strip(),
        )

    # What is offered

    def offers(self, name: str, wishes: Sequence[Wish]) -> Iterator[Candidate]:
        """Yield what satisfies *wishes*, the best first. Early releases only where there is nothing else."""
        every = self._all(name, only_deb=any(wish.rung == "deb" for wish in wishes))
        specifier = SpecifierSet()
        for wish in wishes:
            specifier &= wish.specifier
        exact = any(wish.exact for wish in wishes)
        rungs = {wish.rung for wish in wishes if wish.rung is not None}
        fitting = [
            offer for offer in every if rungs <= {offer.rung} and specifier.contains(offer.version, prereleases=True)
        ]
        final = [offer for offer in fitting if not offer.version.is_prerelease or specifier.prereleases]
        sdists = 0
        for offer in final or fitting:
            if offer.file is not None and offer.file.yanked is not None and not exact:
                continue
            if offer.rung in ("sdist", "emulated"):
                sdists += 1
                if sdists > _SDISTS:
                    continue
            yield offer

    def _all(self, name: str, *, only_deb: bool) -> tuple[Candidate, ...]:
        if name in self._offers:
            return self._offers[name]
        recipe = self._recipes.find(name)
        deb = self._deb(name, recipe)
        if only_deb:  # needs no index, and asks none
            return (deb,) if deb else ()
        reasons = self.reasons.setdefault(name, {})
        source = self._sources.get(name)
        files = [] if source == "deb" else self._indexes.find(name, self._tags)
        wheels = self._wheels(name, files)
        sdists = self._sdists(name, files, recipe)
        if not wheels and source != "deb":
            reasons["wheel"] = _why_no_wheel(self._indexes.find(name), self.target)
        offers: list[Candidate] = []
        if source is not None:
            chosen = {"wheel": wheels, "deb": [deb] if deb else []}.get(source)
            offers = chosen if chosen is not None else [_on_rung(sdist, source) for sdist in sdists]
        else:
            if recipe.wheel.refuse:
                reasons["wheel"], wheels = recipe.wheel.refuse, []
            if recipe.deb.refuse and deb is not None:
                reasons["deb"], deb = recipe.deb.refuse, None
            if recipe.sdist.refuse:
                reasons["sdist"], sdists = recipe.sdist.refuse, []
            older = [wheel for wheel in wheels if deb is not None and wheel.version < deb.version]
            newer = wheels[: len(wheels) - len(older)]
            offers = [*newer, *([deb] if deb else []), *older, *sdists]
        self._offers[name] = self._with_preferred_first(name, offers)
        return self._offers[name]

    def _with_preferred_first(self, name: str, offers: list[Candidate]) -> tuple[Candidate, ...]:
        if name in self._preferred:
            offers.sort(key=lambda offer: (str(offer.version), offer.rung) != self._preferred[name])
        return tuple(offers)

    def _wheels(self, name: str, files: Sequence[IndexFile]) -> list[Candidate]:
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

    def _sdists(self, name: str, files: Sequence[IndexFile], recipe: Recipe) -> list[Candidate]:
        tried = SpecifierSet(recipe.sdist.versions)
        rung = "emulated" if recipe.sdist.builder == "emulated" else "sdist"
        found: dict[Version, IndexFile] = {}
        for file in files:
            if file.kind == "sdist" and self._suits_python(file) and tried.contains(file.version, prereleases=True):
                found.setdefault(file.version, file)
        if files and not found:
            beyond = f" that the recipe was tried with ({recipe.sdist.versions})" if recipe.sdist.versions else ""
            self.reasons[name]["sdist"] = f"the index has no sdist{beyond} for Python {self.target.python}"
        return [
            Candidate(name=name, version=version, rung=rung, file=found[version])
            for version in sorted(found, reverse=True)
        ]

    def _suits_python(self, file: IndexFile) -> bool:
        if file.requires_python is None:
            return True
        try:
            return _specifier(file.requires_python).contains(self._environment["python_full_version"], prereleases=True)
        except InvalidSpecifier:
            return True  # as pip does: what cannot be read forbids nothing

    def _deb(self, name: str, recipe: Recipe) -> Candidate | None:
        package = deb_package(recipe)
        found = self._debs.find(package)
        reasons = self.reasons.setdefault(name, {})
        if not found:
            reasons["deb"] = f"Debian {self.target.suite.name} has no {package}"
            return None
        try:
            version = Version(upstream_version(found[0].version))
        except InvalidVersion:
            reasons["deb"] = f"{package} has the version {found[0].version}, which says nothing to a Python requirement"
            return None
        return Candidate(name=name, version=version, rung="deb", deb=found[0])

    # What that needs

    def requirements(self, offer: Candidate) -> tuple[Wish, ...]:
        """Return what *offer* needs on the target. Raises BuildError when that can't be told: then it's of no use."""
        if offer not in self._requirements:
            self._requirements[offer] = tuple(self._read_requirements(offer))
        return self._requirements[offer]

    def _read_requirements(self, offer: Candidate) -> Iterator[Wish]:
        recipe = self._recipes.find(offer.name)
        if offer.deb is not None:
            if not offer.extras:
                for package in self._python_dependencies(offer.deb, recipe):
                    name = self.distribution_of(package)
                    yield Wish(name=name, rung="deb", text=f"{name} as {package} of Debian")
            more = recipe.deb.requires
        else:
            assert offer.file is not None
            for requirement in self._read_metadata(offer.file, recipe).requires:
                # An extra's candidate has what the extra adds; the rest is its base's.
                wish = self._evaluate(requirement, offer.extras)
                if wish is not None and (not offer.extras or self._evaluate(requirement, frozenset()) is None):
                    yield wish
            more = (recipe.wheel if offer.rung == "wheel" else recipe.sdist).requires
        for text in more if not offer.extras else ():
            wish = self.wish(text)
            if wish is not None:
                yield wish

    def _python_dependencies(self, deb: Deb, recipe: Recipe) -> list[str]:
        """Return those of *deb*'s dependencies that hold distributions. They go with it: same suite, same ABI."""
        left_out = {*recipe.deb.without, *runtime_data()["parts"], *runtime_data()["excluded"]}
        names = dict.fromkeys(relation[0].name for relation in deb.requirements)
        return [
            name
            for name in names
            if name.startswith("python3-") and name not in left_out and self._debs.find(name) and name != deb.package
        ]

    def closest(self, name: str) -> list[str]:
        """Return names like *name* that Debian has, for a name that nobody has."""
        if self._offers.get(name) or self._indexes.find(name) or self._debs.find(f"python3-{name}"):
            return []
        found = self._debs.closest(f"python3-{name}")
        return [match.removeprefix("python3-") for match in found if match.startswith("python3-")]

    def distribution_of(self, package: str) -> str:
        """Return the distribution that the Debian package *package* holds."""
        for name in (*self._recipes.names(), *runtime_data()["distributions"]):
            if deb_package(self._recipes.find(name)) == package:
                return str(name)
        return str(canonicalize_name(package.removeprefix("python3-")))


def _on_rung(offer: Candidate, rung: str) -> Candidate:
    return Candidate(name=offer.name, version=offer.version, rung=rung, file=offer.file)


@cache
def _specifier(text: str) -> SpecifierSet:
    return SpecifierSet(text)


def _why_no_wheel(files: Sequence[IndexFile], target: Target) -> str:
    if not files:
        return "no package index has it"
    wheels = [file for file in files if file.kind == "wheel"]
    if not wheels:
        return "the index has no wheels, only sdists"
    newest = [file for file in wheels if file.version == wheels[0].version]
    platforms = {part for file in newest for part in file.filename[:-4].rpartition("-")[2].split(".")}
    machines = sorted({match[1] for platform in platforms if (match := _LINUX.fullmatch(platform))})
    there = f"those of {wheels[0].version} for Linux are for {', '.join(machines)}" if machines else "none is for Linux"
    return f"none fits {target.architecture.facts.wheel} and Python {target.python}: {there}"
