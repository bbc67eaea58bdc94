"""The candidates for what a build requires: wheels for the Python that runs the build, from the user's indexes.

The indexes, and the rule that the first one that has a project is the only one asked, are those of the runtime's own
packages. A build under emulation runs the target's Python. Few packages have wheels for it, so sdists will do there,
and Debian packages of the emulated root count as installed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from incamera.errors import ConfigError
from incamera.resolver.candidates import (
    Candidate,
    TargetRequirement,
    evaluate,
    evaluated,
    fitting,
    kept_first,
    with_first,
)
from incamera.resolver.sources import allows_python
from incamera.resolver.wrong_names import BUILD_TOOLS, did_you_mean, explain_name, find_similar
from incamera.toolchain.build_system import parse_requirement
from incamera.wheels.page import parse_version
from incamera.wheels.tags import wheel_rank

if TYPE_CHECKING:
    from packaging.tags import Tag

    from incamera.wheels.index import PackageIndexes
    from incamera.wheels.metadata import Metadata
    from incamera.wheels.page import IndexFile


class BuildFinder:
    """Finds what satisfies the requirements of the build called *purpose* ("the build of numpy").

    *tags*, each with its rank, and *environment*, the values of PEP 508's variables, are those of the Python that runs
    the build. *read_metadata* returns what a file of an index says of itself. `installed` maps names to versions; None
    where only wheels will do. `preferred` maps names to the versions of an earlier lock, which are tried first. `known`
    has candidates by name, and is shared by finders for the same Python.
    """

    def __init__(
        self,
        purpose: str,
        tags: Mapping[Tag, int],
        environment: Mapping[str, str],
        indexes: PackageIndexes,
        read_metadata: Callable[[IndexFile], Metadata],
    ) -> None:
        self.purpose = purpose
        self.asker = purpose
        self.remedy = "ask for other versions in build-system.requires"
        self.installed: Mapping[str, str] | None = None
        self.preferred: Mapping[str, str] = {}
        self.known: dict[str, list[Candidate]] = {}
        self.why_not: dict[str, dict[str, str]] = {}
        self.hints: dict[str, str] = {}
        self._tags = tags
        self._environment = environment
        self._indexes = indexes
        self._read_metadata = read_metadata
        self._candidates: dict[str, tuple[Candidate, ...]] = {}
        self._requirements: dict[Candidate, tuple[TargetRequirement, ...]] = {}

    def parse_requirement(self, text: str) -> TargetRequirement | None:
        """Return what the requirement *text* asks for; None when its marker rules it out. Raises ConfigError."""
        requirement = parse_requirement(text, where=self.purpose)
        if requirement.url is not None:
            raise ConfigError(
                f'{self.purpose}: "{text}" names an address, and only packages of an index can be locked',
                hint="ask for a version in build-system.requires",
            )
        return evaluate(requirement, self._environment, frozenset())

    def prefetch(self, names: Sequence[str]) -> None:
        """Begin to fetch the index pages of *names*, without waiting for them."""
        self._indexes.prefetch([name for name in names if name not in self._candidates])

    def find(self, name: str, requirements: Sequence[TargetRequirement]) -> Iterator[Candidate]:
        """Yield the candidates called *name* that satisfy *requirements*, the best first."""
        return fitting(self._in_order(name), requirements)

    def _in_order(self, name: str) -> Iterable[Candidate]:
        if (
            name not in self._candidates
            and name not in self.known
            and (kept := self._find_kept_wheel(name)) is not None
        ):
            return kept_first(kept, lambda: self._known_candidates(name))
        return self._known_candidates(name)

    def _find_kept_wheel(self, name: str) -> Candidate | None:
        """Return the first of all candidates called *name* where that is the wheel of the earlier lock; else None."""
        preferred = self.preferred.get(name)
        version = None if preferred is None or self.installed is not None else parse_version(preferred)
        if version is None:
            return None
        found = self._wheels(name, self._indexes.find(name, self._tags, version=version))
        return next((wheel for wheel in found if str(wheel.version) == preferred), None)

    def _known_candidates(self, name: str) -> tuple[Candidate, ...]:
        if name not in self._candidates:
            if name not in self.known:
                self.known[name] = self._find_all(name)
            if self.installed is None and not self.known[name]:
                self._explain_no_wheel(name, bool(self._indexes.find(name)))
            known = self.known[name]
            preferred = self.preferred.get(name)
            self._candidates[name] = tuple(known if preferred is None else with_first(preferred, known, known))
        return self._candidates[name]

    def _find_all(self, name: str) -> list[Candidate]:
        files = self._indexes.find(name, self._tags)
        found = [*self._find_installed(name), *self._wheels(name, files)]
        if self.installed is not None:
            found += [
                Candidate(name=name, version=file.version, source="emulated", file=file)
                for file in files
                if file.kind == "sdist" and allows_python(file, self._environment)
            ]
        return found

    def _find_installed(self, name: str) -> Iterator[Candidate]:
        if self.installed is not None and name in self.installed:
            try:
                yield Candidate(name=name, version=Version(self.installed[name]), source="deb")
            except InvalidVersion:
                return

    def _wheels(self, name: str, files: Collection[IndexFile]) -> list[Candidate]:
        """Return the best wheel of each version, the newest version first."""
        best: dict[Version, tuple[tuple[int, int], IndexFile]] = {}
        for file in files:
            rank = wheel_rank(file.filename, self._tags) if file.kind == "wheel" else None
            if rank is None or not allows_python(file, self._environment):
                continue
            if file.version not in best or rank < best[file.version][0]:
                best[file.version] = (rank, file)
        return [
            Candidate(name=name, version=version, source="wheel", file=best[version][1])
            for version in sorted(best, reverse=True)
        ]

    def _explain_no_wheel(self, name: str, is_known: bool) -> None:
        why = "the index has none for this computer and that Python" if is_known else "no package index has it"
        self.why_not[name] = {"wheel": why}
        if is_known:
            self.hints[name] = (
                "build requirements are installed from wheels only: put a wheel of it into an index of your own, and "
                "name that in PIP_EXTRA_INDEX_URL"
            )

    def requirements_of(self, candidate: Candidate) -> tuple[TargetRequirement, ...]:
        """Return what *candidate* needs. Raises BuildError when its metadata cannot be had."""
        if candidate not in self._requirements:
            needs = () if candidate.file is None else self._read_metadata(candidate.file).requires
            self._requirements[candidate] = tuple(evaluated(needs, self._environment, candidate.extras))
        return self._requirements[candidate]

    def is_unknown(self, name: str) -> bool:
        """Return whether no package index has *name*."""
        return not (self._candidates.get(name) or self._indexes.find(name))

    def explain_unknown(self, name: str) -> str | None:
        """Return what is meant by *name*: indexes are not searched, only well-known names."""
        if known := explain_name(name):
            return known
        return did_you_mean(find_similar(name, BUILD_TOOLS)) if self.is_unknown(name) else None
