"""Read the whole of anybody's package: what is in the archive, what of it is damaged or dangerous, and its signature.

Nothing is unpacked. What is read is bounded, and damage ends the reading without losing what came before it.
"""

from __future__ import annotations

import hashlib
import posixpath
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, BinaryIO

from incamera.archives import (
    GZIP_MAGIC,
    BadArchive,
    Kind,
    PackedStream,
    Signature,
    TarMember,
    TarReader,
    clean_path,
    find_signature,
)
from incamera.eap.conf import CGI_CONF, PACKAGE_CONF, PARAM_CONF
from incamera.eap.manifest import FILE as MANIFEST
from incamera.eap.start import BUNDLE
from incamera.eap.uses import Use, find_mentions
from incamera.elf import ELF_MAGIC, ElfFacts, read_loadable
from incamera.runtime.layout import APP

DESCRIPTIONS = (MANIFEST, PACKAGE_CONF, PARAM_CONF, CGI_CONF)
MOST_TEXT_BYTES = 1_000_000
_MOST_ELF_BYTES = 256 * 1024 * 1024
_IN_MEMORY = 4 * 1024 * 1024
_CHUNK = 256 * 1024
_WRITABLE_BY_OTHERS = 0o022
_PRIVILEGED = 0o6000
_APP = f"{BUNDLE}/{APP}/"
_ARMOUR = b"-----BEGIN PGP"


class Grade(StrEnum):
    """How bad a problem is."""

    damage = "damage"
    """A part of the file cannot be read."""
    danger = "danger"
    """No honest package has this; unpacking it could do harm."""
    note = "note"
    """It is to be known."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the member *path* of a package; with "", it is the file itself."""

    grade: Grade
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


@dataclass(frozen=True, kw_only=True, slots=True)
class Inside:
    """A member of a package. *size* is in bytes, *packed* is what it takes in the file, about. *link*: its target."""

    path: str
    kind: Kind
    mode: int
    size: int
    packed: int
    link: str = ""


@dataclass(frozen=True, slots=True)
class Elf:
    """An ELF file in a package; *damage* says why its *facts* may be incomplete."""

    path: str
    facts: ElfFacts | None
    damage: str = ""


