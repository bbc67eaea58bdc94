"""What a change of the dependencies costs: the packages that come, go and change, with sources and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.project.locked import Lock, LockedDistribution


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageCost:
    """A distribution, or a Debian package that is none (source "deb", no *via*). *bytes* are those of its file."""

    name: str
    version: str
    source: str
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LockCost:
    """The difference between two locks of a target. *libraries* are the Debian packages that are no distributions."""

    target: str
    added: tuple[PackageCost, ...]
    libraries: tuple[PackageCost, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """The bytes of all files that are added."""
        return sum(item.bytes for item in (*self.added, *self.libraries))


def compare_locks(before: Lock | None, after: Lock) -> LockCost:
    """Return what *after* has more than *before*, and less."""
    old = {item.name: item for item in before.distributions} if before else {}
    new = {item.name: item for item in after.distributions}
    old_debs = {deb.package for deb in before.debs} if before else set()
    debs = {deb.package: deb for deb in after.debs if deb.package not in old_debs}
    added = []
    for name, item in new.items():
        package = _deb_of(item)
        deb = debs.pop(package, None) if package else None
        if name not in old:
            size = deb.size if deb else (item.file.size or 0) if item.file else 0
            added.append(PackageCost(name=name, version=item.version, source=item.source, bytes=size))
    return LockCost(
        target=str(after.target),
        added=tuple(added),
        libraries=tuple(
            PackageCost(name=deb.package, version=deb.version, source="deb", bytes=deb.size) for deb in debs.values()
        ),
        removed=tuple(name for name in old if name not in new),
        changed=tuple(
            f"{name} {_shown(old[name])} → {_shown(item)}"
            for name, item in new.items()
            if name in old and _shown(old[name]) != _shown(item)
        ),
    )


def _shown(item: LockedDistribution) -> str:
    return f"{item.version} ({item.source})"


def _deb_of(item: LockedDistribution) -> str | None:
    """Return the Debian package that the distribution *item* comes in."""
    return item.why.partition(" of Debian ")[0] if item.source == "deb" else None
