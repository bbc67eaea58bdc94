"""Packages that come with incamera: a project only names them, and no package index is asked for them.

Whoever owns such a name in an index could otherwise put code of theirs into the cameras of all who type it.
"""

from __future__ import annotations

from pathlib import Path

INCLUDED = ("acap",)
_PREFIX = "incamera:"
_INSTALLED = Path(__file__).parents[1] / "packages"
_CHECKOUT = Path(__file__).parents[3] / "packages"


def included_folder(name: str) -> Path | None:
    """Return the source folder of the package with the normalized *name*; None for one that does not come with us."""
    if name not in INCLUDED:
        return None
    return next((parent / name for parent in (_INSTALLED, _CHECKOUT) if (parent / name).is_dir()), None)


def included_name(path: Path) -> str | None:
    """Return the name of the package whose folder *path* is, if it is one that comes with incamera."""
    return path.name if path == included_folder(path.name) else None


def locked_as(path: Path) -> str | None:
    """Return what a lockfile has in the place of *path*, which differs from computer to computer; else None."""
    name = included_name(path)
    return name and _PREFIX + name
