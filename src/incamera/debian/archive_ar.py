"""The container of a `.deb`: an `ar` archive of three members, the last of which is a compressed tar archive."""

from __future__ import annotations

import lzma
import zlib
from dataclasses import dataclass
from typing import IO, Protocol

from incamera.errors import BuildError, IntegrityError

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class ArMember:
    """A member of an `ar` archive: its *size* bytes begin at the byte *start* of the archive."""

    name: str
    start: int
    size: int


def read_ar_members(stream: IO[bytes], *, name: str) -> list[ArMember]:
    """Return the members of the `ar` archive *stream*; messages call it *name*.

    Raises IntegrityError when it is not an `ar` archive, or is cut off.
    """
    end = stream.seek(0, 2)
    stream.seek(0)
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise IntegrityError(f"{name} is not a Debian package")
    members = []
    place = len(_MAGIC)
    while place < end:
        stream.seek(place)
        header = stream.read(_HEADER_BYTES)
        size = header[48:58].strip()
        if len(header) < _HEADER_BYTES or header[58:] != b"`\n" or not size.isdigit():
            raise IntegrityError(f"{name} is a damaged Debian package: no member begins at byte {place}")
        member = ArMember(header[:16].decode("latin-1").rstrip(" ").rstrip("/"), place + _HEADER_BYTES, int(size))
        if member.start + member.size > end:
            raise IntegrityError(f"{name} is cut off in the middle of {member.name}")
        members.append(member)
        place = member.start + member.size + member.size % 2
    return members


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class TarStream:
    """The tar archive in the member of a `.deb` whose name begins with *prefix*, decompressed as it is read.

    *stream* is the `.deb`; messages call it *name*. Raises IntegrityError when it is damaged, BuildError for an unknown
    compression.
    """

    def __init__(self, stream: IO[bytes], prefix: str, *, name: str) -> None:
        self._name = name
        self._stream = stream
        member = next((m for m in read_ar_members(stream, name=name) if m.name.startswith(prefix)), None)
        if member is None:
            raise IntegrityError(f"{name} is a damaged Debian package: it has no {prefix}")
        self._decompressor = _choose_decompressor(member.name.removeprefix(prefix), name=name)
        self._left = member.size
        stream.seek(member.start)
        self._buffer = bytearray()
        self._place = 0

    def read(self, size: int) -> bytes:
        """Return the next *size* bytes; fewer at the end."""
        while len(self._buffer) - self._place < size and self._fill():
            pass
        taken = bytes(memoryview(self._buffer)[self._place : self._place + size])
        self._place += len(taken)
        if self._place >= _CHUNK:
            del self._buffer[: self._place]
            self._place = 0
        return taken

    def finish(self) -> None:
        """Read to the end, so that a damaged or missing end is an error."""
        while self.read(_CHUNK):
            pass

    def _fill(self) -> bool:
        """Add some bytes to the buffer. Returns False at the end of the archive."""
        if self._decompressor is not None and self._decompressor.eof:
            return False
        data = self._stream.read(min(_CHUNK, self._left))
        self._left -= len(data)
        if self._decompressor is None:
            self._buffer += data
            return bool(data)
        if not data:
            raise IntegrityError(f"{self._name}: its compressed tree is cut off")
        try:
            self._buffer += self._decompressor.decompress(data)
        except (lzma.LZMAError, zlib.error) as error:
            raise IntegrityError(f"{self._name}: its compressed tree is damaged: {error}") from error
        return True


def _choose_decompressor(ending: str, *, name: str) -> _Decompressor | None:
    match ending:
        case "":
            return None
        case ".gz":
            return zlib.decompressobj(wbits=31)
        case ".xz":
            return lzma.LZMADecompressor()
    raise BuildError(
        f"{name} is compressed as {ending}, which incamera does not read",
        hint="Debian's own packages use .xz or .gz: does the mirror belong to another distribution?",
    )
