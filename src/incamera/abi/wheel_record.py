"""A wheel's files against its RECORD, which has the hash of each."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from incamera.archives import BadArchive, ZipReader, shorten
from incamera.wheels.archive import UNRECORDED, parse_record

_MAX_BYTES = 64 * 1024 * 1024
_DESCRIBED = re.compile(r"[^/]+\.dist-info/[^/]+")
_FILES = ("METADATA", "RECORD", "WHEEL")


@dataclass(slots=True)
class RecordProblems:
    """*refused*: why the wheel is not valid; "" where it is. *lost*: files that its RECORD has, and the wheel lacks."""

    refused: str = ""
    lost: list[str] = field(default_factory=list)

    def refuse(self, reason: str) -> None:
        self.refused = self.refused or reason


class WheelRecord:
    """Compares files with their *records*: algorithm and hash by path. *exempt* are the files that need none."""

    def __init__(self, records: Mapping[str, tuple[str, str]], exempt: set[str], problems: RecordProblems) -> None:
        self._records = records
        self._exempt = exempt
        self._problems = problems
        self._seen: set[str] = set()

    def verify(self, path: str, content: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the *content* of the file *path*, and note it when it does not have the recorded hash."""
        self._seen.add(path)
        algorithm, expected = self._records.get(path, ("", ""))
        if not expected and path not in self._exempt:
            self._problems.refuse(f"its RECORD has no hash of {shorten(path)}")
        digest = hashlib.new(algorithm) if expected else None
        for data in content:
            if digest is not None:
                digest.update(data)
            yield data
        if digest is not None and base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() != expected.rstrip(
            "="
        ):
            self._problems.refuse(f"{shorten(path)} does not have the hash in RECORD")

    def finish(self) -> None:
        self._problems.lost += sorted(self._records.keys() - self._seen)


def read_record(archive: ZipReader, problems: RecordProblems) -> WheelRecord:
    """Return the RECORD of the wheel *archive*. Why there is none, or none that can be read, is added to *problems*."""
    members = {info.filename: info for info in archive.infos}
    folders = sorted({path.partition("/")[0] for path in members if _DESCRIBED.fullmatch(path)})
    if len(folders) != 1:
        problems.refuse(f"it has {len(folders) or 'no'} dist-info folders")
        return WheelRecord({}, set(members), problems)
    paths = {name: f"{folders[0]}/{name}" for name in _FILES}
    lacking = [name for name, path in paths.items() if path not in members]
    records: dict[str, tuple[str, str]] = {}
    if lacking:
        problems.refuse(f"it has no {lacking[0]}")
    elif len(members) < len(archive.infos):
        problems.refuse("it has one of its files twice")
    if "RECORD" not in lacking:
        try:
            records = parse_record(archive.read(members[paths["RECORD"]], limit=_MAX_BYTES))
        except (BadArchive, ValueError) as error:
            problems.refuse(str(error))
            return WheelRecord({}, set(members), problems)
    exempt = {f"{folders[0]}/{name}" for name in UNRECORDED} if "RECORD" not in lacking else set(members)
    return WheelRecord(records, exempt, problems)
