"""Unpack from an archive what an audit reads: ELF files, Python files, and the files that describe the archive."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from incamera.abi.wheel_record import RecordProblems, read_record
from incamera.archives import (
    GZIP_MAGIC,
    BadArchive,
    Kind,
    PackedStream,
    TarReader,
    clean_path,
    find_signature,
    open_zip,
    shorten,
)
from incamera.elf import ELF_MAGIC

# Files with these suffixes are no ELF files, so they are not opened.
_SUFFIXES = """
.py .pyc .pyi .pyx .pxd .txt .md .rst .h .hpp .c .cpp .json .toml .html .css .js .svg .png .jpg .gz .xz .npz .npy .csv
.dat .pem .typed .f90 .in .tcl .xml .yml .yaml .cfg .ini .pickle .pkl .mat .zip .whl
"""
NOT_ELF = frozenset(_SUFFIXES.split())
NAMED_AS_LIBRARY = re.compile(r".+\.so(?:\.[\w.]+)?")
SCRIPT_MAGIC = b"#!"
MAX_SOURCE_BYTES = 4_000_000
"""Longer Python files are not audited."""
# What says that a folder is a package for a camera, or what a wheel is.
_DESCRIPTIONS = ("manifest.json", "package.conf", "bundle/etc/launcher", "bundle/etc/libraries.json")

_CHUNK = 256 * 1024
_INSTALLED = re.compile(r"^[^/]+\.data/(?:purelib|platlib)/")


def unpack_wheel(stream: BinaryIO, folder: Path, problems: RecordProblems) -> Iterator[str]:
    """Unpack what is audited of the wheel in *stream* into *folder*, and yield the paths of all its files.

    Modules of the wheel's `.data` folder are put where they are installed. What does not agree with the wheel's RECORD
    is added to *problems*. Raises BadArchive when the archive is damaged.
    """
    with open_zip(stream) as archive:
        record = read_record(archive, problems)
        for info in archive.infos:
            if not info.filename.endswith("/"):
                yield info.filename
            content = record.verify(info.filename, archive.chunks(info))
            beginning = next(content, b"")
            if _may_be_needed(info.filename) and _is_needed(info.filename, info.file_size, beginning):
                _write(folder, clean_path(_INSTALLED.sub("", info.filename, count=1)), chain([beginning], content))
            else:
                for _ in content:  # its checksum is verified at its end
                    pass
        record.finish()


def unpack_package(stream: BinaryIO, folder: Path) -> Iterator[tuple[str, str | None]]:
    """Unpack what is audited of the .eap in *stream* into *folder*.

    Yields the paths of all its files, with None, and those of its symbolic links, with their targets. No link is made.
    Raises BadArchive when it is damaged; what came before that is unpacked.
    """
    if stream.read(2) != GZIP_MAGIC:
        raise BadArchive("it is not a gzip file")
    unpacking = _PackageUnpacking(folder)
    stream.seek(0)
    yield from unpacking.run(stream)
    if unpacking.wanted_by_links:
        stream.seek(0)
        unpacking.unpack_targets(stream)


class _PackageUnpacking:
    """*wanted_by_links* maps members that were left out to the names of the hard links to them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kinds: dict[str, Kind] = {}
        self._links: dict[str, str] = {}
        self._written: set[str] = set()
        # The first name of each hard link's file.
        self._first_names: dict[str, str] = {}
        self.wanted_by_links: dict[str, list[str]] = {}

    def run(self, stream: BinaryIO) -> Iterator[tuple[str, str | None]]:
        reader = TarReader(PackedStream(stream, trailer=_is_signature))
        for member in reader:
            if member.kind in (Kind.folder, Kind.other):
                continue
            path = member.path
            _refuse_below_link(path, self._links)
            if member.kind is Kind.hard_link:
                yield path, None
                yield from self._link(path, member.target)
                self._kinds[path] = member.kind
                continue
            self._first_names.pop(path, None)
            self._kinds[path] = member.kind
            if member.kind is Kind.link:
                self._links[path] = member.link
                yield path, member.link
                continue
            yield path, None
            if _may_be_needed(path):
                beginning = reader.read(_CHUNK)
                if _is_needed(path, member.size, beginning):
                    self._write(path, chain([beginning], iter(lambda: reader.read(_CHUNK), b"")))

    def _link(self, path: str, target: str) -> Iterator[tuple[str, str]]:
        target = self._first_names.get(target, target)
        if target != path:
            self._first_names[path] = target
        if target in self._links:
            yield path, self._links[target]
        elif target in self._written:
            place = _prepare(self._folder, path)
            os.link(self._folder / target, place)
            self._written.add(path)
        elif target in self._kinds:
            if _may_be_needed(path):
                self.wanted_by_links.setdefault(target, []).append(path)
        else:
            raise BadArchive(f"{shorten(path)} is a hard link to {shorten(target)}, which is not in it before")

    def unpack_targets(self, stream: BinaryIO) -> None:
        """Read the archive again, for the content of hard links to members that were left out under their own name."""
        reader = TarReader(PackedStream(stream, trailer=_is_signature))
        for member in reader:
            names = self.wanted_by_links.get(member.path) if member.kind is Kind.file else None
            if names is None:
                continue
            beginning = reader.read(_CHUNK)
            needed = [name for name in names if _is_needed(name, member.size, beginning)]
            if needed:
                self._write(needed[0], chain([beginning], iter(lambda: reader.read(_CHUNK), b"")))
            for name in needed[1:]:
                os.link(self._folder / needed[0], _prepare(self._folder, name))

    def _write(self, path: str, content: Iterable[bytes]) -> None:
        _write(self._folder, path, content)
        self._written.add(path)


def _may_be_needed(path: str) -> bool:
    """Return whether the file *path* may be needed, as far as its name tells."""
    suffix = posixpath.splitext(path)[1]
    return suffix not in NOT_ELF or suffix == ".py" or path.removeprefix("./") in _DESCRIPTIONS


def _is_needed(path: str, size: int, beginning: bytes) -> bool:
    """Return whether an audit reads the file *path*, which begins with *beginning*."""
    if path.endswith(".py"):
        return size <= MAX_SOURCE_BYTES
    if beginning.startswith(SCRIPT_MAGIC):
        return size <= MAX_SOURCE_BYTES
    if beginning.startswith(ELF_MAGIC) or NAMED_AS_LIBRARY.fullmatch(path.rpartition("/")[2]):
        return True
    return path.endswith(("/WHEEL", ".dist-info/METADATA")) or path.removeprefix("./") in _DESCRIPTIONS


def _refuse_below_link(path: str, links: Mapping[str, str]) -> None:
    above = path.rpartition("/")[0]
    while links and above:
        if above in links:
            raise BadArchive(f"{shorten(path)} lies below the link {shorten(above)}")
        above = above.rpartition("/")[0]


def _prepare(folder: Path, path: str) -> Path:
    """Make the folders for the file *path*, and remove an earlier file of that name: the last one counts."""
    place = folder / path
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise BadArchive(f"{shorten(path)} is below a file, or both a file and a folder") from error
    return place


def _write(folder: Path, path: str, content: Iterable[bytes]) -> None:
    with _prepare(folder, path).open("xb") as target:
        for data in content:
            target.write(data)


def _is_signature(trailer: bytes) -> bool:
    """Return whether *trailer* is what signing adds to an .eap."""
    return find_signature(trailer) is not None
