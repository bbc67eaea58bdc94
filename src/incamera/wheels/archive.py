"""Read a wheel: its files and their recorded hashes, all of which are checked."""

from __future__ import annotations

import base64
import csv
import email
import hashlib
import io
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from incamera.archives import Limits, ZipReader, open_zip
from incamera.errors import BuildError
from incamera.units import format_count
from incamera.wheels.damage import reading_archive

# A wheel whose files are larger is refused: no camera could hold it.
_MAX_BYTES = 2 * 1024**3
_WHEEL_LIMIT = 1024 * 1024
_RECORD_LIMIT = 64 * 1024 * 1024
# PEP 376 and 427: RECORD cannot contain its own hash, nor those of its signatures.
UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_HASHES = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class WheelArchive:
    """An open wheel. *members* are its files by path; *records* has the hash of each: algorithm, and urlsafe base64."""

    name: str
    dist_info: str
    members: Mapping[str, zipfile.ZipInfo]
    records: Mapping[str, tuple[str, str]]
    _zip: ZipReader

    def read(self, path: str) -> bytes:
        """Return the contents of the file *path*. Raises BuildError when they do not have the recorded hash."""
        sink = io.BytesIO()
        self.copy(path, sink)
        return sink.getvalue()

    def copy(self, path: str, sink: BinaryIO) -> None:
        """Write the file *path* to *sink*. Raises BuildError when it does not have the recorded hash."""
        algorithm, expected = self.records.get(path, ("sha256", ""))
        digest = hashlib.new(algorithm)
        with reading_archive(self.name):
            for data in self._zip.chunks(self.members[path]):
                digest.update(data)
                sink.write(data)
        if expected and base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() != expected.rstrip("="):
            raise BuildError(f"{self.name} is not a valid wheel: {path} does not have the hash in RECORD")

    def is_executable(self, path: str) -> bool:
        """Whether the file *path* is to be executable."""
        return bool(self.members[path].external_attr >> 16 & 0o111)


@contextmanager
def open_wheel(wheel: Path, name: str | None = None) -> Iterator[WheelArchive]:
    """Yield the open *wheel*; *name* is its file name, where *wheel* has another one, as in the store.

    Raises BuildError when it is damaged or not valid.
    """
    name = name or wheel.name
    with ExitStack() as stack:
        with reading_archive(name):
            archive = stack.enter_context(open_zip(wheel, Limits(total_bytes=_MAX_BYTES)))
        members = _members(name, archive.infos)
        folders = {path.partition("/")[0] for path in members if re.fullmatch(r"[^/]+\.dist-info/[^/]+", path)}
        if len(folders) != 1:
            raise BuildError(f"{name} is not a valid wheel: it has {len(folders) or 'no'} dist-info folders")
        dist_info = folders.pop()
        for file in ("METADATA", "RECORD", "WHEEL"):
            if f"{dist_info}/{file}" not in members:
                raise BuildError(f"{name} is not a valid wheel: it has no {file}")
        with reading_archive(name):
            records = parse_record(archive.read(members[f"{dist_info}/RECORD"], limit=_RECORD_LIMIT))
        unrecorded = [path for path in members if path not in records and path not in _excepted(dist_info)]
        if unrecorded:
            raise BuildError(f"{name} is not a valid wheel: its RECORD lacks {unrecorded[0]}")
        opened = WheelArchive(name, dist_info, members, records, archive)
        _require_known_format(opened)
        yield opened


def _require_known_format(wheel: WheelArchive) -> None:
    """Raises BuildError when the wheel is of a format that is newer than the one which incamera knows (PEP 427)."""
    path = f"{wheel.dist_info}/WHEEL"
    with reading_archive(wheel.name):  # its hash is verified when it is unpacked
        data = wheel._zip.read(wheel.members[path], limit=_WHEEL_LIMIT)
    version = str(email.message_from_bytes(data).get("Wheel-Version", "1.0")).strip()
    if version.partition(".")[0] != "1":
        raise BuildError(
            f"{wheel.name} is a wheel of format {version}, which incamera does not know",
            hint="choose another version of the package, or use a newer incamera",
        )


def _excepted(dist_info: str) -> set[str]:
    return {f"{dist_info}/{file}" for file in UNRECORDED}


def _members(name: str, infos: Sequence[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Return the files by their paths. Raises BuildError for a path that a wheel must not have."""
    members: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    for info in infos:
        path = info.filename
        parts = path.split("/")
        if any(part in ("", ".", "..") for part in parts) or any(sign in path for sign in ("\\", "\0", "\n", "\r")):
            raise BuildError(f"{name} is not a valid wheel: {path!r} leads outside of the folder")
        if path in members:
            raise BuildError(f"{name} is not a valid wheel: it has {path} twice")
        if info.external_attr >> 16 and stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise BuildError(f"{name} is not a valid wheel: {path} is a link or a device, not a file")
        members[path] = info
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    for path in members.keys() & folders:
        raise BuildError(f"{name} is not a valid wheel: {path} is both a file and a folder")
    return members


def parse_record(data: bytes) -> dict[str, tuple[str, str]]:
    """Return the hash of each file that RECORD lists. Raises ValueError when it is malformed."""
    records: dict[str, tuple[str, str]] = {}
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    except csv.Error as error:
        raise ValueError(f"its RECORD cannot be read: {error}") from error
    for row in rows:
        if not row:
            continue
        if len(row) != 3:
            raise ValueError(f"its RECORD has a line of {format_count(len(row), 'field')}")
        path, recorded, _ = row
        algorithm, _, value = recorded.partition("=")
        if path.rpartition("/")[2] in UNRECORDED and not recorded:
            continue
        if algorithm not in _HASHES or not value:
            raise ValueError(f"its RECORD has no valid hash for {path}")
        records[path] = (algorithm, value)
    return records


def record_line(path: str, data: bytes) -> str:
    """Return the line of RECORD for the file *path* with the contents *data*."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([path, f"sha256={digest}", str(len(data))])
    return line.getvalue()