@dataclass(kw_only=True)
class Reading:
    """What could be read of a package of *size* bytes. *texts* are the files that describe it, by their names.

    *trailing*: the number of bytes behind the archive, the signature included. *uses*: what the app's Python files use
    of acap, in a package that incamera made.
    """

    size: int
    sha256: str
    members: list[Inside] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)
    elfs: dict[str, Elf] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    signature: Signature | None = None
    trailing: int = 0
    uses: list[Use] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether the whole file could be read and has nothing dangerous."""
        return all(problem.grade is Grade.note for problem in self.problems)

    def add(self, grade: Grade, path: str, text: str) -> None:
        self.problems.append(Problem(grade, path, text))


def read_whole(stream: BinaryIO) -> Reading:
    """Return what can be read of the package in *stream*. Raises OSError."""
    digest = hashlib.sha256()
    while data := stream.read(_CHUNK):
        digest.update(data)
    reading = Reading(size=stream.tell(), sha256=digest.hexdigest())
    stream.seek(0)
    beginning = stream.read(len(GZIP_MAGIC))
    stream.seek(0)
    if beginning != GZIP_MAGIC:
        reading.add(Grade.damage, "", "it is not a gzip file" if reading.size else "it is empty")
        return reading
    try:
        _read_members(stream, reading)
    except BadArchive as error:
        where = f" after {reading.members[-1].path}" if reading.members else ""
        reading.add(Grade.damage, "", f"the archive{where}: {error}")
    reading.problems.extend(_check_members(reading.members))
    return reading


def _read_members(stream: BinaryIO, reading: Reading) -> None:
    def take_trailer(trailer: bytes) -> bool:
        reading.signature = find_signature(trailer)
        reading.trailing = len(trailer)
        if reading.signature is None and trailer.startswith(_ARMOUR):
            reading.add(Grade.damage, "", "the signature behind the archive is incomplete")
        elif reading.signature is None:
            reading.add(Grade.note, "", "behind the archive are bytes that are not a signature")
        return True

    packed = PackedStream(stream, trailer=take_trailer)
    archive = TarReader(packed)
    last: tuple[TarMember, str] | None = None
    begin = 0.0

    def finish() -> None:
        """Add the member before: only at the next one is known how much of the file it takes."""
        nonlocal begin
        if last is not None:
            member, path = last
            end = packed.packed_position
            reading.members.append(
                Inside(
                    path=path,
                    kind=member.kind,
                    mode=member.mode & 0o7777,
                    size=member.size if member.kind is Kind.file else 0,
                    packed=round(end) - round(begin),
                    link=member.link,
                )
            )
            begin = end

    try:
        for member in archive:
            finish()
            path = _clean(member, reading)
            last = member, path
            if member.kind is Kind.file:
                _read_content(archive, path, member.size, reading)
    finally:
        finish()


def _clean(member: TarMember, reading: Reading) -> str:
    """Return the path of *member* without needless parts, or as it stands there, when it leads outside."""
    try:
        return clean_path(member.name)
    except BadArchive:
        if posixpath.normpath(member.name) == ".":  # tar's own folder, as in `tar -c .`
            return "."
        reading.add(Grade.danger, member.name, "its path leads out of the package")
        return member.name


def _read_content(archive: TarReader, path: str, size: int, reading: Reading) -> None:
    if path in DESCRIPTIONS:
        reading.texts.pop(path, None)
        if size <= MOST_TEXT_BYTES:
            reading.texts[path] = archive.read_all()
        else:
            reading.add(Grade.damage, path, f"it is larger than {MOST_TEXT_BYTES // 1000} kB, so it is not read")
        return
    if path.startswith(_APP) and path.endswith(".py") and size <= MOST_TEXT_BYTES:
        reading.uses += [Use(module, path.removeprefix(_APP)) for module in find_mentions(archive.read_all())]
        return
    beginning = archive.read(_CHUNK)
    reading.elfs.pop(path, None)
    if beginning.startswith(ELF_MAGIC):
        reading.elfs[path] = _read_elf(archive, path, size, beginning)


def _read_elf(archive: TarReader, path: str, size: int, beginning: bytes) -> Elf:
    if size > _MOST_ELF_BYTES:
        return Elf(path, None, "it is too large to be read")
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as copy:
        copy.write(beginning)
        while data := archive.read(_CHUNK):
            copy.write(data)
        copy.seek(0)
        try:
            facts, damage = read_loadable(_as_binary(copy))
        except (OSError, ValueError) as error:
            return Elf(path, None, str(error))
    return Elf(path, facts, damage or "")


def _as_binary(stream: IO[bytes]) -> BinaryIO:
    return stream  # type: ignore[return-value]  # it has all that is read of it


def _check_members(members: list[Inside]) -> Iterator[Problem]:
    """Yield what is wrong with the *members*, apart from their paths."""
    seen: set[str] = set()
    links = {member.path for member in members if member.kind is Kind.link}
    for member in members:
        path = member.path
        if member.kind is Kind.other:
            yield Problem(Grade.danger, path, "it is a device, a FIFO, or of an unknown kind")
        elif member.kind is Kind.link and _leads_out(path, member.link):
            yield Problem(Grade.note, path, f"the link leads out of the package, to {member.link}")
        elif member.kind is Kind.hard_link:
            yield Problem(Grade.note, path, f"it is a hard link to {member.link}")
        if _below(path, links):
            yield Problem(Grade.danger, path, "it lies below a link, and would be written where that leads")
        if path in seen and member.kind is not Kind.folder:
            yield Problem(Grade.note, path, "the archive has it more than once; the last one counts")
        seen.add(path)
        if not path.isprintable():
            yield Problem(Grade.note, path, "its name has control characters, or is not UTF-8")
        if member.kind is not Kind.link and member.mode & _WRITABLE_BY_OTHERS:
            yield Problem(Grade.note, path, f"others may write it (mode {member.mode:04o})")
        if member.mode & _PRIVILEGED and member.kind is Kind.file:
            yield Problem(Grade.danger, path, f"it would run with the rights of its owner (mode {member.mode:04o})")


def _leads_out(path: str, target: str) -> bool:
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return target.startswith("/") or joined == ".." or joined.startswith("../")


def _below(path: str, links: set[str]) -> bool:
    if not links:
        return False
    above = path.rpartition("/")[0]
    while above:
        if above in links:
            return True
        above = above.rpartition("/")[0]
    return False
