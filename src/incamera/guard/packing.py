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
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

# What `unxz` needs in the device's memory.
_XZ_DICTIONARY = 8 << 20
_XZ_PRESET = 6
# In bytes a second. A camera that is slow itself takes more than the first; a line that does not is worth packing with
# xz. This computer packs with gzip's level 6 faster than the second.
_XZ_BELOW = 400_000
_MORE_BELOW = 3_000_000
# The buffers on the way take megabytes at once, which says nothing about the line. They are full when sending was held
# up for so long. From then on, the line takes what leaves them.
_FULL_SECONDS = 0.1
# Over so many seconds the rate is measured, at the beginning over fewer, and over a few bytes at least.
_MEASURED_SECONDS = 2.0
_LEAST_SECONDS = 0.4
_LEAST_BYTES = 64 * 1024
# After so long it is clear whether a packing pays.
_TRIAL_SECONDS = 3.0
_TOLERANCE = 1.1
# Files that are packed in the same way at least. Until the rate is known, these are small files and small groups.
_GROUP_BYTES = 256 * 1024
_FIRST_GROUP_BYTES = 128 * 1024
_SMALL_BYTES = 128 * 1024
_FIRST_BYTES = 4 << 20
# Packed and not sent yet.
_WAITING_PIECES = 4
_PIECE = 64 * 1024
_END = struct.pack(">I", 0)


