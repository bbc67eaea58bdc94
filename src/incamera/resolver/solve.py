"""Resolving: choose versions that fit each other, each from the best source. The search, if any, is resolvelib's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet
from resolvelib import AbstractProvider, BaseReporter
from resolvelib.resolvers import Resolution, ResolutionImpossible, ResolutionTooDeep

from incamera.errors import BuildError, FetchError, ResolveError
from incamera.resolver.candidates import Candidate, Finder, TargetRequirement
from incamera.resolver.conflict import explain_conflict
from incamera.resolver.walk import Choice, walk

if TYPE_CHECKING:
    from incamera.project.settings import Project
    from incamera.resolver.finder import CandidateFinder
    from incamera.resolver.walk import Key

_MAX_ROUNDS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """One distribution of a resolution.

    *requirements* are those that *candidate* satisfies, each with the candidate that has it (None: the project).
    *requires* are the names of the distributions that it needs itself.
    """

    candidate: Candidate
    requirements: tuple[tuple[TargetRequirement, Candidate | None], ...]
    requires: tuple[str, ...]


def resolve(project: Project, finder: CandidateFinder) -> list[Resolved]:
    """Return all distributions that the project's dependencies need, sorted by name.

    Raises ResolveError when no versions fit each other, FetchError when an index cannot be asked.
    """
    return resolve_requirements(project.dependencies, project.constraints, finder)


def resolve_requirements(wanted: Iterable[str], limits: Iterable[str], finder: Finder) -> list[Resolved]:
    """Return all distributions that the requirements *wanted* need, within *limits*. Raises as `resolve`."""
    requirements = [requirement for text in wanted if (requirement := finder.parse_requirement(text)) is not None]
    constraints = [requirement for text in limits if (requirement := finder.parse_requirement(text)) is not None]
    provider = _Provider(finder, [requirement.name for requirement in requirements], constraints)
    finder.prefetch([requirement.name for requirement in requirements])
    choice = walk(provider, requirements) or _search(provider, requirements, finder, constraints)
    by_name: dict[str, list[Key]] = {}
    for key in choice.candidates:
        by_name.setdefault(key[0], []).append(key)
    return [_resolved(name, keys, choice, finder) for name, keys in sorted(by_name.items())]


def _search(
    provider: _Provider,
    requirements: Sequence[TargetRequirement],
    finder: Finder,
    constraints: Sequence[TargetRequirement],
) -> Choice:
    reporter: BaseReporter[Any, Any, Any] = BaseReporter()
    try:
        # Its Resolver recurses for ever where a choice that was taken back leaves names that require each other.
        state = Resolution(provider, reporter).resolve(requirements, max_rounds=_MAX_ROUNDS)
    except ResolutionImpossible as error:
        raise explain_conflict(error.causes, finder, constraints) from None
    except ResolutionTooDeep:
        raise ResolveError(
            f"no versions were found that fit each other, after {_MAX_ROUNDS} rounds of search",
            hint="narrow the requirements down, in dependencies or in constraints of [tool.incamera]",
        ) from None
    information = {key: list(state.criteria[key].information) for key in state.mapping}
    return Choice(dict(state.mapping), information).reached()


def _resolved(name: str, keys: Sequence[Key], choice: Choice, finder: Finder) -> Resolved:
    candidates = [choice.candidates[key] for key in keys]
    asked = [(item.requirement, item.parent) for key in keys for item in choice.information[key]]
    requires = {requirement.name for candidate in candidates for requirement in finder.requirements_of(candidate)} - {
        name
    }
    return Resolved(
        candidate=replace(candidates[0], extras=frozenset()),
        requirements=tuple(asked for asked in asked if asked[1] is None or asked[1].name != name),
        requires=tuple(sorted(requires)),
    )


class _Provider(AbstractProvider):  # type: ignore[type-arg]
    """Answers resolvelib's questions.

    Its keys are a name and the extras asked for. A candidate with extras requires the one without, of its own version.
    """

    def __init__(self, finder: Finder, roots: Sequence[str], constraints: Sequence[TargetRequirement]) -> None:
        self._finder = finder
        self._constraints = constraints
        self._order = {name: number for number, name in enumerate(roots)}
        # By their ids, which stay theirs while the objects are kept here. Comparing them would take as long as asking.
        self._satisfied: dict[tuple[int, int], tuple[bool, TargetRequirement, Candidate]] = {}

    def identify(self, requirement_or_candidate: TargetRequirement | Candidate) -> tuple[str, frozenset[str]]:
        return requirement_or_candidate.name, requirement_or_candidate.extras

    def get_preference(
        self,
        identifier: tuple[str, frozenset[str]],
        resolutions: Mapping[Any, Candidate],
        candidates: Mapping[Any, Iterator[Candidate]],
        information: Mapping[Any, Iterator[Any]],
        backtrack_causes: Sequence[Any],
    ) -> Any:
        name = identifier[0]
        causes = {cause.requirement.name for cause in backtrack_causes}
        causes |= {cause.parent.name for cause in backtrack_causes if cause.parent is not None}
        requirements = [item.requirement for item in information[identifier]]
        pinned = any(requirement.source is not None or requirement.is_exact for requirement in requirements)
        limited = any(len(requirement.specifier) for requirement in requirements)
        return (name not in causes, not pinned, self._order.get(name, len(self._order)), not limited, name)

    def find_matches(
        self,
        identifier: tuple[str, frozenset[str]],
        requirements: Mapping[Any, Iterator[TargetRequirement]],
        incompatibilities: Mapping[Any, Iterator[Candidate]],
    ) -> Callable[[], Iterator[Candidate]]:
        name, extras = identifier
        wanted = list(requirements[identifier])
        if extras and (name, frozenset[str]()) in requirements:
            wanted += list(requirements[name, frozenset[str]()])
        wanted += [constraint for constraint in self._constraints if constraint.name == name]
        refused = {(candidate.version, candidate.source) for candidate in incompatibilities[identifier]}

        def matches() -> Iterator[Candidate]:
            for candidate in self._finder.find(name, wanted):
                if (candidate.version, candidate.source) in refused:
                    continue
                candidate = replace(candidate, extras=extras)
                try:
                    self._finder.requirements_of(candidate)
                except FetchError:
                    raise
                except BuildError as error:  # its metadata are damaged, or it must be built to know them and cannot
                    self._finder.why_not.setdefault(name, {})[candidate.source] = str(error)
                    self._finder.hints[name] = error.hint or ""
                    continue
                yield candidate

        return matches

    def is_satisfied_by(self, requirement: TargetRequirement, candidate: Candidate) -> bool:
        # resolvelib asks for all that is pinned in each of its rounds.
        key = (id(requirement), id(candidate))
        if key not in self._satisfied:
            fits = requirement.specifier.contains(candidate.version, prereleases=True)
            is_satisfied = fits and requirement.source in (None, candidate.source)
            self._satisfied[key] = (is_satisfied, requirement, candidate)
        return self._satisfied[key][0]

    def get_dependencies(self, candidate: Candidate) -> Iterable[TargetRequirement]:
        requirements = list(self._finder.requirements_of(candidate))
        self._finder.prefetch([requirement.name for requirement in requirements if requirement.source != "deb"])
        if candidate.extras:
            pin = SpecifierSet(f"==={candidate.version}")
            text = f"{candidate.name}=={candidate.version}"
            requirements.append(
                TargetRequirement(name=candidate.name, specifier=pin, source=candidate.source, text=text)
            )
        return requirements
