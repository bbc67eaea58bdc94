"""A wheel as an archive: its files and their recorded hashes, read with distrust."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from incamera.errors import BuildError
from incamera.wheels.damage import reading

# More than any camera holds; what claims more is a mistake or a trap.
_MOST_BYTES = 2 * 1024**3
_SMALL_LIMIT = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
# PEP 376 and 427: RECORD itself and its signatures can't have their own hashes in it.
UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_HASHES = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class WheelArchive:
    """`members` are the files by their path; `records` the hash of each, algorithm and urlsafe base64."""

    name: str
    dist_info: str
    members: Mapping[str, zipfile.ZipInfo]
    records: Mapping[str, tuple[str, str]]
    _zip: zipfile.ZipFile

    def read(self, path: str) -> bytes:
        sink = io.BytesIO()
        self.copy(path, sink)
        return sink.getvalue()

    def copy(self, path: str, sink: BinaryIO) -> None:
        """Write the file *path* to *sink*. Raises BuildError when it is not the one that is recorded."""
        algorithm, expected = self.records.get(path, ("sha256", ""))
        digest = hashlib.new(algorithm)
        with reading(self.name), self._zip.open(self.members[path]) as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                sink.write(chunk)
        if expected and base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() != expected.rstrip("="):
            raise BuildError(f"{self.name} is not a sound wheel: {path} is not what its RECORD says")

    def is_executable(self, path: str) -> bool:
        return bool(self.members[path].external_attr >> 16 & 0o111)


@contextmanager
def open_wheel(wheel: Path, name: str | None = None) -> Iterator[WheelArchive]:
    """Open *wheel*; *name* is its name where the file has another one, as in the store. Raises BuildError."""
    name = name or wheel.name
    with reading(name):
        archive = zipfile.ZipFile(wheel)
    with archive:
        members = _members(name, archive.infolist())
        folders = {path.partition("/")[0] for path in members if re.fullmatch(r"[^/]+\.dist-info/[^/]+", path)}
        if len(folders) != 1:
            raise BuildError(f"{name} is not a sound wheel: it has {len(folders) or 'no'} dist-info folders")
        dist_info = folders.pop()
        for file in ("METADATA", "RECORD", "WHEEL"):
            if f"{dist_info}/{file}" not in members:
                raise BuildError(f"{name} is not a sound wheel: it has no {file}")
        small = members[f"{dist_info}/RECORD"]
        if small.file_size > _SMALL_LIMIT:
            raise BuildError(f"{name} is not a sound wheel: its RECORD is {small.file_size} bytes long")
        with reading(name):
            records = _parse_record(archive.read(small))
        unrecorded = [path for path in members if path not in records and path not in _excepted(dist_info)]
        if unrecorded:
            raise BuildError(f"{name} is not a sound wheel: its RECORD lacks {unrecorded[0]}")
        yield WheelArchive(name, dist_info, members, records, archive)


def _excepted(dist_info: str) -> set[str]:
    return {f"{dist_info}/{file}" for file in UNRECORDED}


def _members(name: str, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Return the files by their path, each path having been judged. Raises BuildError."""
    members: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    for info in infos:
        path = info.filename
        if info.is_dir():
            continue
        parts = path.split("/")
        if any(part in ("", ".", "..") for part in parts) or any(sign in path for sign in ("\\", "\0", "\n", "\r")):
            raise BuildError(f"{name} is not a sound wheel: {path!r} points outside")
        if path in members:
            raise BuildError(f"{name} is not a sound wheel: it has {path} twice")
        if info.external_attr >> 16 and stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise BuildError(f"{name} is not a sound wheel: {path} is a link or a device, not a file")
        members[path] = info
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    for path in members.keys() & folders:
        raise BuildError(f"{name} is not a sound wheel: {path} is both a file and a folder")
    size = sum(info.file_size for info in members.values())
    if size > _MOST_BYTES:
        raise BuildError(f"{name} is not a sound wheel: it would be {size // 2**20} MB unpacked")
    return members


def _parse_record(data: bytes) -> dict[str, tuple[str, str]]:
    """Return the hash of each file. Raises ValueError."""
    records: dict[str, tuple[str, str]] = {}
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    except csv.Error as error:
        raise ValueError(f"its RECORD cannot be read: {error}") from error
    for row in rows:
        if not row:
            continue
        if len(row) != 3:
            raise ValueError(f"its RECORD has a line of {len(row)} fields")
        path, recorded, _ = row
        algorithm, _, value = recorded.partition("=")
        if path.rpartition("/")[2] in UNRECORDED and not recorded:
            continue
        if algorithm not in _HASHES or not value:
            raise ValueError(f"its RECORD has no good hash for {path}")
        records[path] = (algorithm, value)
    return records


def record_line(path: str, data: bytes) -> str:
    """Return the line of RECORD for the file *path*."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([path, f"sha256={digest}", str(len(data))])
    return line.getvalue()
