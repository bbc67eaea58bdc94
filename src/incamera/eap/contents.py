"""The files of a package: those of the bundle, those of the project, and those that incamera writes."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.eap.archive import private_mode
from incamera.eap.start import BUNDLE
from incamera.eap.tar import Member
from incamera.errors import ConfigError

if TYPE_CHECKING:
    from incamera.tree import Entry

_FILE_MODE, _PROGRAM_MODE = 0o644, 0o755
_READABLE = 0o600


def bundle_members(
    folder: Path, entries: Iterable[Entry], left_out: Iterable[str], kept: Mapping[str, str] | None = None
) -> Iterator[Member]:
    """Yield the members of the bundle in *folder*, below the package's own folder for it; without the *left_out*.

    *kept* maps the paths in a trimmed package to those in the bundle; None for all of them. Links that lead out of the
    bundle are left out, too: Debian's time zones have one to the computer's own.
    """
    without = frozenset(left_out)
    found = {entry.path: entry for entry in entries if entry.path not in without}
    places = {path: path for path in found} if kept is None else kept
    for place, source in places.items():
        entry = found.get(source)
        if entry is None:
            continue
        path = f"{BUNDLE}/{place}"
        if entry.link:
            if not _leads_out(place, entry.link):
                yield Member(path=path, link=entry.link)
        else:
            mode = _PROGRAM_MODE if entry.executable else _FILE_MODE
            yield Member(path=path, mode=mode, size=entry.size, content=folder / source)


def _leads_out(path: str, target: str) -> bool:
    """Whether the link *path* of a tree with the *target* leads out of the tree."""
    return target.startswith("/") or posixpath.normpath(posixpath.join(posixpath.dirname(path), target))[:2] == ".."


def written(path: str, data: bytes, mode: int = _FILE_MODE) -> Member:
    """Return the member for a file that incamera writes."""
    return Member(path=path, mode=mode, size=len(data), content=data)


def project_members(folder: Path, name: str, path: str = "") -> Iterator[Member]:
    """Yield the members of the file or folder *name* in the project's *folder*; in the package it is *path*.

    Modes are those of the files, without the permission for others to write. Raises ConfigError for a link that leads
    out of what is packed, and for what is neither a file, a folder nor a link.
    """
    path = path or name
    top = folder / name
    yield from _members(top, path, top)


def _members(top: Path, path: str, source: Path) -> Iterator[Member]:
    status = source.lstat()
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(source)  # noqa: PTH115 - Path.readlink changes what it reads
        _require_inside(top, source, target)
        yield Member(path=path, link=target)
    elif stat.S_ISDIR(status.st_mode):
        for child in source.iterdir():
            yield from _members(top, f"{path}/{child.name}", child)
    elif stat.S_ISREG(status.st_mode):
        yield Member(path=path, mode=private_mode(status.st_mode) | _READABLE, size=status.st_size, content=source)
    else:
        raise ConfigError(f"{source} is neither a file nor a folder", hint="remove it, or name other files")


def _require_inside(top: Path, link: Path, target: str) -> None:
    inside = os.path.normpath(link.parent / target)
    if target.startswith("/") or not Path(inside).is_relative_to(top):
        raise ConfigError(
            f"the link {link} leads to {target}, which is not in the package", hint="replace it by a copy of the file"
        )
