"""The sentences of `incamera lock --explain`: why a distribution comes from its source, and not from an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

from incamera.project.settings import SOURCES

if TYPE_CHECKING:
    from incamera.project.settings import Project
    from incamera.resolver.finder import CandidateFinder
    from incamera.resolver.solve import Resolved


def explain_choice(item: Resolved, finder: CandidateFinder, project: Project) -> str:
    """Return one line that says what was chosen, and which requirements it satisfies."""
    candidate = item.candidate
    suite = finder.target.suite.name
    own = candidate.file.own_place if candidate.file else ""
    what = {
        "wheel": f"the wheel {own}" if own else f"a wheel fits: {candidate.file.filename}" if candidate.file else "",
        "deb": f"{candidate.deb.package} of Debian {suite}" if candidate.deb else "",
        "sdist": f"cross-built from {own or 'its sdist'}",
        "emulated": f"built from {own or 'its sdist'} under emulation",
    }[candidate.source]
    asked = dict.fromkeys(
        f"{requirement.text} ({parent or 'the project'})" for requirement, parent in item.requirements
    )
    named = f"; {candidate.source} is named in tool.incamera.sources" if candidate.name in project.sources else ""
    return f"{what}; asked for as {', '.join(asked)}{named}"


def explain_passed_over(item: Resolved, finder: CandidateFinder, project: Project) -> Iterator[str]:
    """Yield a line for each source before the chosen one: why nothing was taken from there."""
    candidate = item.candidate
    if candidate.name in project.sources or (candidate.file is not None and candidate.file.own_place):
        return
    why_not = finder.why_not.get(candidate.name, {})
    specifier = SpecifierSet()
    for requirement, _ in item.requirements:
        specifier &= requirement.specifier
    forced_by = [parent for requirement, parent in item.requirements if requirement.source == candidate.source]
    for source in SOURCES[: SOURCES.index(candidate.source)]:
        versions = [other.version for other in finder.find(candidate.name, []) if other.source == source]
        if source in why_not:
            yield f"{source}: {why_not[source]}"
        elif forced_by:
            yield f"{source}: {forced_by[0]} comes from Debian, and needs the package that it was built with"
        elif not versions:
            yield f"{source}: there is none"
        elif fitting := [version for version in versions if specifier.contains(version, prereleases=True)]:
            newest = max(fitting)
            if newest < candidate.version:
                yield f"{source}: {newest} is older than {candidate.version}"
            else:
                yield f"{source}: {newest} does not fit the other distributions"
        else:
            yield f"{source}: {', '.join(map(str, versions[:3]))} does not satisfy {specifier}"
