"""The two values of resolving: what is required, and a candidate that may satisfy it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

if TYPE_CHECKING:
    from packaging.version import Version

    from incamera.debian.index import Deb
    from incamera.wheels.page import IndexFile


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetRequirement:
    """A requirement whose markers were evaluated for the target.

    *name* is normalized. With *source*, only candidates from that source satisfy it. *text* is the requirement as it
    was written, for messages.
    """

    name: str
    extras: frozenset[str] = frozenset()
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    source: str | None = None
    text: str

    @property
    def is_exact(self) -> bool:
        """Whether only one version satisfies it (`==1.2`)."""
        return any(clause.operator in ("==", "===") and "*" not in clause.version for clause in self.specifier)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One version of a distribution from one source: *file* of a package index, or *deb*.

    *extras* are those that were asked for: their requirements count, too.
    """

    name: str
    version: Version
    source: str
    extras: frozenset[str] = frozenset()
    file: IndexFile | None = None
    deb: Deb | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def with_source(self, source: str) -> Candidate:
        return replace(self, source=source)
