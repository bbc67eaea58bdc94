"""Unpack files of a `.deb` into a folder, and never write outside of that folder.

A package's lib/x, bin/x and sbin/x become usr/lib/x, usr/bin/x and usr/sbin/x ("merged /usr"), as on any Debian system
since bookworm, so that each file has one path. Empty folders are not made.
"""

from __future__ import annotations

import filecmp
import os
import posixpath
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from incamera.archives import BadArchive, Kind, PackedStream, TarMember, TarReader, read_ar_members
from incamera.errors import BuildError, IntegrityError

Select = Callable[[str], str | None]
"""Maps a path in the package (`usr/lib/x`) to a path below the destination, or to None to leave it out."""

_COPY_BYTES = 1024 * 1024
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32")
_TREE = "data.tar"
_COMPRESSIONS = ("", ".gz", ".xz")


def unpack_deb(deb: Path, destination: Path, select: Select = lambda path: path) -> list[str]:
    """Unpack the files of *deb* that *select* chooses, and return their paths below *destination*, sorted.

    Links to absolute paths become relative, modes become 0644 or 0755, devices are left out. Several threads may unpack
    into one destination: a file that two packages contain must be equal in both.
    Raises IntegrityError for a damaged package, BuildError when two packages contain different files of one path.
    """
    unpacking = _Unpacking(deb.name, destination, select)
    with deb.open("rb") as stream:
        unpacking.run(stream)
        if unpacking.wanted_by_links:
            # A hard link was chosen, but not its target: the target's contents are read in a second pass.
            wanted = unpacking.wanted_by_links
            again = _Unpacking(deb.name, destination, lambda path: wanted[path][0] if path in wanted else None)
            stream.seek(0)
            again.run(stream)
            if missing := sorted(wanted.keys() - again.sources):
                raise IntegrityError(f"{deb.name} is damaged: it has a hard link to {missing[0]}, but not that file")
            for first, *others in wanted.values():
                for other in others:
                    again.place_link(first, other)
            unpacking.written |= again.written
    return sorted(unpacking.written)


def merged_path(path: str) -> str:
    """Return *path* (relative to the root) on a system where /bin, /lib and /sbin are links into /usr."""
    return f"usr/{path}" if path.partition("/")[0] in _MERGED else path


