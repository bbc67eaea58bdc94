"""The candidates for a distribution on a target, in the order in which the resolver tries them.

The order of sources: a wheel, a Debian package, the sdist cross-built, the sdist built under emulation. A wheel that is
older than Debian's package comes after it: the last wheel that was once built for a machine may be ten years old.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from incamera.errors import BuildError
from incamera.project.import_names import known_distributions, successor_of
from incamera.resolver.candidates import (
    Candidate,
    TargetRequirement,
    evaluate,
    evaluated,
    fitting,
    kept_first,
    with_first,
)
from incamera.resolver.debian_names import DebianNames
from incamera.resolver.sources import Sources
from incamera.resolver.suites import runtime_data, target_environment
from incamera.resolver.wrong_names import did_you_mean, explain_name, find_similar
from incamera.wheels.page import parse_version

if TYPE_CHECKING:
    from incamera.debian.index import Deb, PackageIndex
    from incamera.project.recipes import Recipe, Recipes
    from incamera.targets.target import Target
    from incamera.wheels.index import PackageIndexes
    from incamera.wheels.metadata import Metadata
    from incamera.wheels.page import IndexFile


class CandidateFinder:
    """Finds what satisfies a requirement on *target*.

    *read_metadata* returns what a file of a package index says of itself. *sources* maps a name to the source that the
    user wants. *preferred* maps a name to the (version, source) of an earlier lock, which is tried first.
    """

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
        self._wanted_sources = sources or {}
        self._preferred = preferred or {}
        self._environment = target_environment(target, debs)
        self.names = DebianNames(target.suite.name, debs, recipes)
        self._sources = Sources(target, debs, indexes, self._environment, self.names)
        self._wrong_debs: set[str] = set()
        self._candidates: dict[str, tuple[Candidate, ...]] = {}
        self._kept_wheels: dict[str, Candidate | None] = {}
        self._requirements: dict[Candidate, tuple[TargetRequirement, ...]] = {}
        self.why_not = self._sources.why_not
        # By name: what to do about a release that cannot be used.
        self.hints: dict[str, str] = {}

    @property
    def purpose(self) -> str:
        return str(self.target)

    @property
    def asker(self) -> str:
        return "the project"

    @property
    def remedy(self) -> str:
        return (
            "ask for other versions, choose another source in [tool.incamera.sources], "
            'or another Python with python = "…" in [tool.incamera]'
        )

    def prefetch(self, names: Sequence[str]) -> None:
        """Begin to fetch the index pages of *names*, without waiting for them."""
        self._indexes.prefetch(
            [name for name in names if name not in self._candidates and self._wanted_sources.get(name) != "deb"]
        )

    def parse_requirement(self, text: str) -> TargetRequirement | None:
        """Return what the requirement *text* asks for on the target; None when its marker rules it out."""
        requirement = Requirement(text)
        self._refuse_address(requirement, "the project", frozenset())
        return evaluate(requirement, self._environment, frozenset())

    def _refuse_address(self, requirement: Requirement, asker: str, extras: frozenset[str]) -> None:
        """Raises BuildError when *requirement* has a URL that would be ignored."""
        if requirement.url is None or evaluate(requirement, self._environment, extras) is None:
            return
        if self._sources.local(canonicalize_name(requirement.name)) is None:
            raise BuildError(
                f"{asker} requires {requirement.name} from {requirement.url}, and not from a package index",
                hint=f"`incamera add '{requirement.name} @ {requirement.url}'` takes it from there"
                if requirement.url.startswith("git+")
                else f'name a copy of it: [tool.uv.sources] {requirement.name} = {{ path = "…" }}',
            )

    # Candidates

    def find(self, name: str, requirements: Sequence[TargetRequirement]) -> Iterator[Candidate]:
        """Yield the candidates called *name* that satisfy *requirements*, the best first."""
        only_deb = any(requirement.source == "deb" for requirement in requirements)
        return fitting(self._in_order(name, only_deb=only_deb), requirements)

    def _in_order(self, name: str, *, only_deb: bool) -> Iterable[Candidate]:
        if name not in self._candidates and not only_deb and (kept := self._find_kept_wheel(name)) is not None:
            # Most of a warm lock's time would go into parsing pages, and into versions that nobody asks for.
            return kept_first(kept, lambda: self._find_all(name, only_deb=False))
        return self._find_all(name, only_deb=only_deb)

    def _find_kept_wheel(self, name: str) -> Candidate | None:
        """Return the first of all candidates called *name* where that is the wheel of the earlier lock; else None."""
        if name not in self._kept_wheels:
            version, source = self._preferred.get(name, ("", ""))
            wanted = self._wanted_sources.get(name)
            refused = wanted is None and bool(self._recipes.find(name).wheel.refuse)
            found: list[Candidate] = []
            if source == "wheel" and wanted in (None, source) and not refused and self._sources.local(name) is None:
                parsed = parse_version(version)
                found = [] if parsed is None else self._sources.wheels(name, self._sources.files(name, parsed))
            self._kept_wheels[name] = next((wheel for wheel in found if str(wheel.version) == version), None)
        return self._kept_wheels[name]

    def _find_all(self, name: str, *, only_deb: bool) -> tuple[Candidate, ...]:
        if name in self._candidates:
            return self._candidates[name]
        recipe = self._recipes.find(name)
        if (own := self._sources.local(name)) is not None:
            self._candidates[name] = self._as_wanted(own, recipe)
            return self._candidates[name]
        deb = self._sources.deb(name) if name not in self._wrong_debs else None
        if only_deb:  # no package index need be asked
            return (deb,) if deb else ()
        why_not = self.why_not.setdefault(name, {})
        source = self._wanted_sources.get(name)
        files = [] if source == "deb" else self._sources.files(name)
        wheels = self._sources.wheels(name, files)
        sdists = self._sources.sdists(name, files, recipe)
        if sdists and not wheels and (other := successor_of(name)) and name not in self._wanted_sources:
            why_not["sdist"], sdists = f"{name} is a deprecated name of {other}, and installs nothing", []
        if not wheels and source != "deb":
            why_not["wheel"] = self._sources.explain_no_wheel(name)
        candidates: list[Candidate] = []
        if source is not None:
            chosen = {"wheel": wheels, "deb": [deb] if deb else []}.get(source)
            candidates = chosen if chosen is not None else [sdist.with_source(source) for sdist in sdists]
        else:
            if recipe.wheel.refuse:
                why_not["wheel"], wheels = recipe.wheel.refuse, []
            if recipe.deb.refuse and deb is not None:
                why_not["deb"], deb = recipe.deb.refuse, None
            if recipe.sdist.refuse:
                why_not["sdist"], sdists = recipe.sdist.refuse, []
            older = [wheel for wheel in wheels if deb is not None and wheel.version < deb.version]
            newer = wheels[: len(wheels) - len(older)]
            candidates = [*newer, *([deb] if deb else []), *older, *sdists]
        self._candidates[name] = self._with_preferred_first(name, candidates)
        return self._candidates[name]

    def _as_wanted(self, own: Candidate, recipe: Recipe) -> tuple[Candidate, ...]:
        """Return the only candidate for a wheel or folder of the user's own; none where another source is wanted."""
        file = own.file
        built = "emulated" if recipe.sdist.builder == "emulated" else "sdist"
        source = self._wanted_sources.get(own.name, built if own.source == "sdist" else "wheel")
        if file is not None and (source == "wheel") == (own.source == "wheel") and source != "deb":
            return (own.with_source(source),)
        self.why_not.setdefault(own.name, {})[source] = (
            f"the project names {file.own_place if file else ''} for {own.name}"
        )
        return ()

    def _with_preferred_first(self, name: str, candidates: list[Candidate]) -> tuple[Candidate, ...]:
        if name in self._preferred:
            version, source = self._preferred[name]
            candidates = with_first(version, [item for item in candidates if item.source == source], candidates)
        return tuple(candidates)

    def refuse_debs(self, reasons: Mapping[str, str]) -> None:
        """Take no Debian package of these distributions; *reasons* say why, by name."""
        for name, reason in reasons.items():
            self._wrong_debs.add(name)
            self.why_not.setdefault(name, {})["deb"] = reason
            self._candidates.pop(name, None)

    def package_of(self, name: str) -> str | None:
        """Return the Debian package of the distribution *name*; None when its package holds another distribution."""
        package = self.names.package_of(name)
        return None if name in self._wrong_debs or self.names.others_in(package, name) else package

    # Requirements of a candidate

    def requirements_of(self, candidate: Candidate) -> tuple[TargetRequirement, ...]:
        """Return what *candidate* needs on the target. Raises BuildError when its metadata cannot be had."""
        if candidate not in self._requirements:
            self._requirements[candidate] = tuple(self._read_requirements(candidate))
        return self._requirements[candidate]

    def _read_requirements(self, candidate: Candidate) -> Iterator[TargetRequirement]:
        recipe = self._recipes.find(candidate.name)
        if candidate.deb is not None:
            if not candidate.extras:
                for package in self._python_dependencies(candidate.deb, recipe):
                    name = self.names.distribution_of(package)
                    yield TargetRequirement(name=name, source="deb", text=f"{name} as {package} of Debian")
            more = recipe.deb.requires
        else:
            assert candidate.file is not None
            metadata = self._read_metadata(candidate.file, recipe)
            for written in metadata.requires:
                self._refuse_address(written, str(candidate), candidate.extras)
            yield from evaluated(metadata.requires, self._environment, candidate.extras)
            more = (recipe.wheel if candidate.source == "wheel" else recipe.sdist).requires
        for text in more if not candidate.extras else ():
            if (requirement := self.parse_requirement(text)) is not None:
                yield requirement

    def _python_dependencies(self, deb: Deb, recipe: Recipe) -> list[str]:
        """Return the dependencies of *deb* that hold distributions. They must be debs, too: built for the same ABI."""
        left_out = {*recipe.deb.without, *runtime_data()["parts"], *runtime_data()["excluded"]}
        names = dict.fromkeys(relation[0].name for relation in deb.requirements)
        return [
            name
            for name in names
            if name.startswith("python3-") and name not in left_out and self._debs.find(name) and name != deb.package
        ]

    def extras_of(self, candidate: Candidate) -> frozenset[str]:
        """Return the extras that *candidate* has; a Debian package has none. Raises BuildError."""
        if candidate.file is None:
            return frozenset()
        return self._read_metadata(candidate.file, self._recipes.find(candidate.name)).extras

    def is_unknown(self, name: str) -> bool:
        """Return whether neither a package index nor Debian has *name*."""
        return not (
            self._candidates.get(name) or self._indexes.find(name) or self._debs.find(self.names.package_of(name))
        )

    def explain_unknown(self, name: str) -> str | None:
        """Return what is meant by the *name* that nothing has: a module, a Debian package, a misspelt name."""
        package = self.names.package_of(name)
        if known := explain_name(name):
            return known
        if (others := self.names.others_in(package, name)) and self._debs.find(package):
            return f"the package is called {others[0]}"
        plain = re.sub(r"^python3?-", "", name)
        if plain != name and self._debs.find(other := self.names.package_of(plain)):
            return f"{name} is a Debian package: the package is called {self.names.distribution_of(other)}"
        if not self.is_unknown(name):
            return None
        if self._debs.find(name):
            return f'if you mean the Debian package, add "{name}" to debs in [tool.incamera]'
        similar = find_similar(name, self.names.distributions())
        return did_you_mean([one for one in similar if one in known_distributions() or not self.is_unknown(one)])