class Packing(StrEnum):
    """How an archive is compressed. The device tells which of `gzip` and `xz` it can unpack."""

    none = ""
    fast = "gzip -1"
    more = "gzip -6"
    xz = "xz"

    @property
    def program(self) -> str:
        return self.value.partition(" ")[0]


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
    if packing is Packing.xz:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": _XZ_PRESET, "dict_size": _XZ_DICTIONARY}]
        return lzma.LZMACompressor(filters=filters, check=lzma.CHECK_CRC32)
    if packing is Packing.none:
        return _Plain()
    return zlib.compressobj(1 if packing is Packing.fast else 6, wbits=31)


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

    *programs* are those of `gzip` and `xz` that the device can unpack. A line *is_local* if it seems to lead to a
    camera on this computer, where bytes cost nothing; it may be a tunnel to one elsewhere.

    A slower line gets a stronger packing. A weaker one follows only where the stronger one does not pay, and then for
    good. So there are a few changes at most.
    """

    programs: frozenset[str]
    is_local: bool = False
    current: Packing = Packing.none
    clock: Callable[[], float] = time.monotonic
    # The programs that the device has to unpack with.
    used: frozenset[str] = frozenset()
    # How long the line was waited for until the buffers on the way were full.
    _filling: float = 0.0
    _sent: int = 0
    # Of what was sent last, since then: bytes, the seconds in which the line was waited for, and all seconds.
    _parts: list[tuple[int, float, float]] = field(default_factory=list)
    _noted_at: float | None = None
    _given_up: set[Packing] = field(default_factory=set)
    # Whether gzip has paid on a line that seemed to be on this computer. So it is the line that is slow.
    _is_tunnel: bool = False
    # When the packing was changed, and the seconds that the one before would have taken for the same files since then,
    # at the rate that there was.
    _since: float = 0.0
    _otherwise: float = 0.0
    # When it was last looked whether the line is waited for, and for how long it has been since then.
    _looked_at: float = 0.0
    _blocked: float = 0.0
    _before: Packing = Packing.none
    _rate_before: float = 0.0

    def note_sent(self, size: int, seconds: float) -> None:
        """Note that *size* bytes were sent, and that the line was waited for so long."""
        now = self.clock()
        all_seconds = seconds if self._noted_at is None else max(seconds, now - self._noted_at)
        self._noted_at = now
        self._sent += size
        self._blocked += seconds
        if self._filling < _FULL_SECONDS:
            self._filling += seconds
            return
        self._parts.append((size, seconds, all_seconds))
        while sum(seconds for *_, seconds in self._parts[1:]) > _MEASURED_SECONDS:
            del self._parts[0]

    def note_packed(self, chunk: bytes) -> None:
        """Note what is packed, to know how long the packing before would have taken."""
        if self.current in (Packing.xz, Packing.more) and self._rate_before:
            if self._before is Packing.none:
                self._otherwise += len(chunk) / self._rate_before
            elif self.current is Packing.xz:  # the levels of gzip are unpacked alike
                self._otherwise += len(zlib.compress(chunk, 1)) / self._rate_before

    @property
    def rate(self) -> float | None:
        """In bytes a second; None where it is not known, since the line has hardly been waited for."""
        size, blocked, seconds = (sum(part[number] for part in self._parts) for number in range(3))
        if size < _LEAST_BYTES or seconds < _LEAST_SECONDS or blocked < seconds / 2:
            return None
        return size / seconds

    @property
    def is_new(self) -> bool:
        """Whether so little was sent that the rate may become known with the next files."""
        return self.rate is None and self._sent < _FIRST_BYTES

    def choose(self) -> Packing:
        """Return how to pack what comes next."""
        is_slower = self._is_slower()
        if is_slower:
            self._given_up |= {self.current, Packing.xz}  # which takes both computers the longest
        elif self.current is Packing.more and self._before is Packing.none and self._is_tried():
            self._is_tunnel = True
        wanted = self._wanted()
        if wanted is not self.current:
            if not is_slower:  # else the next one is compared with the same
                self._before, self._rate_before = self.current, self.rate or self._rate_before
            self._parts.clear()
            self.begin()
        self.current = wanted
        self.used |= {wanted.program} - {""}
        return wanted

    def begin(self) -> None:
        """Note that what follows is packed in the way that was chosen last: all that came before has been sent."""
        self._since = self._looked_at = self.clock()
        self._blocked = self._otherwise = 0.0

    def _wanted(self) -> Packing:
        rate = self.rate or self._rate_before
        for packing, below in ((Packing.xz, _XZ_BELOW), (Packing.more, _MORE_BELOW)):
            may_be = packing is Packing.more or not self.is_local or self._is_tunnel
            if self._may_be(packing) and (packing is self.current or (may_be and 0 < rate < below)):
                return packing
        return Packing.none if self.is_local or not self._may_be(Packing.fast) else Packing.fast

    def _may_be(self, packing: Packing) -> bool:
        return packing.program in self.programs and packing not in self._given_up

    def _is_tried(self) -> bool:
        return self.clock() - self._since >= _TRIAL_SECONDS

    def _is_slower(self) -> bool:
        """Whether the packing has taken longer than the one before would have: a computer at either end is too slow."""
        if self.current not in (Packing.xz, Packing.more) or not self._is_tried():
            return False
        waits, interval = self._blocked, self.clock() - self._looked_at
        if interval >= _TRIAL_SECONDS:
            self._blocked, self._looked_at = 0.0, self.clock()
            if waits < interval / 4:
                return True
        return 0 < self._otherwise * _TOLERANCE < self.clock() - self._since


def group(numbers: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Yield *numbers* of entries, which have *sizes*, in groups of files that are packed in the same way.

    Small files come first: a large one would hold up another packing until its end.
    """
    first: list[int] = []
    size = 0
    for number in numbers:
        if sizes[number] <= _SMALL_BYTES and size < _FIRST_BYTES:
            first.append(number)
            size += sizes[number]
    yield from _grouped(first, sizes, _FIRST_GROUP_BYTES)
    early = set(first)
    yield from _grouped([number for number in numbers if number not in early], sizes, _GROUP_BYTES)


def _grouped(numbers: Collection[int], sizes: Sequence[int], least: int) -> Iterator[list[int]]:
    members: list[int] = []
    size = 0
    for number in numbers:
        members.append(number)
        size += sizes[number]
        if size >= least:
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
                        await pieces.join()  # else it would count as the time of the new one
                        line.begin()
                    packing, compressor = chosen, make_compressor(chosen)
                # Files are read in a thread, so that the connection's other channels go on.
                while chunk := await asyncio.to_thread(next, members, b""):
                    data = await asyncio.to_thread(_compress, compressor, chunk, line)
                    await pieces.put((data, len(chunk)))
                if line.is_new:
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
            for start in range(0, len(data), _PIECE):
                part = data[start : start + _PIECE]
                began = line.clock()
                await write(part)
                line.note_sent(len(part), line.clock() - began)
            if size:
                on_sent(size)
            pieces.task_done()
        await packing_all
    finally:
        packing_all.cancel()
        await asyncio.gather(packing_all, return_exceptions=True)


def _compress(compressor: _Compressor, chunk: bytes, line: Line) -> bytes:
    line.note_packed(chunk)
    return b"".join(frame(compressor.compress(chunk)))


def _finish(compressor: _Compressor, ending: bytes) -> bytes:
    return b"".join(frame(compressor.compress(ending) + compressor.flush())) + end_archive()
