"""Explain why no versions fit each other: who asks for what, and what there is. Short, whatever was tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from incamera.errors import ResolveError
from incamera.project.settings import SOURCES
from incamera.units import format_count, shorten

if TYPE_CHECKING:
    from incamera.resolver.candidates import Finder, TargetRequirement

# A search can have tried hundreds of versions. Of each kind so many are named.
_SHOWN_NAMES = 3
_SHOWN_REQUIREMENTS = 3
_SHOWN_VERSIONS = 4
# Characters of a requirement, of a version, and of a reason such as an error of a build. All make some 20 lines.
_LONGEST_REQUIREMENT = 100
_LONGEST_VERSION = 30
_LONGEST_REASON = 160


def explain_conflict(causes: Iterable[Any], finder: Finder, constraints: Sequence[TargetRequirement]) -> ResolveError:
    """Return the error for requirements that contradict each other; *causes* are resolvelib's.

    The first line names the packages. Then each has a line: what is asked for, by whom, and which versions there are.
    """
    asked: dict[str, dict[str, list[str]]] = {}
    requirements: dict[str, list[TargetRequirement]] = {}
    for cause in causes:
        requirement: TargetRequirement = cause.requirement
        askers = asked.setdefault(requirement.name, {}).setdefault(requirement.text, [])
        askers.append(str(cause.parent) if cause.parent is not None else finder.asker)
        requirements.setdefault(requirement.name, []).append(requirement)
    for constraint in constraints:
        if constraint.name in asked:
            asked[constraint.name].setdefault(constraint.text, []).append("a constraint")
    # What cannot be had at all is the reason for the rest.
    names = sorted(asked, key=lambda name: any(True for _ in finder.find(name, requirements[name])))
    lines = [
        f"{_describe_requirements(asked[name])}; {_describe_candidates(name, requirements[name], finder)}"
        for name in names[:_SHOWN_NAMES]
    ]
    if len(names) > _SHOWN_NAMES:
        lines.append(f"and {format_count(len(names) - _SHOWN_NAMES, 'other contradiction')}")
    shown = ", ".join(shorten(name, _LONGEST_REQUIREMENT) for name in names[:_SHOWN_NAMES]) + (
        ", …" if len(names) > _SHOWN_NAMES else ""
    )
    text = f"cannot resolve {shown} for {finder.purpose}:"
    text += f" {lines[0]}" if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
    return ResolveError(text, hint=_hint(names, finder))


def _describe_requirements(askers_by_text: Mapping[str, Sequence[str]]) -> str:
    shown = []
    for text, askers in list(askers_by_text.items())[:_SHOWN_REQUIREMENTS]:
        unique = list(dict.fromkeys(askers))
        more = f" and {len(unique) - 1} more" if len(unique) > 1 else ""
        asker = shorten(unique[0], _LONGEST_REQUIREMENT)
        asked = shorten(text, _LONGEST_REQUIREMENT)
        shown.append(f"{asker}{more} {'ask' if more else 'asks'} for {asked}")
    if len(askers_by_text) > _SHOWN_REQUIREMENTS:
        shown.append(f"and {format_count(len(askers_by_text) - _SHOWN_REQUIREMENTS, 'other requirement')}")
    return "; ".join(shown)


def _describe_candidates(name: str, requirements: Sequence[TargetRequirement], finder: Finder) -> str:
    candidates = list(finder.find(name, [])) or list(finder.find(name, requirements))
    why_not = {source: shorten(reason, _LONGEST_REASON) for source, reason in finder.why_not.get(name, {}).items()}
    shown = []
    for source in SOURCES:
        versions = [
            shorten(str(candidate.version), _LONGEST_VERSION) for candidate in candidates if candidate.source == source
        ]
        if versions:
            more = ", …" if len(versions) > _SHOWN_VERSIONS else ""
            but = f", but {why_not[source]}" if source in why_not else ""
            shown.append(f"{source} {', '.join(versions[:_SHOWN_VERSIONS])}{more}{but}")
        elif source in why_not:
            shown.append(f"no {source}: {why_not[source]}")
    return "there is " + "; ".join(shown) if shown else "neither a package index nor Debian has it"


def _hint(names: Sequence[str], finder: Finder) -> str:
    for name in names:
        has_none = not any(True for _ in finder.find(name, []))
        if has_none and (hint := finder.explain_unknown(name)):
            return hint
    if hints := [finder.hints[name] for name in names if finder.hints.get(name)]:
        return hints[0]
    if any(finder.is_unknown(name) for name in names):
        return "check the name in the dependencies, and that the package index is the right one"
    return finder.remedy
