"""The symbols that a file exports, in forms that can be kept and searched without looking at each of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet


class Exports(AbstractSet[str]):
    """A set of exports, as `Symbols.exports` has them, by their versions.

    *groups* has, for names with the same versions, these versions and the names, each separated by spaces. A `-` marks
    a version that is found only when asked for. A version is "" for names without one.
    """

    def __init__(self, groups: Iterable[tuple[str, str]]) -> None:
        self._groups = [(tuple(versions.split(" ")), frozenset(names.split(" "))) for versions, names in groups]
        self._default: list[frozenset[str]] = []
        self._by_version: dict[str, list[frozenset[str]]] = {}
        for versions, names in self._groups:
            if not _only_when_asked(versions):
                self._default.append(names)
            for version in versions:
                self._by_version.setdefault(version.removeprefix("-"), []).append(names)

    def __contains__(self, export: object) -> bool:
        if not isinstance(export, str):
            return False
        name, at, version = export.partition("@")
        return any(name in names for names in (self._by_version.get(version, ()) if at else self._default))

    def __iter__(self) -> Iterator[str]:
        for versions, names in self._groups:
            if not _only_when_asked(versions):
                yield from names
            for version in versions:
                yield from [f"{name}@{version.removeprefix('-')}" for name in names]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def of_versions(self, allowed: Collection[str]) -> Exports:
        """Return the exports of an older file of the same kind, which has no other versions than *allowed*."""
        groups = []
        for versions, names in self._groups:
            kept = [version for version in versions if version.removeprefix("-") in allowed]
            if kept and not _only_when_asked(versions) and _only_when_asked(kept):
                kept[-1] = kept[-1].removeprefix("-")  # there, this was the version for references without one
            if kept:
                groups.append((" ".join(kept), " ".join(names)))
        return Exports(groups)

    @classmethod
    def _from_iterable(cls, it: Iterable[str]) -> AbstractSet[str]:  # type: ignore[override]
        return frozenset(it)  # the operators of sets make these


def _only_when_asked(versions: Iterable[str]) -> bool:
    return all(version.startswith("-") for version in versions)


def dump_exports(exports: AbstractSet[str]) -> list[str]:
    """Return a line for each name, with its versions; a `-` marks a version that is found only when asked for."""
    by_name: dict[str, list[str]] = {}
    for export in sorted(exports):
        name, at, version = export.partition("@")
        if at:
            by_name.setdefault(name, []).append(version if name in exports else f"-{version}")
    return [f"{name} {' '.join(versions)}" for name, versions in by_name.items()]


def parse_exports(lines: Sequence[str]) -> Exports:
    """Return the exports in *lines*, which `dump_exports` made."""
    return Exports((versions, " ".join(names)) for versions, names in _by_versions(lines).items())


def pack_exports(lines: Sequence[str]) -> str:
    """Return *lines*, which `dump_exports` made, as text with a line for all names that have the same versions."""
    return "\n".join(f"{versions}\t{' '.join(names)}" for versions, names in _by_versions(lines).items())


def unpack_exports(text: str) -> Exports:
    """Return the exports in *text*, which `pack_exports` made."""
    lines = (line.partition("\t") for line in text.split("\n") if line)
    return Exports((versions, names) for versions, _, names in lines)


def _by_versions(lines: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for line in lines:
        name, _, versions = line.partition(" ")
        groups.setdefault(versions, []).append(name)
    return groups
