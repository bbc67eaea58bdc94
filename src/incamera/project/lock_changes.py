"""What was added, removed and updated between two locks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.project.locked import Lock


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A package whose version or source is another one: *before* is None where it is new, *after* where it is gone."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"added {self.name} {self.after}"
        if self.after is None:
            return f"removed {self.name} {self.before}"
        return f"updated {self.name} {self.before} → {self.after}"


def find_changes(before: Lock | None, after: Lock) -> Sequence[Change]:
    """Return what was added, removed or updated between *before* and *after*, sorted by name."""
    old, new = (_contents(before) if before else {}), _contents(after)
    return [
        Change(name=name, before=old.get(name), after=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _contents(lock: Lock) -> dict[str, str]:
    distributions = {
        item.name: f"{item.version} ({item.source})" for item in lock.distributions if item.file is not None
    }
    tools = {}
    for build in lock.builds:
        for file in build.files:
            name, _, version = file.filename.removesuffix(".tar.gz").removesuffix(".zip").partition("-")
            tools[f"{name}, for the build of {build.name},"] = version.partition("-")[0]
    return distributions | {deb.package: deb.version for deb in lock.debs} | tools