class _Unpacking:
    """Unpacks one package. *wanted_by_links* maps targets that were not chosen to the hard links to them."""

    def __init__(self, name: str, destination: Path, select: Select) -> None:
        self.name = name
        self.root = destination
        self.select = select
        self.written: set[str] = set()
        self.sources: set[str] = set()
        self.wanted_by_links: dict[str, list[str]] = {}
        self._first_names: dict[str, str] = {}
        self._folders = {""}

    def run(self, stream: IO[bytes]) -> None:
        with self.reporting_damage():
            archive = TarReader(self.open_tree(stream))
            for member in archive:
                self.unpack_member(archive, member)

    def open_tree(self, stream: IO[bytes]) -> PackedStream:
        """Return the content of the tar archive in the package."""
        found = next((member for member in read_ar_members(stream) if member.name.startswith(_TREE)), None)
        if found is None:
            raise IntegrityError(f"{self.name} is a damaged Debian package: it has no {_TREE}")
        ending = found.name.removeprefix(_TREE)
        if ending not in _COMPRESSIONS:
            raise BuildError(
                f"{self.name} is compressed as {ending}, which incamera does not read",
                hint="Debian's own packages use .xz or .gz: does the mirror belong to another distribution?",
            )
        stream.seek(found.start)
        return PackedStream(stream, size=found.size)

    @contextmanager
    def reporting_damage(self) -> Iterator[None]:
        try:
            yield
        except BadArchive as error:
            raise IntegrityError(f"{self.name} is a damaged Debian package: {error}") from error

    def unpack_member(self, archive: TarReader, member: TarMember) -> None:
        if member.kind in (Kind.folder, Kind.other):
            return
        original = member.path
        path = merged_path(original)
        chosen = self.select(path)
        if chosen is None:
            if member.kind is Kind.hard_link:
                self._remember_first_name(path, merged_path(member.target))
            return
        _require_inside(chosen)
        if member.kind is Kind.link:
            self.place_symbolic_link(original, path, chosen, member.link)
        elif member.kind is Kind.hard_link:
            target = merged_path(member.target)
            target = self._remember_first_name(path, target)
            place = self.select(target)
            if place is not None and place in self.written:
                self.place_link(place, chosen)
            else:
                self.wanted_by_links.setdefault(target, []).append(chosen)
        else:
            self.place_file(chosen, archive, executable=bool(member.mode & 0o111))
            self.sources.add(path)

    def _remember_first_name(self, path: str, target: str) -> str:
        """Return the name that the file of the hard link *path* had first: *target* may be a hard link, too."""
        self._first_names[path] = self._first_names.get(target, target)
        return self._first_names[path]

    def place_file(self, path: str, content: TarReader, *, executable: bool) -> None:
        full = output_path = self.prepare(path)
        # O_EXCL and O_NOFOLLOW: neither a link nor another thread's file is opened.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(full, flags, 0o644)
        except FileExistsError:
            output_path = full.with_name(f".{threading.get_ident()}.part")
            descriptor = os.open(output_path, flags, 0o644)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as output:
                while data := content.read(_COPY_BYTES):
                    while data:
                        data = data[output.write(data) :]
                os.fchmod(output.fileno(), 0o755 if executable else 0o644)
            if output_path is not full:
                self.require_same(path, full, output_path)
                output_path.replace(full)
        except BaseException:
            output_path.unlink(missing_ok=True)
            raise
        self.written.add(path)

    def require_same(self, path: str, full: Path, new: Path) -> None:
        """Raises BuildError when the file that is at *full* already is another package's and differs from *new*."""
        if full.is_dir() and not full.is_symlink():
            raise BuildError(f"{self.name} contains {path}, where another package has a folder")
        if path not in self.written and (full.is_symlink() or not filecmp.cmp(full, new, shallow=False)):
            raise BuildError(f"{self.name} contains {path}, and so does another package, with other contents")

    def place_symbolic_link(self, original: str, path: str, chosen: str, target: str) -> None:
        # Resolved at the link's place in the package, with the package's root as "/", where ".." is "/" itself: a
        # target is never outside.
        absolute = posixpath.normpath(posixpath.join("/", posixpath.dirname(original), target))
        inside = merged_path(absolute.lstrip("/"))
        if inside == path:
            return  # /bin -> /usr/bin, which merging has done already
        moved = self.select(inside)
        here, there = (path, inside) if moved is None else (chosen, moved)
        if there:
            _require_inside(there)
        relative = posixpath.relpath("/" + there, "/" + posixpath.dirname(here))
        full = self.prepare(chosen)
        try:
            full.symlink_to(relative)
        except FileExistsError:
            if full.is_symlink() and str(full.readlink()) == relative:
                pass
            elif chosen in self.written:
                full.unlink()
                full.symlink_to(relative)
            else:
                raise BuildError(
                    f"{self.name} contains the link {chosen}, where another package has something else"
                ) from None
        self.written.add(chosen)

    def place_link(self, source: str, path: str) -> None:
        full = self.prepare(path)
        origin = self.root / source
        if source == path:
            return
        try:
            os.link(origin, full, follow_symlinks=False)
        except FileExistsError:
            self.require_same(path, full, origin)
            full.unlink()
            os.link(origin, full, follow_symlinks=False)
        self.written.add(path)

    def prepare(self, path: str) -> Path:
        """Make the folders above *path*, and return its full path. Raises BuildError when one of them is a link."""
        folder = posixpath.dirname(path)
        if folder not in self._folders:
            made = self.root
            for part in folder.split("/"):
                made /= part
                try:
                    made.mkdir(0o755)
                except FileExistsError:
                    if made.is_symlink() or not made.is_dir():
                        raise BuildError(
                            f"{self.name} contains {path}, but {made.relative_to(self.root)} is not a folder"
                        ) from None
                self._folders.add(str(made.relative_to(self.root)))
        return self.root / path


def _require_inside(path: str) -> None:
    """Raises AssertionError when *select* returned a path outside of the destination."""
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise AssertionError(f"{path!r} is not below the destination")
