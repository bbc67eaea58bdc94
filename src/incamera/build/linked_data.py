"""Unpacks data files to which Debian's Python packages link: some have theirs in /usr/share."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.deb_trees import unpack_debs

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.debian.index import Deb

_SHARE = "share/"
# A link may lead to a folder of further links, as to fonts.
_ROUNDS = 3


def unpack_linked_data(context: Context, debs: Sequence[Deb], tree: Path, files: Iterable[str]) -> None:
    """Unpack what those of *files* that are links into `/usr/share` lead to, from *debs*, as far as *tree* lacks it."""
    # Data are in packages for all architectures, so the large ones need not be read again.
    candidates = [deb for deb in debs if deb.filename.endswith("_all.deb")]
    for _ in range(_ROUNDS):
        wanted = find_dangling(tree, files)
        if not wanted:
            return
        files = _unpack(context, candidates, tree, wanted)


def find_dangling(tree: Path, files: Iterable[str]) -> list[str]:
    """Return the paths below `share` in *tree* to which links among *files* lead, and that do not exist."""
    found = set()
    for file in files:
        path = tree / file
        if path.is_symlink() and not path.exists():
            target = posixpath.normpath(posixpath.join(posixpath.dirname(file), path.readlink().as_posix()))
            # The link was made for a package's own tree, in which `share` is below `usr`.
            target = target.removeprefix("usr/")
            if target.startswith(_SHARE):
                found.add(target)
    return sorted(found)


def _unpack(context: Context, debs: Sequence[Deb], tree: Path, wanted: Sequence[str]) -> list[str]:
    def select(path: str) -> str | None:
        placed = path.removeprefix("usr/")
        fits = any(placed == target or placed.startswith(f"{target}/") for target in wanted)
        return placed if fits and path.startswith(f"usr/{_SHARE}") else None

    files: list[str] = []
    unpack_debs(context, debs, tree, select, on_files=lambda _, unpacked: files.extend(unpacked))
    return files
