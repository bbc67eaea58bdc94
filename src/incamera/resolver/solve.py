"""Resolving: versions that fit each other, on the best rung of each; the search itself is resolvelib's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet
from resolvelib import AbstractProvider, BaseReporter, Resolver
from resolvelib.resolvers import ResolutionImpossible, ResolutionTooDeep

from incamera.errors import BuildError, FetchError, ResolveError
from incamera.resolver.candidates import Candidate, Wish

if TYPE_CHECKING:
    from incamera.project.settings import Project
    from incamera.resolver.finder import Ladder

_MAX_ROUNDS = 20_000
_SHOWN_OFFERS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """One distribution of a resolution: what was chosen, who asked for it how, and what it asks for."""

    offer: Candidate
    wishes: tuple[tuple[Wish, Candidate | None], ...]
    requires: tuple[str, ...]


def resolve(project: Project, ladder: Ladder) -> list[Resolved]:
    """Return all distributions that the project's dependencies need, by name. Raises ResolveError, in words."""
    wishes = [wish for text in project.dependencies if (wish := ladder.wish(text)) is not None]
    limits = [wish for text in project.constraints if (wish := ladder.wish(text)) is not None]
    provider = _Provider(ladder, [wish.name for wish in wishes], limits)
    ladder.prefetch([wish.name for wish in wishes])
    reporter: BaseReporter[Any, Any, Any] = BaseReporter()
    try:
        result = Resolver(provider, reporter).resolve(wishes, max_rounds=_MAX_ROUNDS)
    except ResolutionImpossible as error:
        raise _explain(error.causes, ladder, limits) from None
    except ResolutionTooDeep:
        raise ResolveError(
            "no versions were found that fit each other, after a long search",
            hint="narrow the requirements down, in dependencies or in constraints of [tool.incamera]",
        ) from None
    by_name: dict[str, list[str]] = {}
    for key in result.mapping:
        by_name.setdefault(key[0], []).append(key)
    return [_resolved(name, keys, result, ladder) for name, keys in sorted(by_name.items())]


def _resolved(name: str, keys: Sequence[Any], result: Any, ladder: Ladder) -> Resolved:
    offers = [result.mapping[key] for key in keys]
    asked = [(item.requirement, item.parent) for key in keys for item in result.criteria[key].information]
    requires = {wish.name for offer in offers for wish in ladder.requirements(offer)} - {name}
    return Resolved(
        offer=replace(offers[0], extras=frozenset()),
        wishes=tuple(asked for asked in asked if asked[1] is None or asked[1].name != name),
        requires=tuple(sorted(requires)),
    )


class _Provider(AbstractProvider):  # type: ignore[type-arg]
    """What resolvelib asks. A key is a name and the extras asked for; each with extras pins the one without."""

    def __init__(self, ladder: Ladder, roots: Sequence[str], limits: Sequence[Wish]) -> None:
        self._ladder = ladder
        self._limits = limits
        self._order = {name: number for number, name in enumerate(roots)}

    def identify(self, requirement_or_candidate: Wish | Candidate) -> tuple[str, frozenset[str]]:
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
        wishes = [item.requirement for item in information[identifier]]
        pinned = any(wish.rung is not None or wish.exact for wish in wishes)
        limited = any(len(wish.specifier) for wish in wishes)
        return (name not in causes, not pinned, self._order.get(name, len(self._order)), not limited, name)

    def find_matches(
        self,
        identifier: tuple[str, frozenset[str]],
        requirements: Mapping[Any, Iterator[Wish]],
        incompatibilities: Mapping[Any, Iterator[Candidate]],
    ) -> Callable[[], Iterator[Candidate]]:
        name, extras = identifier
        wishes = list(requirements[identifier])
        if extras and (name, frozenset[str]()) in requirements:
            wishes += list(requirements[name, frozenset[str]()])
        wishes += [limit for limit in self._limits if limit.name == name]
        refused = {(offer.version, offer.rung) for offer in incompatibilities[identifier]}

        def matches() -> Iterator[Candidate]:
            for offer in self._ladder.offers(name, wishes):
                if (offer.version, offer.rung) in refused:
                    continue
                offer = replace(offer, extras=extras)
                try:
                    self._ladder.requirements(offer)
                except FetchError:
                    raise
                except BuildError as error:  # a release whose metadata make no sense, or that cannot be built
                    self._ladder.reasons.setdefault(name, {})[offer.rung] = str(error)
                    self._ladder.hints[name] = error.hint or ""
                    continue
                yield offer

        return matches

    def is_satisfied_by(self, requirement: Wish, candidate: Candidate) -> bool:
        fits = requirement.specifier.contains(candidate.version, prereleases=True)
        return fits and requirement.rung in (None, candidate.rung)

    def get_dependencies(self, candidate: Candidate) -> Iterable[Wish]:
        wishes = list(self._ladder.requirements(candidate))
        self._ladder.prefetch([wish.name for wish in wishes if wish.rung != "deb"])
        if candidate.extras:
            pin = SpecifierSet(f"==={candidate.version}")
            text = f"{candidate.name}=={candidate.version}"
            wishes.append(Wish(name=candidate.name, specifier=pin, rung=candidate.rung, text=text))
        return wishes


def _explain(causes: Iterable[Any], ladder: Ladder, limits: Sequence[Wish]) -> ResolveError:
    """Tell a conflict in words: who asks for what, and what there is."""
    asked: dict[str, list[str]] = {}
    wishes: dict[str, list[Wish]] = {}
    for cause in causes:
        wish: Wish = cause.requirement
        who = f"{cause.parent} asks for" if cause.parent is not None else "the project asks for"
        asked.setdefault(wish.name, []).append(f"{who} {wish.text}")
        wishes.setdefault(wish.name, []).append(wish)
    for limit in limits:
        if limit.name in asked:
            asked[limit.name].append(f"a constraint asks for {limit.text}")
    sentences = []
    for name, lines in asked.items():
        sentences.append(f"{'; '.join(dict.fromkeys(lines))}; {_describe_offers(name, wishes[name], ladder)}")
    names = ", ".join(asked)
    return ResolveError(
        f"{names} cannot be had for {ladder.target}: " + ". ".join(sentences), hint=_hint(asked, ladder)
    )


def _describe_offers(name: str, wishes: Sequence[Wish], ladder: Ladder) -> str:
    offers = list(ladder.offers(name, [])) or list(ladder.offers(name, wishes))
    reasons = ladder.reasons.get(name, {})
    shown = []
    for rung in ("wheel", "deb", "sdist", "emulated"):
        versions = [str(offer.version) for offer in offers if offer.rung == rung]
        if versions:
            more = ", …" if len(versions) > _SHOWN_OFFERS else ""
            but = f", but {reasons[rung]}" if rung in reasons else ""
            shown.append(f"{rung} {', '.join(versions[:_SHOWN_OFFERS])}{more}{but}")
        elif rung in reasons:
            shown.append(f"no {rung}: {reasons[rung]}")
    return "there is " + "; ".join(shown) if shown else "nobody has it"


def _hint(asked: Mapping[str, Sequence[str]], ladder: Ladder) -> str:
    if hints := [ladder.hints[name] for name in asked if ladder.hints.get(name)]:
        return hints[0]
    if len(asked) == 1 and (closest := ladder.closest(next(iter(asked)))):
        return "did you mean " + " or ".join(closest) + "?"
    return (
        "ask for other versions, choose another rung in [tool.incamera.sources], "
        'or another Python with python = "…" in [tool.incamera]'
    )
