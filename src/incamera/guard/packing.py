"""How files are packed on their way to a device: archives in pieces, compressed as the line is fast.

A fast line carries bytes faster than a camera unpacks them, and over a slow one each byte counts. How fast it is shows
only while something is sent. So one archive may be followed by another that is compressed in another way.
"""

from __future__ import annotations

import asyncio
import lzma
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from incamera.guard.sync import Shipment

# A camera's processor takes longer to decrypt a byte than to unpack one; more than the least compression costs the host
# more than it saves, unless the line is slow.
_GZIP_LEVEL = 1
_XZ_PRESET = 6
# What `unxz` needs in the device's memory.
_XZ_DICTIONARY = 8 << 20
# In bytes a second. A camera that is slow itself takes more than that; a line that does not is worth waiting for xz.
_XZ_BELOW = 400_000
# What the buffers on the way take at once says nothing about the line.
_IGNORED_BYTES = 192 * 1024
# Over so many bytes the rate is measured, at the beginning over fewer.
_MEASURED_BYTES = 384 * 1024
_LEAST_MEASURED_BYTES = 64 * 1024
# Files that are packed in the same way at least.
_GROUP_BYTES = 256 * 1024
# Packed and not sent yet.
_WAITING_PIECES = 4
_PIECE = 64 * 1024
_END = struct.pack(">I", 0)


class Packing(StrEnum):
    """How an archive is compressed. The device tells which of them it can unpack."""

    none = ""
    gzip = "gzip"
    xz = "xz"


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def make_compressor(packing: Packing) -> _Compressor:
    """Return a new compressor; its output is what the device's programs unpack."""
    if packing is Packing.gzip:
        return zlib.compressobj(_GZIP_LEVEL, wbits=31)
    if packing is Packing.xz:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": _XZ_PRESET, "dict_size": _XZ_DICTIONARY}]
        return lzma.LZMACompressor(filters=filters, check=lzma.CHECK_CRC32)
    return _Plain()


def frame(data: bytes) -> Iterator[bytes]:
    """Yield *data* in pieces, each behind its length. An empty one ends an archive: see `end_archive`."""
    for start in range(0, len(data), _PIECE):
        piece = data[start : start + _PIECE]
        yield struct.pack(">I", len(piece)) + piece


def end_archive() -> bytes:
    """Return what follows the last piece of an archive."""
    return _END


@dataclass(slots=True)
class Line:
    """What is known of the line to the device, and the packing that fits.

    *known* are those that the device can unpack, and that pay there.
    """

    known: frozenset[Packing]
    current: Packing = Packing.none
    clock: Callable[[], float] = time.monotonic
    _sent: int = 0
    _parts: list[tuple[int, float]] = field(default_factory=list)
    _since: float = 0.0
    _blocked: float = 0.0

    def note(self, size: int, seconds: float) -> None:
        """Note that *size* bytes were sent, and that the line was waited for so long."""
        self._sent += size
        self._blocked += seconds
        if self._sent > _IGNORED_BYTES:
            self._parts.append((size, seconds))
        while sum(part for part, _ in self._parts[1:]) > _MEASURED_BYTES:
            del self._parts[0]

    @property
    def rate(self) -> float | None:
        """In bytes a second; None as long as it is not known."""
        size = sum(part for part, _ in self._parts)
        return size / max(sum(seconds for _, seconds in self._parts), 1e-6) if size >= _LEAST_MEASURED_BYTES else None

    def choose(self) -> Packing:
        """Return how to pack what comes next."""
        if self.current is Packing.xz and self._is_slowed_by_us():
            self.known -= {Packing.xz}
        rate = self.rate
        wanted = Packing.gzip
        if rate is not None and rate < _XZ_BELOW and Packing.xz in self.known:
            wanted = Packing.xz
        if wanted is not self.current:
            self._since, self._blocked = self.clock(), 0.0
        self.current = wanted if wanted in self.known else Packing.none
        return self.current

    def _is_slowed_by_us(self) -> bool:
        """Whether the line waits for what is packed, rather than the other way round."""
        elapsed = self.clock() - self._since
        return elapsed > 2 and self._blocked < elapsed / 4


def group(shipment: Shipment, numbers: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of entries in groups of files that are packed in the same way."""
    members: list[int] = []
    size = 0
    for number in numbers:
        members.append(number)
        size += shipment.entries[number].size
        if size >= _GROUP_BYTES:
            yield members
            members, size = [], 0
    if members:
        yield members


async def send_packed(
    groups: Iterable[Iterator[bytes]],
    ending: bytes,
    line: Line,
    write: Callable[[bytes], Awaitable[None]],
    on_sent: Callable[[int], None],
) -> None:
    """Send archives of *groups*, each of them the members of some files; *ending* is the end of an archive.

    They are packed while others are on their way. *on_sent* is called with the bytes that were sent, before packing.
    """
    pieces: asyncio.Queue[tuple[bytes, int] | None] = asyncio.Queue(_WAITING_PIECES)

    async def pack_all() -> None:
        compressor: _Compressor | None = None
        try:
            packing = line.current
            for members in groups:
                chosen = line.choose()
                if compressor is None or chosen is not packing:
                    if compressor is not None:
                        await pieces.put((_finish(compressor, ending), 0))
                    packing, compressor = chosen, make_compressor(chosen)
                # Files are read in a thread, so that the connection's other channels go on.
                while chunk := await asyncio.to_thread(next, members, b""):
                    data = await asyncio.to_thread(compressor.compress, chunk)
                    await pieces.put((b"".join(frame(data)), len(chunk)))
                if line.rate is None:
                    await pieces.join()
            if compressor is not None:
                await pieces.put((await asyncio.to_thread(_finish, compressor, ending), 0))
        finally:
            if not (task := asyncio.current_task()) or not task.cancelling():
                await pieces.put(None)

    packing_all = asyncio.create_task(pack_all())
    try:
        while (piece := await pieces.get()) is not None:
            data, size = piece
            if data:
                began = line.clock()
                await write(data)
                line.note(len(data), line.clock() - began)
            on_sent(size)
            pieces.task_done()
        await packing_all
    finally:
        packing_all.cancel()
        await asyncio.gather(packing_all, return_exceptions=True)


def _finish(compressor: _Compressor, ending: bytes) -> bytes:
    return b"".join(frame(compressor.compress(ending) + compressor.flush())) + end_archive()
