"""Read a compressed stream step by step: bounded in size, and damage anywhere in it is an error."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from typing import IO, Protocol

from incamera.archives.limits import LIMITS, BadArchive, Limits, TooLarge

GZIP_MAGIC, XZ_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
# A frame of zstd with data of a program's own, which decompresses to nothing. The first byte is 0x50 to 0x5f.
_ZSTD_SKIPPED = b"\x2a\x4d\x18"

_CHUNK = 256 * 1024
_REST_BYTES = 64 * 1024
# A page or a list is one stream, and an archive a few. Each costs time, even an empty one of 20 bytes.
_MAX_STREAMS, _MAX_STREAMS_AT_ONCE = 10_000, 100
# Of a decompressor for xz. The highest level, -9, needs 65 MB.
_MEMORY_BYTES = 128 * 1024 * 1024
# Of a decompressor for zstd, as a power of two: 128 MB, as the `zstd` program allows.
_ZSTD_WINDOW = 27


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the interface of lzma's. It checks the sum and the length at the end of the stream."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def unread(self) -> int:
        """How many bytes of what it was given are not decompressed yet."""
        return len(self._inner.unconsumed_tail)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        tail = self._inner.unconsumed_tail
        found = self._inner.decompress(tail + data if tail else data, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(found) < max_length
        return found


class _Zstd:
    """zstd's decompressor, whose damage is a BadArchive. It checks the sum of each frame that has one."""

    def __init__(self) -> None:
        from incamera.archives import zstd  # lazy: of all archives, only layers of images are compressed so

        self._errors = zstd.ZstdError
        options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW}
        self._inner = zstd.ZstdDecompressor(options=options)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return self._inner.needs_input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return self._inner.decompress(data, max_length)
        except self._errors as error:
            raise BadArchive(f"its compressed content is damaged: {error}") from error


