"""Choose versions without a search: the first candidate for each name, as long as none has to be taken back.

Most resolutions need no more, those with a lockfile above all. resolvelib finds the same then, but asks in each of its
rounds for everything that was chosen so far.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from resolvelib.structs import RequirementInformation

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from resolvelib import AbstractProvider

    from incamera.resolver.candidates import Candidate, TargetRequirement

    Key = tuple[str, frozenset[str]]

# Asks for what only a candidate asked for that is no longer chosen.
_TAKEN_BACK = ("", frozenset[str]())


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for each key of a provider, and who asks for it with which requirement."""

    candidates: dict[Key, Candidate] = field(default_factory=dict)
    information: dict[Key, list[RequirementInformation[TargetRequirement, Candidate]]] = field(default_factory=dict)

    def reached(self) -> Choice:
        """Return what the first requirements lead to, without what a choice that was taken back has left."""
        keys = {id(candidate): key for key, candidate in self.candidates.items()}

        def asker(item: RequirementInformation[TargetRequirement, Candidate]) -> Key | None:
            return None if item.parent is None else keys.get(id(item.parent), _TAKEN_BACK)

        asked: dict[Key | None, list[Key]] = {}
        for key, information in self.information.items():
            for item in information:
                asked.setdefault(asker(item), []).append(key)
        reached: set[Key | None] = {None}
        queue: list[Key | None] = [None]
        while queue:
            new = set(asked.get(queue.pop(), ())) - reached
            reached |= new
            queue += new
        return Choice(
            {key: candidate for key, candidate in self.candidates.items() if key in reached},
            {
                key: [item for item in information if asker(item) in reached]
                for key, information in self.information.items()
                if key in reached
            },
        )


def walk(
    provider: AbstractProvider[TargetRequirement, Candidate, Key], wanted: Iterable[TargetRequirement]
) -> Choice | None:
    """Return what resolvelib's search would return for *wanted*; None where that would have to take something back.

    The names come in the order that *provider* prefers. Raises what *provider* raises.
    """
    choice = Choice()
    waiting: dict[Key, None] = {}

    def add(requirement: TargetRequirement, parent: Candidate | None) -> bool:
        """Return whether *requirement* agrees with what has been chosen."""
        key = provider.identify(requirement)
        choice.information.setdefault(key, []).append(RequirementInformation(requirement, parent))
        chosen = choice.candidates.get(key)
        if chosen is None:
            waiting[key] = None
            return True
        return provider.is_satisfied_by(requirement, chosen)

    def preference(key: Key) -> Any:
        return provider.get_preference(key, choice.candidates, {}, choice.information, ())  # type: ignore[arg-type]

    for requirement in wanted:
        add(requirement, None)
    while waiting:
        key = min(waiting, key=preference)
        del waiting[key]
        requirements = {
            known: [item.requirement for item in choice.information[known]]
            for known in (key, (key[0], frozenset[str]()))
            if known in choice.information
        }
        matches = provider.find_matches(key, requirements, {key: iter(())})  # type: ignore[arg-type]
        candidate = next(iter(matches() if callable(matches) else matches), None)
        if candidate is None:
            return None
        choice.candidates[key] = candidate
        if not all(add(requirement, candidate) for requirement in provider.get_dependencies(candidate)):
            return None
    return choice
