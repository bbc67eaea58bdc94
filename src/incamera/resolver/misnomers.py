"""Distributions that were asked for by the name of a module that another distribution has (serial is not pyserial)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from incamera.project.import_names import distribution_of

if TYPE_CHECKING:
    from incamera.resolver.solve import Resolved


def describe_misnomers(resolved: Sequence[Resolved]) -> Iterator[str]:
    """Yield a warning for each of the project's own dependencies that is likely to be another package than was meant.

    One that requires the package that was meant, as bs4 does, is none. Neither is Debian's package with that module.
    """
    names = {item.candidate.name for item in resolved}
    for item in resolved:
        name, other = item.candidate.name, distribution_of(item.candidate.name)
        if other is None or other in names or item.candidate.deb is not None:
            continue
        if any(parent is None for _, parent in item.requirements):
            yield f"{item.candidate} is not the package that {name} usually means: that is called {other}"
