"""Unpack a package into a folder: nothing gets outside of it, and nothing in it has rights of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from incamera.archives import BadArchive, Kind, Limits, PackedStream, TarReader

_MB = 1 << 20
LIMITS = Limits(total_bytes=512 * _MB, member_bytes=256 * _MB, members=20_000)
# Nobody but the owner writes, and no program gets the rights of its owner.
_MODES = 0o755
_CHUNK = 256 * 1024


def unpack(package: Path, folder: Path, own: Callable[[int], None]) -> None:
    """Write the members of *package* into the new *folder*; *own* gives the open file or folder to its owner.

    Raises BadArchive for a package that is damaged, or that holds what no package may hold, and OSError.
    """
    links: set[str] = set()
    folder.mkdir(mode=0o755)
    _give(folder, own)
    with package.open("rb") as stream:
        archive = TarReader(PackedStream(stream, limits=LIMITS, trailer=lambda _: True), LIMITS)
        for member in archive:
            if member.name.strip("./") == "":
                continue
            path = member.path
            if any(f"{path}/".startswith(f"{link}/") and path != link for link in links):
                raise BadArchive(f"{path} lies below a link")
            place = folder / path
            _make_folders(folder, place.parent, own)
            match member.kind:
                case Kind.folder:
                    if place.is_symlink() or not place.is_dir():
                        _remove(place)
                        place.mkdir()
                    place.chmod(member.mode & _MODES | 0o700)
                    _give(place, own)
                case Kind.link:
                    _require_inside(path, member.link)
                    _remove(place)
                    place.symlink_to(member.link)
                    links.add(path)
                case Kind.file:
                    _remove(place)
                    links.discard(path)
                    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                    try:
                        while data := archive.read(_CHUNK):
                            _write(descriptor, data)
                        own(descriptor)
                        os.fchmod(descriptor, member.mode & _MODES | 0o400)
                    finally:
                        os.close(descriptor)
                case _:
                    raise BadArchive(f"{path} is neither a file, a folder nor a link")


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _make_folders(root: Path, folder: Path, own: Callable[[int], None]) -> None:
    if folder == root or folder.is_dir():
        return
    _make_folders(root, folder.parent, own)
    folder.mkdir(mode=0o755)
    _give(folder, own)


def _give(folder: Path, own: Callable[[int], None]) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        own(descriptor)
    finally:
        os.close(descriptor)


def _remove(place: Path) -> None:
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)


def _require_inside(path: str, target: str) -> None:
    joined = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120 - of no file yet
    if target.startswith("/") or joined == ".." or joined.startswith("../"):
        raise BadArchive(f"the link {path} leads out of the package")
