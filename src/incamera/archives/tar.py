"""Read a tar archive from beginning to end, with bounded memory. Damage anywhere in it is an error.

The standard library's tarfile reads extended headers of any size, makes sparse files of any size, and takes a damaged
header after the first for the end of the archive.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from incamera.archives.limits import LIMITS, BadArchive, Limits, clean_path

if TYPE_CHECKING:
    from incamera.archives.packed import PackedStream

BLOCK = 512

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_ZEROS = bytes(BLOCK)
_CHUNK = 256 * 1024
# All extended headers of an archive together, in units of the limit of one.
_ALL_HEADERS = 16
_LATEST = 1 << 33  # seconds: the year 2242
# What is read of a pax header. Of others there may be 100,000 in a header that is for all members.
_KEYS = (b"path", b"linkpath", b"size", b"mtime")


class Kind(Enum):
    """What a member is."""

    file = auto()
    folder = auto()
    link = auto()
    hard_link = auto()
    other = auto()
    """A device, a FIFO, or what only one implementation knows."""


_KINDS = {b"0": Kind.file, b"\0": Kind.file, b"7": Kind.file, b"1": Kind.hard_link, b"2": Kind.link, b"5": Kind.folder}
# GNU tar's incremental archives have folders with a list of their files as content.
_LISTED_FOLDER = b"D"
_KINDS[_LISTED_FOLDER] = Kind.folder
# Devices and FIFOs: what has no content, whatever its header says.
_EMPTY = (b"3", b"4", b"6")


@dataclass(frozen=True, slots=True)
class TarMember:
    """A member of an archive. *name* and *link* are as they stand there, *size* is in bytes, *time* in seconds."""

    name: str
    kind: Kind
    size: int
    mode: int
    time: float
    link: str

    @property
    def path(self) -> str:
        """The clean path. Raises BadArchive when it leads outside."""
        return clean_path(self.name)

    @property
    def target(self) -> str:
        """The clean path of the member that a hard link leads to. Raises BadArchive when it leads outside."""
        return clean_path(self.link)


class TarReader:
    """Iterates over the members of the tar archive in *stream*; `read` gives the content of the present one.

    Everything raises BadArchive when the archive is damaged or exceeds *limits*.
    """

    def __init__(self, stream: PackedStream, limits: Limits = LIMITS) -> None:
        self._stream = stream
        self._limits = limits
        self._count = 0
        self._headers_left = limits.header_bytes * _ALL_HEADERS
        self._left = self._padding = 0

    def __iter__(self) -> Iterator[TarMember]:
        always: Mapping[str, str] = {}
        extended: dict[str, str] = {}
        while True:
            self._stream.skip(self._left + self._padding)
            self._left = self._padding = 0
            begin = self._stream.position
            block = self._stream.read(BLOCK)
            if len(block) < BLOCK:
                raise BadArchive("it is cut off")
            if block == _ZEROS:
                self._stream.finish()
                return
            self._count += 1
            self._limits.check_count(self._count)
            fields = _HEADER.unpack(block)
            if not _is_sound(block, fields[6]):
                raise BadArchive(f"no file begins at byte {begin}")
            kind, size = fields[7], _number(fields[4])
            match kind:
                case b"x" | b"X":
                    extended |= self._read_pax(size)
                case b"g":
                    always = {**always, **self._read_pax(size)}
                case b"L":
                    extended["path"] = _text(self._read_header(size))
                case b"K":
                    extended["linkpath"] = _text(self._read_header(size))
                case b"S":
                    raise BadArchive(f"{_text(fields[0])} is a sparse file")
                case b"V":  # the archive's own label
                    self._stream.skip(size + -size % BLOCK)
                case _:
                    yield self._member(fields, {**always, **extended})
                    extended = {}

    def read(self, size: int) -> bytes:
        """Return up to *size* bytes of the present member's content; b"" at its end."""
        if not self._left:
            return b""
        found = self._stream.read_some(min(size, self._left))
        if not found:
            raise BadArchive("it is cut off")
        self._left -= len(found)
        return found

    def read_all(self) -> bytes:
        """Return the rest of the present member's content."""
        return b"".join(iter(lambda: self.read(_CHUNK), b""))

    def _member(self, fields: tuple[bytes, ...], extended: Mapping[str, str]) -> TarMember:
        name, mode, _, _, packed_size, time, _, code, packed_link, magic, *_, prefix = fields
        path = _text(name)
        if magic == b"ustar\x0000" and (folder := _text(prefix)):
            path = f"{folder}/{path}"
        path = extended.get("path", path)
        kind = _KINDS.get(code, Kind.other)
        if kind is Kind.file and path.endswith("/"):  # of before POSIX
            kind = Kind.folder
        size = _decimal(extended["size"]) if "size" in extended else _number(packed_size)
        # Only these have content. Others may have a size, which means something else.
        if kind is Kind.file or code == _LISTED_FOLDER or (kind is Kind.other and code not in _EMPTY):
            self._limits.check_size(path, size)
            self._left, self._padding = size, -size % BLOCK
        link = extended.get("linkpath", _text(packed_link))
        self._limits.check_path(path)
        self._limits.check_path(link)
        return TarMember(path, kind, self._left, _number(mode), _time(extended.get("mtime"), time), link)

    def _read_header(self, size: int) -> bytes:
        self._headers_left -= size
        if size > self._limits.header_bytes or self._headers_left < 0:
            raise BadArchive(f"its headers are too long: one has {size} bytes")
        data = self._stream.read(size)
        self._stream.skip(-size % BLOCK)
        if len(data) < size:
            raise BadArchive("it is cut off")
        return data

    def _read_pax(self, size: int) -> dict[str, str]:
        """Return what is read of a pax header. A record is its own length, a space, `KEY=VALUE` and a line feed."""
        data = self._read_header(size)
        found: dict[str, str] = {}
        place = 0
        while place < len(data) and data[place]:
            space = data.find(b" ", place, place + 20)
            digits = data[place:space] if space > 0 else b""
            end = place + int(digits) if digits.isdigit() else 0
            key, separator, value = data[space + 1 : end - 1].partition(b"=")
            if end > len(data) or data[end - 1 : end] != b"\n" or not separator:
                raise BadArchive("an extended header in it is malformed")
            if key.startswith(b"GNU.sparse."):
                raise BadArchive("it has sparse files")
            if key in _KEYS:
                found[key.decode()] = value.decode("utf-8", "surrogateescape")
            place = end
        return found


def _is_sound(block: bytes, field: bytes) -> bool:
    """Return whether the header *block* has the checksum in its *field*."""
    try:
        wanted = _number(field)
    except BadArchive:
        return False
    total = 256 + sum(block) - sum(field)
    # Some old programs took the bytes for signed ones.
    return wanted == total or wanted == total - 256 * sum(byte > 127 for byte in block[:148] + block[156:])


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Return the number in a header's *field*: octal digits, or binary with the first bit set (GNU)."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            raise BadArchive("a number in it is negative")
        return value
    digits = field.partition(b"\0")[0].strip()
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise BadArchive("a number in it is malformed")
    return int(digits, 8)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadArchive("a number in it is malformed")
    return int(text)


def _time(text: str | None, field: bytes) -> float:
    """Return a time in seconds since 1970; 0 for one that no file can have. Nothing depends on it."""
    try:
        time = float(text) if text is not None else float(_number(field))
    except (ValueError, OverflowError):
        return 0.0
    return time if 0 <= time < _LATEST else 0.0
