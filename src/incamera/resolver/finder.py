"""The ladder: of one distribution, what each rung offers a target, in the order in which it is taken.

wheel → Debian package → sdist, cross-built → sdist, built under emulation. A wheel older than Debian's package comes
after it: the last wheel that somebody once built for a machine is no reason to forgo ten years of a package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from incamera.resolver.candidates import Candidate, Wish
from incamera.resolver.sources import Rungs
from incamera.resolver.suites import deb_package, runtime_data, target_environment

if TYPE_CHECKING:
    from incamera.debian.index import Deb, PackageIndex
    from incamera.project.recipes import Recipe, Recipes
    from incamera.targets.target import Target
    from incamera.wheels.index import PackageIndexes
    from incamera.wheels.metadata import Metadata
    from incamera.wheels.page import IndexFile

# An sdist's requirements may have to be fetched one by one: older ones than these are not tried.
_SDISTS = 8


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
        self.target = target
        self._read_metadata = read_metadata
        self._debs = debs
        self._indexes = indexes
        self._recipes = recipes
        self._sources = sources or {}
        self._preferred = preferred or {}
        self._environment = target_environment(target, debs)
        self._rungs = Rungs(target, debs, indexes, self._environment)
        self._offers: dict[str, tuple[Candidate, ...]] = {}
        self._requirements: dict[Candidate, tuple[Wish, ...]] = {}
        self.reasons = self._rungs.reasons
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
        deb = self._rungs.deb(name, recipe)
        if only_deb:  # needs no index, and asks none
            return (deb,) if deb else ()
        reasons = self.reasons.setdefault(name, {})
        source = self._sources.get(name)
        files = [] if source == "deb" else self._rungs.files(name)
        wheels = self._rungs.wheels(name, files)
        sdists = self._rungs.sdists(name, files, recipe)
        if not wheels and source != "deb":
            reasons["wheel"] = self._rungs.explain_wheels(name)
        offers: list[Candidate] = []
        if source is not None:
            chosen = {"wheel": wheels, "deb": [deb] if deb else []}.get(source)
            offers = chosen if chosen is not None else [sdist.on_rung(source) for sdist in sdists]
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