class PackedStream:
    """The content of *stream* from its present place on, decompressed: gzip, xz, zstd, or as it is.

    Its first bytes say which.

    *size* is how many bytes belong to it; None for all that follow. *trailer* says whether the bytes after the end may
    be there; without it, only zeros may. Each method raises BadArchive when the content is damaged or too large.
    """

    def __init__(
        self,
        stream: IO[bytes],
        *,
        size: int | None = None,
        limits: Limits = LIMITS,
        trailer: Callable[[bytes], bool] | None = None,
    ) -> None:
        begin = stream.tell()
        if size is None:
            size = stream.seek(0, 2) - begin
            stream.seek(begin)
        self._stream = stream
        self._size = self._left = size
        self._limits = limits
        self._trailer = trailer
        self._unpacked = 0
        # Which of the packed bytes the buffer was made of.
        self._packed_begin = self._packed_end = 0
        self._streams = 1
        self._buffer = b""
        self._place = 0
        self._next = self._fetch()
        self._decompressor = _choose(self._next)
        self._plain = self._decompressor is None

    @property
    def position(self) -> int:
        """How many bytes of the decompressed content were read."""
        return self._unpacked - len(self._buffer) + self._place

    @property
    def packed_position(self) -> float:
        """How many of the packed bytes hold what was read, about: inside of a step of the decompressor, in proportion.

        With xz, the steps are as long as what it was given.
        """
        share = self._place / len(self._buffer) if self._buffer else 1.0
        return self._packed_begin + (self._packed_end - self._packed_begin) * share

    def read(self, size: int) -> bytes:
        """Return the next *size* bytes; fewer at the end."""
        found = self.read_some(size)
        if len(found) == size or not found:
            return found
        parts = [found]
        missing = size - len(found)
        while missing and (found := self.read_some(missing)):
            parts.append(found)
            missing -= len(found)
        return b"".join(parts)

    def read_some(self, size: int) -> bytes:
        """Return 1 to *size* of the next bytes; b"" at the end."""
        end = len(self._buffer)
        while self._place == end:
            if not self._fill():
                return b""
            end = len(self._buffer)
        begin = self._place
        self._place = min(begin + size, end)
        return self._buffer[begin : self._place] if begin or size < end else self._buffer

    def skip(self, size: int) -> None:
        """Skip *size* bytes."""
        while size:
            found = self.read_some(size)
            if not found:
                raise BadArchive("it is cut off")
            size -= len(found)

    def finish(self) -> None:
        """Read to the end. Raise BadArchive unless nothing but zeros follows."""
        while found := self.read_some(_CHUNK):
            if found.strip(b"\0"):
                raise BadArchive("there is something after its end")

    def _fill(self) -> bool:
        """Put the next bytes into the buffer. Returns False at the end."""
        try:
            found = self._decompress()
        except (lzma.LZMAError, zlib.error) as error:
            raise BadArchive(f"its compressed content is damaged: {error}") from error
        self._buffer, self._place = found, 0
        self._unpacked += len(found)
        unread = len(self._next) + (self._decompressor.unread if isinstance(self._decompressor, _Gzip) else 0)
        self._packed_begin, self._packed_end = self._packed_end, self._size - self._left - unread
        self._limits.check_total(self._unpacked, self._size)
        return bool(found)

    def _decompress(self) -> bytes:
        """Return the next bytes, b"" at the end."""
        while True:
            if self._plain:
                found, self._next = self._next or self._fetch(), b""
                return found
            if self._decompressor is None:
                return b""
            data = b""
            if self._decompressor.needs_input:
                data, self._next = self._next or self._fetch(), b""
                if not data:
                    raise BadArchive("its compressed content is cut off")
            found = self._decompressor.decompress(data, _CHUNK)
            if self._decompressor.eof:
                self._next = self._decompressor.unused_data
                self._decompressor = self._find_next()
            if found:
                return found

    def _find_next(self) -> _Decompressor | None:
        """Return the decompressor for the next stream: several may follow one another, with zeros between them."""
        while not (rest := self._next.lstrip(b"\0")):
            self._next = self._fetch()
            if not self._next:
                return None
        self._streams += 1
        _check_streams(self._streams, _MAX_STREAMS)
        self._next = rest if len(rest) >= len(XZ_MAGIC) else rest + self._fetch()
        found = _choose(self._next)
        if found is None:
            rest = self._next
            while len(rest) <= _REST_BYTES and (more := self._fetch()):
                rest += more
            if self._trailer is None or not self._trailer(rest):
                raise BadArchive("there is something after its end that does not belong to it")
        return found

    def _fetch(self) -> bytes:
        data = self._stream.read(min(_CHUNK, self._left))
        if not data and self._left:
            raise BadArchive("it is cut off")
        self._left -= len(data)
        return data


def is_packed(beginning: bytes) -> bool:
    """Whether what begins with these bytes is compressed."""
    return _choose(beginning) is not None


def unpack_bytes(data: bytes, *, limit: int) -> bytes:
    """Return *data*, gzip or xz, decompressed. Raises BadArchive when it is damaged, or longer than *limit* bytes."""
    parts: list[bytes] = []
    rest, left = data, limit
    while rest or not parts:
        decompressor = _choose(rest)
        if decompressor is None:
            raise BadArchive("it is neither gzip, xz nor zstd" if rest is data else "there is something after its end")
        try:
            parts.append(decompressor.decompress(rest, left + 1))
        except (lzma.LZMAError, zlib.error) as error:
            raise BadArchive(f"its compressed content is damaged: {error}") from error
        left -= len(parts[-1])
        _check_streams(len(parts), _MAX_STREAMS_AT_ONCE)
        if left < 0:
            raise BadArchive(f"it would be longer than {limit} bytes")
        if not decompressor.eof:
            raise BadArchive("its compressed content is cut off")
        rest = decompressor.unused_data.lstrip(b"\0")
    return b"".join(parts) if len(parts) > 1 else parts[0]


def _check_streams(count: int, most: int) -> None:
    if count > most:
        raise TooLarge(f"it consists of more than {most} compressed streams")


def _choose(beginning: bytes) -> _Decompressor | None:
    if beginning.startswith(GZIP_MAGIC):
        return _Gzip()
    if beginning.startswith(XZ_MAGIC):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_BYTES)
    if beginning.startswith(ZSTD_MAGIC) or (beginning[1:4] == _ZSTD_SKIPPED and beginning[0] >> 4 == 5):
        return _Zstd()
    return None
