"""How an archive is compressed on its way to a device, and the pieces in which it is sent."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

# What `unxz` needs in the device's memory.
_XZ_DICTIONARY = 8 << 20
_XZ_PRESET = 6
PIECE_BYTES = 64 * 1024
_END = struct.pack(">I", 0)


class Packing(StrEnum):
    """How an archive is compressed. The device tells which of `gzip` and `xz` it can unpack.

    One that is compressed is a tar archive. In one that is not, the guard finds the files by itself: see `plain.c`.
    """

    none = ""
    fast = "gzip -1"
    more = "gzip -6"
    xz = "xz"

    @property
    def program(self) -> str:
        return self.value.partition(" ")[0]


class Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def make_compressor(packing: Packing) -> Compressor:
    """Return a new compressor; its output is what the device's programs unpack."""
    if packing is Packing.xz:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": _XZ_PRESET, "dict_size": _XZ_DICTIONARY}]
        return lzma.LZMACompressor(filters=filters, check=lzma.CHECK_CRC32)
    if packing is Packing.none:
        return _Plain()
    return zlib.compressobj(1 if packing is Packing.fast else 6, wbits=31)


def frame(data: bytes) -> Iterator[bytes]:
    """Yield *data* in pieces, each behind its length. An empty one ends an archive: see `end_archive`."""
    for start in range(0, len(data), PIECE_BYTES):
        piece = data[start : start + PIECE_BYTES]
        yield struct.pack(">I", len(piece)) + piece


def end_archive() -> bytes:
    """Return what follows the last piece of an archive."""
    return _END
