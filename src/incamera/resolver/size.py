"""Say which dependency makes a bundle large, before it is downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from incamera.debian.closure import resolve_closure
from incamera.project.import_names import distribution_of
from incamera.units import format_bytes, format_count

if TYPE_CHECKING:
    from incamera.debian.closure import ClosureRules
    from incamera.debian.index import Deb, PackageIndex
    from incamera.resolver.solve import Resolved

# The thirty packages of the reference list need at most 60 Debian packages each. Bytes are those of the archives.
_MANY_DEBS = 100
_LARGE_BYTES = 150_000_000


def describe_size(
    resolved: Sequence[Resolved],
    debs: Sequence[Deb],
    index: PackageIndex,
    rules: ClosureRules,
    named: Sequence[str] = (),
) -> Iterator[str]:
    """Yield a warning when the lock has very many or large *debs*, or large files of package indexes.

    It says how many, and what the largest dependency brings, or the largest of the Debian packages that are *named* in
    the settings.
    """
    files = {item.candidate.name: item.candidate.file.size or 0 for item in resolved if item.candidate.file is not None}
    deb_bytes, file_bytes = sum(deb.size for deb in debs), sum(files.values())
    if len(debs) < _MANY_DEBS and deb_bytes < _LARGE_BYTES and file_bytes < _LARGE_BYTES:
        return
    text = f"the lock has {len(debs)} Debian packages"
    if files:
        text += f" and {format_count(len(files), 'file')} of package indexes"
    text += f", {format_bytes(deb_bytes + file_bytes)} to download"
    brought = {name: _bring([name], index, rules) for name in named}
    for item in resolved:
        if any(parent is None for _, parent in item.requirements):
            brought[item.candidate.name] = _bring_with(item, resolved, files, index, rules)
    if brought:
        name = max(brought, key=lambda name: brought[name][1])
        count, size = brought[name]
        text += f"; {name} brings {count} of them, {format_bytes(size)}"
        if other := distribution_of(name):
            text += f" ({other} may be what you need)"
    yield text


def _bring_with(
    item: Resolved,
    resolved: Sequence[Resolved],
    files: Mapping[str, int],
    index: PackageIndex,
    rules: ClosureRules,
) -> tuple[int, int]:
    """Return how many packages *item* and all that it needs bring, and their bytes."""
    by_name = {one.candidate.name: one for one in resolved}
    waiting, reached = [item.candidate.name], {item.candidate.name}
    while waiting:
        for name in by_name[waiting.pop()].requires:
            if name in by_name and name not in reached:
                reached.add(name)
                waiting.append(name)
    packages = [one.candidate.deb.package for name in reached if (one := by_name[name]).candidate.deb is not None]
    count, size = _bring(sorted(packages), index, rules)
    sizes = [files[name] for name in reached if name in files]
    return count + len(sizes), size + sum(sizes)


def _bring(packages: Sequence[str], index: PackageIndex, rules: ClosureRules) -> tuple[int, int]:
    debs = resolve_closure(index, packages, rules) if packages else []
    return len(debs), sum(deb.size for deb in debs)
