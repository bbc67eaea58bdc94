"""Say which dependency makes a bundle large, before it is downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from incamera.debian.closure import resolve_closure
from incamera.project.import_names import distribution_of
from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.debian.closure import ClosureRules
    from incamera.debian.index import Deb, PackageIndex
    from incamera.resolver.solve import Resolved

# The thirty packages of the reference list need at most 60 Debian packages each. Bytes are those of the archives.
_MANY_DEBS = 100
_LARGE_BYTES = 150_000_000


def describe_size(
    resolved: Sequence[Resolved], debs: Sequence[Deb], index: PackageIndex, rules: ClosureRules
) -> Iterator[str]:
    """Yield a warning when the lock has very many or large *debs*: how many, and what the largest dependency brings."""
    size = sum(deb.size for deb in debs)
    if len(debs) < _MANY_DEBS and size < _LARGE_BYTES:
        return
    text = f"the lock has {len(debs)} Debian packages, {format_bytes(size)} to download"
    brought = {
        item.candidate.name: resolve_closure(index, [item.candidate.deb.package], rules)
        for item in resolved
        if item.candidate.deb is not None and any(parent is None for _, parent in item.requirements)
    }
    if brought:
        name = max(brought, key=lambda name: sum(deb.size for deb in brought[name]))
        text += f"; {name} brings {len(brought[name])} of them"
        if other := distribution_of(name):
            text += f" ({other} may be what you need)"
    yield text
