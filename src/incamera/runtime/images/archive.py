"""Packs a runtime into a .tar.gz archive, which BusyBox's gunzip and tar unpack into a camera's RAM."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.tree import Entry

_LEVEL = 9
_CHUNK = 1 << 20


def make_archive(
    source: Path,
    entries: Iterable[Entry],
    order: Sequence[str],
    out: Path,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Pack *entries* of the tree *source* into *out*, those in *order* first. Equal entries give equal bytes.

    *advance* is called with the number of bytes that were packed since the last time.
    """
    ranks = {path: rank for rank, path in enumerate(order)}
    ordered = sorted(entries, key=lambda entry: (ranks.get(entry.path, len(ranks)), entry.raw_path))
    packer = zlib.compressobj(_LEVEL, wbits=31)
    with out.open("wb") as stream:

        def write(data: bytes) -> None:
            stream.write(packer.compress(data))

        for entry in ordered:
            info = tarfile.TarInfo(entry.path)
            info.mode = 0o555 if entry.executable else 0o444
            if entry.link:
                info.type, info.linkname = tarfile.SYMTYPE, entry.link
            else:
                info.size = entry.size
            # Not the pax format: every build of BusyBox reads GNU tar's long names.
            write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
            if entry.link:
                continue
            with (source / entry.path).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    write(chunk)
                    advance(len(chunk))
            write(bytes(-entry.size % tarfile.BLOCKSIZE))
        write(bytes(2 * tarfile.BLOCKSIZE))
        stream.write(packer.flush())
