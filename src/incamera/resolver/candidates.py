"""What is asked for, and what there is to answer it with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

if TYPE_CHECKING:
    from packaging.version import Version

    from incamera.debian.index import Deb
    from incamera.wheels.page import IndexFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """A requirement, evaluated for the target. *rung*: the only one that will do. *text*: as it was written."""

    name: str
    extras: frozenset[str] = frozenset()
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    rung: str | None = None
    text: str

    @property
    def exact(self) -> bool:
        return any(clause.operator in ("==", "===") and "*" not in clause.version for clause in self.specifier)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One version of a distribution on one rung. *extras* are those whose requirements are asked for, too."""

    name: str
    version: Version
    rung: str
    extras: frozenset[str] = frozenset()
    file: IndexFile | None = None
    deb: Deb | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def on_rung(self, rung: str) -> Candidate:
        return replace(self, rung=rung)
