"""The two values of resolving: what is required, and a candidate that may satisfy it. And which satisfy which."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from incamera.errors import BuildError
from incamera.project.locked import LockedFile
from incamera.wheels.page import parse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from packaging.requirements import Requirement
    from packaging.version import Version

    from incamera.debian.index import Deb
    from incamera.wheels.page import IndexFile

# An sdist's requirements may have to be fetched one by one, so only so many versions are tried, the newest first.
_MAX_SDISTS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetRequirement:
    """A requirement whose markers were evaluated for the target.

    *name* is normalized. With *source*, only candidates from that source satisfy it. *text* is the requirement as it
    was written, for messages.
    """

    name: str
    extras: frozenset[str] = frozenset()
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    source: str | None = None
    text: str

    @property
    def is_exact(self) -> bool:
        """Whether only one version satisfies it (`==1.2`)."""
        return any(clause.operator in ("==", "===") and "*" not in clause.version for clause in self.specifier)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One version of a distribution from one source: *file* of a package index, or *deb*.

    *extras* are those that were asked for: their requirements count, too.
    """

    name: str
    version: Version
    source: str
    extras: frozenset[str] = frozenset()
    file: IndexFile | None = None
    deb: Deb | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def with_source(self, source: str) -> Candidate:
        return replace(self, source=source)


class Finder(Protocol):
    """Finds candidates, and says why there are none: `CandidateFinder` for a runtime, `BuildFinder` for a build."""

    why_not: dict[str, dict[str, str]]
    hints: dict[str, str]

    @property
    def purpose(self) -> str:
        """What the distributions are for, in messages ("armv7hf-cp311")."""

    @property
    def asker(self) -> str:
        """Who asks for the first requirements, in messages ("the project")."""

    @property
    def remedy(self) -> str:
        """What to do about requirements that contradict each other, where nothing better is known."""

    def parse_requirement(self, text: str) -> TargetRequirement | None: ...
    def prefetch(self, names: Sequence[str]) -> None: ...
    def find(self, name: str, requirements: Sequence[TargetRequirement]) -> Iterator[Candidate]: ...
    def requirements_of(self, candidate: Candidate) -> tuple[TargetRequirement, ...]: ...
    def is_unknown(self, name: str) -> bool: ...
    def explain_unknown(self, name: str) -> str | None:
        """Return what is meant by the *name* that nothing has: a module, another package; None for no idea."""


def applies(requirement: Requirement, environment: Mapping[str, str], extras: Iterable[str]) -> bool:
    """Return whether the marker of *requirement* is true in *environment*, without an extra or with one of *extras*.

    Raises BuildError when it has no meaning, such as `os_name ~= "posix"`.
    """
    marker = requirement.marker
    try:
        return marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in (*extras, ""))
    except (ValueError, LookupError) as error:
        raise BuildError(f"{requirement} has a marker without a meaning: {error}") from error


def evaluate(
    requirement: Requirement, environment: Mapping[str, str], extras: frozenset[str]
) -> TargetRequirement | None:
    """Return what *requirement* asks for where the marker variables have the values of *environment*.

    None when its marker rules it out there. Raises BuildError when its marker has no meaning.
    """
    if not applies(requirement, environment, extras):
        return None
    return TargetRequirement(
        name=canonicalize_name(requirement.name),
        extras=frozenset(canonicalize_name(extra) for extra in requirement.extras),
        specifier=requirement.specifier,
        text=str(requirement).partition(";")[0].strip(),
    )


def evaluated(
    requirements: Iterable[Requirement], environment: Mapping[str, str], extras: frozenset[str]
) -> Iterator[TargetRequirement]:
    """Yield what a candidate's *requirements* ask for. With *extras*, only what these add.

    (The resolver gets the rest from the candidate without.)
    """
    for written in requirements:
        requirement = evaluate(written, environment, extras)
        if requirement is not None and (not extras or evaluate(written, environment, frozenset()) is None):
            yield requirement


def fitting(candidates: Iterable[Candidate], requirements: Sequence[TargetRequirement]) -> Iterator[Candidate]:
    """Yield the *candidates* that satisfy *requirements*, in their order.

    Pre-releases only where there is nothing else, yanked releases only where exactly that version is required.
    """
    specifier = SpecifierSet()
    for requirement in requirements:
        specifier &= requirement.specifier
    exact = any(requirement.is_exact for requirement in requirements)
    sources = {requirement.source for requirement in requirements if requirement.source is not None}
    sdists = 0

    def is_usable(candidate: Candidate) -> bool:
        nonlocal sdists
        if candidate.file is not None and candidate.file.yanked is not None and not exact:
            return False
        if candidate.source in ("sdist", "emulated"):
            sdists += 1
        return sdists <= _MAX_SDISTS or candidate.source not in ("sdist", "emulated")

    early = []
    has_final = False
    for candidate in candidates:
        if not (sources <= {candidate.source} and specifier.contains(candidate.version, prereleases=True)):
            continue
        if candidate.version.is_prerelease and not specifier.prereleases:
            early.append(candidate)
            continue
        has_final = True
        if is_usable(candidate):
            yield candidate
    yield from () if has_final else filter(is_usable, early)


def with_first(version: str, wanted: Iterable[Candidate], candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return *candidates* with those of *wanted* first that have *version*, as a lockfile has it."""
    parsed = parse_version(version)
    first = [item for item in wanted if item.version == parsed and str(item.version) == version]
    others = [item for item in candidates if all(item is not other for other in first)]
    return [*first, *others]


def kept_first(kept: Candidate, find_all: Callable[[], Iterable[Candidate]]) -> Iterator[Candidate]:
    """Yield *kept*, then what else *find_all* returns. That is called only when *kept* does not do."""
    yield kept
    yield from (other for other in find_all() if other != kept)


def locked_file(file: IndexFile) -> LockedFile:
    """Return the entry of a lockfile for *file*."""
    return LockedFile(filename=file.filename, url=file.url, sha256=file.sha256, size=file.size, path=file.path)
