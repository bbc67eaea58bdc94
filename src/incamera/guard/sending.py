"""Sends files to a device as archives, which are packed while others are on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from incamera.guard.line import FIRST_BYTES, Line
from incamera.guard.packing import PIECE_BYTES, Compressor, end_archive, frame, make_compressor
from incamera.guard.sync import archive_ending, pack

if TYPE_CHECKING:
    from incamera.guard.sync import Shipment

# Files that are packed in the same way at least. Until the rate is known, these are small files and small groups.
_GROUP_BYTES = 256 * 1024
_FIRST_GROUP_BYTES = 128 * 1024
_SMALL_BYTES = 128 * 1024
# Packed and not sent yet.
_WAITING_PIECES = 4


def group(numbers: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Yield *numbers* of entries, which have *sizes*, in groups of files that are packed in the same way.

    Small files come first: a large one would hold up another packing until its end.
    """
    first: list[int] = []
    size = 0
    for number in numbers:
        if sizes[number] <= _SMALL_BYTES and size < FIRST_BYTES:
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
    groups: Iterable[Sequence[int]],
    shipment: Shipment,
    line: Line,
    write: Callable[[bytes], Awaitable[None]],
    on_sent: Callable[[int], None],
) -> None:
    """Send archives with the files of *groups*, as numbers of *shipment*'s entries.

    They are packed while others are on their way. *on_sent* is called with the bytes that were sent, before packing.
    """
    pieces: asyncio.Queue[tuple[bytes, int] | None] = asyncio.Queue(_WAITING_PIECES)

    async def pack_all() -> None:
        compressor: Compressor | None = None
        try:
            packing = line.current
            for numbers in groups:
                chosen = line.choose()
                if compressor is None or chosen is not packing:
                    if compressor is not None:
                        await pieces.put((_finish(compressor, archive_ending(packing)), 0))
                        await pieces.join()  # else it would count as the time of the new one
                        line.begin()
                    packing, compressor = chosen, make_compressor(chosen)
                # Files are read in a thread, so that the connection's other channels go on.
                members = pack(shipment, numbers, packing)
                while chunk := await asyncio.to_thread(next, members, b""):
                    data = await asyncio.to_thread(_compress, compressor, chunk, line)
                    await pieces.put((data, len(chunk)))
                if line.is_new:
                    await pieces.join()
            if compressor is not None:
                await pieces.put((await asyncio.to_thread(_finish, compressor, archive_ending(packing)), 0))
        finally:
            if not (task := asyncio.current_task()) or not task.cancelling():
                await pieces.put(None)

    packing_all = asyncio.create_task(pack_all())
    try:
        while (piece := await pieces.get()) is not None:
            data, size = piece
            for start in range(0, len(data), PIECE_BYTES):
                part = data[start : start + PIECE_BYTES]
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


def _compress(compressor: Compressor, chunk: bytes, line: Line) -> bytes:
    line.note_packed(chunk)
    return b"".join(frame(compressor.compress(chunk)))


def _finish(compressor: Compressor, ending: bytes) -> bytes:
    return b"".join(frame(compressor.compress(ending) + compressor.flush())) + end_archive()
