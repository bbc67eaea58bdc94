"""Extras that are asked for, and that a distribution does not have. pip and uv only warn of them, and so do we."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.resolver.finder import CandidateFinder
    from incamera.resolver.solve import Resolved


def describe_unknown_extras(resolved: Sequence[Resolved], finder: CandidateFinder) -> Iterator[str]:
    """Yield a warning for each extra that adds nothing: who asks for it, and which extras there are."""
    for item in resolved:
        candidate = item.candidate
        for requirement, parent in item.requirements:
            known = finder.extras_of(candidate) if requirement.extras else frozenset[str]()
            for extra in sorted(requirement.extras - known):
                if finder.requirements_of(replace(candidate, extras=frozenset([extra]))):
                    continue  # its metadata use the extra without declaring it
                what = f'{parent or "the project"} asks for {requirement.text}, but {candidate} has no extra "{extra}"'
                if candidate.deb is not None:
                    yield f"{what}: it comes from Debian, whose packages have none"
                else:
                    yield what + (f"; it has {', '.join(sorted(known))}" if known else "")
