"""Unpacks an sdist safely: all its files are in one folder, and none is written outside of it."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from incamera.errors import BuildError

# What the standard library raises for damaged archives.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class _Member:
    """A file with its `content`, or a symbolic `link`. Folders are made when they are needed."""

    path: str
    executable: bool = False
    time: float | None = None
    content: Callable[[], IO[bytes] | None] | None = None
    link: str = ""


def unpack_sdist(archive: Path, folder: Path) -> Path:
    """Unpack *archive*, a .tar.gz or .zip of any name, into *folder*, and return the project's folder in it.

    Times are kept, since build scripts compare them. Raises BuildError for a damaged archive, and for one with a file
    or link outside of its folder. (The oldest Pythons that incamera runs on have no filters in tarfile.)
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _reporting_damage(archive), archive.open("rb") as stream:
        links = []
        for member in _zip_members(stream) if zipfile.is_zipfile(stream) else _tar_members(stream, archive):
            path = folder / _inside(member.path, archive)
            if member.content is not None:
                _write(path, member, archive)
            else:
                links.append((path, member))
        # Links are made last, so that no file can be written through one.
        for path, member in links:
            _link(path, folder, member, archive)
        for path, member in links:  # a later link may have changed where an earlier one leads
            _require_inside(path, folder, member, archive)
    tops = sorted(folder.iterdir())
    if len(tops) != 1 or not tops[0].is_dir() or tops[0].is_symlink():
        raise BuildError(
            f"{archive.name} is not an sdist: it must contain one folder, but contains {len(tops)} entries"
        )
    return tops[0]


def _tar_members(stream: IO[bytes], name: Path) -> Iterator[_Member]:
    stream.seek(0)
    with tarfile.open(fileobj=stream, mode="r:*") as archive:
        for info in archive:
            if info.isdir():
                continue
            if info.issym():
                yield _Member(info.name, link=info.linkname)
            elif info.isreg() or info.islnk():
                executable = bool(info.mode & 0o100)
                # extractfile follows a hard link to the file of that name in the archive.
                yield _Member(info.name, executable, info.mtime, lambda info=info: archive.extractfile(info))  # type: ignore[misc]
            else:
                raise BuildError(f"{name.name}: {info.name} is neither a file nor a link")


def _zip_members(stream: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                mode = info.external_attr >> 16
                yield _Member(info.filename, bool(mode & 0o100), None, lambda info=info: archive.open(info))  # type: ignore[misc]


def _inside(path: str, archive: Path) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise BuildError(f'{archive.name} is damaged: a file in it cannot be called "{path}"')
    return "/".join(parts)


def _write(path: Path, member: _Member, archive: Path) -> None:
    assert member.content is not None
    with _reporting_clash(member, archive):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as target:
            source = member.content()
            if source is None:
                raise BuildError(f"{archive.name} is damaged: {member.path} has no content")
            with source:
                shutil.copyfileobj(source, target)
        path.chmod(0o755 if member.executable else 0o644)
        if member.time is not None:
            os.utime(path, (member.time, member.time))


def _link(path: Path, folder: Path, member: _Member, archive: Path) -> None:
    with _reporting_clash(member, archive):
        _require_inside(path.parent, folder, member, archive)
        path.parent.mkdir(parents=True, exist_ok=True)
        _require_inside(path.parent / member.link, folder, member, archive)
        path.symlink_to(member.link)


def _require_inside(path: Path, folder: Path, member: _Member, archive: Path) -> None:
    # The path is resolved in the file system, since its parts may be links.
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except RuntimeError:  # a cycle of links
        inside = False
    if not inside:
        raise BuildError(f"{archive.name}: the link {member.path} leads out of it, to {member.link}")


@contextmanager
def _reporting_clash(member: _Member, archive: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP):
            raise BuildError(f"{archive.name} is damaged: {member.path}: {error.strerror}") from error
        raise


@contextmanager
def _reporting_damage(archive: Path) -> Iterator[None]:
    try:
        yield
    except BuildError:
        raise
    except _DAMAGE as error:
        raise BuildError(f"{archive.name} is damaged: {error}") from error
