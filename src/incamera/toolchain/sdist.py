"""Unpacks an sdist safely: all its files are in one folder, and none is written outside of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from incamera.archives import BadArchive, Kind, PackedStream, TarReader, clean_path, open_zip, shorten
from incamera.disk import remove_tree
from incamera.errors import BuildError

_CHUNK = 256 * 1024
_CLASHES = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP)


@dataclass(frozen=True, slots=True)
class _Member:
    """A file with its *content*, or a link to *target*. Folders are made when they are needed."""

    path: str
    kind: Kind
    executable: bool = False
    time: float | None = None
    target: str = ""
    content: Iterable[bytes] = ()


def unpack_sdist(archive: Path, folder: Path, *, only_top: bool = False) -> Path:
    """Unpack *archive*, a .tar.gz or .zip of any name, into *folder*, and return the project's folder in it.

    Times are kept, since build scripts compare them. With *only_top*, only the files that lie in the project's folder
    itself are unpacked, which is much faster for a large project. Raises BuildError for a damaged archive, one that
    exceeds `archives.LIMITS`, and one with a file or link outside of its folder; *folder* is then as it was.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    try:
        with _reporting_damage(archive), archive.open("rb") as stream:
            # All of it is read once before anything is written: most of what is wrong with an archive shows then.
            top = [member for member in _members(stream) if member.path.count("/") <= 1]
            # A link may lead to a file further down.
            only_top = only_top and all(member.kind is Kind.file for member in top)
            members = _members(stream)
            kept = (member for member in members if member.path.count("/") <= 1) if only_top else members
            _Unpacking(archive, folder).run(kept)
        tops = sorted(folder.iterdir())
        if len(tops) != 1 or not tops[0].is_dir() or tops[0].is_symlink():
            found = ", ".join(shorten(path.name) + "/" * path.is_dir() for path in tops[:4]) or "nothing"
            raise BuildError(f"{archive.name} is not an sdist: it must contain one folder, but contains {found}")
    except BaseException:
        _remove_all(set(folder.iterdir()) - before)
        if is_new:
            folder.rmdir()
        raise
    return tops[0]


def _members(stream: IO[bytes]) -> Iterator[_Member]:
    stream.seek(0)
    beginning = stream.read(2)
    stream.seek(0)
    return _zip_members(stream) if beginning == b"PK" else _tar_members(stream)


def _tar_members(stream: IO[bytes]) -> Iterator[_Member]:
    reader = TarReader(PackedStream(stream))
    for member in reader:
        if member.kind is Kind.other:
            raise BadArchive(f"{shorten(member.name)} is neither a file nor a link")
        if member.kind is not Kind.folder:
            content = iter(lambda: reader.read(_CHUNK), b"")
            yield _Member(member.path, member.kind, bool(member.mode & 0o100), member.time, member.link, content)


def _zip_members(stream: IO[bytes]) -> Iterator[_Member]:
    with open_zip(stream) as archive:
        for info in archive.infos:
            executable = bool(info.external_attr >> 16 & 0o100)
            yield _Member(clean_path(info.filename), Kind.file, executable, content=archive.chunks(info))


class _Unpacking:
    """Writes the members of *archive* into *folder*."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._archive = archive
        self._folder = folder
        self._real_folder = folder.resolve()
        self._files: set[str] = set()
        self._folders: set[Path] = set()

    def run(self, members: Iterator[_Member]) -> None:
        links: dict[str, _Member] = {}
        for member in members:
            with self._reporting_clash(member):
                if member.kind is Kind.link:
                    self._discard(member.path)
                    links[member.path] = member
                    continue
                links.pop(member.path, None)  # of members with one name, the last counts
                if member.kind is not Kind.hard_link:
                    self._write(member)
                elif (target := links.get(clean_path(member.target))) is not None:
                    links[member.path] = replace(target, path=member.path)
                else:
                    self._link_file(member)
        # Links are made last, so that no file can be written through one.
        for member in links.values():
            with self._reporting_clash(member):
                self._link(member)
        for member in links.values():  # a later link may have changed where an earlier one leads
            self._require_inside(self._folder / member.path, member)

    def _place(self, member: _Member) -> Path:
        path = self._folder / member.path
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        return path

    def _discard(self, path: str) -> None:
        """Remove the file *path*, which an earlier member of the same name has made."""
        if path in self._files:
            if path.endswith("/PKG-INFO") and path.count("/") == 1:
                # Packages were chosen by the first one, of which only the beginning of the archive was fetched.
                raise BadArchive(f"{shorten(path)} is in it twice")
            (self._folder / path).unlink()
            self._files.remove(path)

    def _write(self, member: _Member) -> None:
        path = self._place(member)
        self._discard(member.path)
        with path.open("xb", buffering=0) as target:
            for data in member.content:
                target.write(data)
            os.fchmod(target.fileno(), 0o755 if member.executable else 0o644)
        if member.time is not None:
            os.utime(path, (member.time, member.time))
        self._files.add(member.path)

    def _link_file(self, member: _Member) -> None:
        target = clean_path(member.target)
        if target == member.path and target in self._files:
            return
        self._discard(member.path)
        if target not in self._files:
            raise BadArchive(f"{shorten(member.path)} is a hard link to {shorten(target)}, which is not in it before")
        os.link(self._folder / target, self._place(member), follow_symlinks=False)
        self._files.add(member.path)

    def _link(self, member: _Member) -> None:
        path = self._folder / member.path
        if not member.target:
            raise BadArchive(f"{shorten(member.path)} is a link to nothing")
        self._require_inside(path.parent, member)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._require_inside(path.parent / member.target, member)
        path.symlink_to(member.target)

    def _require_inside(self, path: Path, member: _Member) -> None:
        # The path is resolved in the file system, since its parts may be links.
        try:
            inside = path.resolve().is_relative_to(self._real_folder)
        except RuntimeError:  # a cycle of links
            inside = False
        if not inside:
            raise BuildError(f"{self._archive.name}: the link {member.path} leads out of it, to {member.target}")

    @contextmanager
    def _reporting_clash(self, member: _Member) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _CLASHES:
                raise BadArchive(f"{shorten(member.path)}: {error.strerror}") from error
            raise


def _remove_all(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            path.unlink()


@contextmanager
def _reporting_damage(archive: Path) -> Iterator[None]:
    try:
        yield
    except BadArchive as error:
        raise BuildError(f"{archive.name} is damaged: {error}") from error
