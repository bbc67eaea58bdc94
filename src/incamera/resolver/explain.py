"""Why a distribution is on its rung: the sentences of `incamera lock --explain`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

if TYPE_CHECKING:
    from incamera.project.settings import Project
    from incamera.resolver.finder import Ladder
    from incamera.resolver.solve import Resolved

# In the order in which they are tried.
_LADDER = ("wheel", "deb", "sdist", "emulated")


def why(item: Resolved, ladder: Ladder, project: Project) -> str:
    """Return one line: what was taken, and what it satisfies."""
    offer = item.offer
    suite = ladder.target.suite.name
    what = {
        "wheel": f"a wheel fits: {offer.file.filename}" if offer.file else "",
        "deb": f"{offer.deb.package} of Debian {suite}" if offer.deb else "",
        "sdist": "cross-built from its sdist",
        "emulated": "built from its sdist under emulation",
    }[offer.rung]
    asked = dict.fromkeys(f"{wish.text} ({parent or 'the project'})" for wish, parent in item.wishes)
    named = f"; {offer.rung} is named in tool.incamera.sources" if offer.name in project.sources else ""
    return f"{what}; asked for as {', '.join(asked)}{named}"


def passed_over(item: Resolved, ladder: Ladder, project: Project) -> Iterator[str]:
    """Yield, for each rung before the one that was taken, why it was not."""
    offer = item.offer
    if offer.name in project.sources:
        return
    reasons = ladder.reasons.get(offer.name, {})
    specifier = SpecifierSet()
    for wish, _ in item.wishes:
        specifier &= wish.specifier
    forced = [parent for wish, parent in item.wishes if wish.rung == offer.rung]
    for rung in _LADDER[: _LADDER.index(offer.rung)]:
        versions = [other.version for other in ladder.offers(offer.name, []) if other.rung == rung]
        if rung in reasons:
            yield f"{rung}: {reasons[rung]}"
        elif forced:
            yield f"{rung}: {forced[0]} is of Debian, and so is what it was built with"
        elif not versions:
            yield f"{rung}: there is none"
        elif fitting := [version for version in versions if specifier.contains(version, prereleases=True)]:
            newest = max(fitting)
            if newest < offer.version:
                yield f"{rung}: {newest} is older than {offer.version}"
            else:
                yield f"{rung}: {newest} does not fit the other distributions"
        else:
            yield f"{rung}: {', '.join(map(str, versions[:3]))} will not do for {specifier}"
