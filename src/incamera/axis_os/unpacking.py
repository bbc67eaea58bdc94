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
    folder.mkdir(mode=0o755)
    _give(folder, own)
    written = _Written(folder, own)
    with package.open("rb") as stream:
        archive = TarReader(PackedStream(stream, limits=LIMITS, trailer=lambda _: True), LIMITS)
        for member in archive:
            if member.name.strip("./") == "":
                continue
            match member.kind:
                case Kind.folder:
                    written.add_folder(member.path, member.mode & _MODES | 0o700)
                case Kind.link:
                    _require_inside(member.path, member.link)
                    written.place(member.path, Kind.link).symlink_to(member.link)
                case Kind.file:
                    place = written.place(member.path, Kind.file)
                    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                    try:
                        while data := archive.read(_CHUNK):
                            _write(descriptor, data)
                        own(descriptor)
                        os.fchmod(descriptor, member.mode & _MODES | 0o400)
                    finally:
                        os.close(descriptor)
                case _:
                    raise BadArchive(f"{member.path} is neither a file, a folder nor a link")


class _Written:
    """What was written into the new folder *root*. It is remembered, since asking the file system takes a camera long.

    Nobody else writes there meanwhile.
    """

    def __init__(self, root: Path, own: Callable[[int], None]) -> None:
        self._root = root
        self._own = own
        self._kinds: dict[str, Kind] = {}

    def place(self, path: str, kind: Kind) -> Path:
        """Return where a member *path* is to be written: its folder is there, and what was there before it is not."""
        self._make_parents(path)
        place = self._root / path
        match self._kinds.get(path):
            case None:
                pass
            case Kind.folder:
                shutil.rmtree(place)
                below = [name for name in self._kinds if name.startswith(f"{path}/")]
                for name in below:
                    del self._kinds[name]
            case _:
                place.unlink()
        self._kinds[path] = kind
        return place

    def add_folder(self, path: str, mode: int) -> None:
        if self._kinds.get(path) is Kind.folder:
            place = self._root / path
        else:
            place = self.place(path, Kind.folder)
            place.mkdir()
        place.chmod(mode)
        _give(place, self._own)

    def _make_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if not parent or (kind := self._kinds.get(parent)) is Kind.folder:
            return
        if kind is not None:
            raise BadArchive(f"{path} lies below a {'link' if kind is Kind.link else 'file'}")
        self._make_parents(parent)
        (self._root / parent).mkdir(mode=0o755)
        self._kinds[parent] = Kind.folder
        _give(self._root / parent, self._own)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _give(folder: Path, own: Callable[[int], None]) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        own(descriptor)
    finally:
        os.close(descriptor)


def _require_inside(path: str, target: str) -> None:
    joined = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120 - of no file yet
    if target.startswith("/") or joined == ".." or joined.startswith("../"):
        raise BadArchive(f"the link {path} leads out of the package")
