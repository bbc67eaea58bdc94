"""One squashfs file of a runtime, the same bytes wherever it is made, and where in it which file lies."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from incamera import proc
from incamera.errors import BuildError

MAGIC = b"hsqs"
# Larger ones would take 5 % less, but all of a block is unpacked to read one page of it.
BLOCK = 1 << 18
# In this order, where a camera's kernel can: zstd takes a tenth more than xz, and a fraction of its time to unpack.
COMPRESSIONS: Mapping[str, tuple[str, ...]] = {
    "zstd": ("-comp", "zstd", "-Xcompression-level", "15"),
    "xz": ("-comp", "xz"),
    "gzip": ("-comp", "gzip"),
    "lzo": ("-comp", "lzo"),
    "lz4": ("-comp", "lz4", "-Xhc"),
}
# Times, owners and the folders' rights would be those of this computer. The inodes are not compressed, so that we can
# read where each file lies.
_OPTIONS = (
    *(
        "-noappend",
        "-quiet",
        "-no-progress",
        "-all-root",
        "-no-xattrs",
        "-no-exports",
        "-mkfs-time",
        "0",
        "-all-time",
        "0",
    ),
    *("-noI", "-action", "chmod(755)@type(d)"),
)
_PRIORITIES = (32767, -32768)
_NO_FRAGMENT = 0xFFFFFFFF
_UNCOMPRESSED = 1 << 24
# What a block of byte-code and small libraries takes, compressed, at most.
_SHARED_BLOCK = BLOCK // 2


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie in an image, in bytes from its beginning.

    blocks: for each file of a block or more, where its first block begins and where each of them ends; tables: where
    what follows all data begins.
    """

    blocks: Mapping[str, tuple[int, ...]]
    tables: int

    def hot_bytes(self, last: str) -> int:
        """Return up to where the image must be read, so that *last*, and all that was packed before it, is there."""
        # Smaller files share a block, and the one that was not full then came later.
        return min(self.blocks[last][-1] + _SHARED_BLOCK, self.tables)

    def part(self, file: str, start: int, end: int) -> tuple[int, int]:
        """Return from where to where the image must be read for the bytes from *start* to *end* of *file*."""
        edges = self.blocks[file]
        last = len(edges) - 1
        return edges[min(start // BLOCK, last)], edges[min(-(-end // BLOCK), last)]


def end_with_large(files: Sequence[str], sizes: Mapping[str, int]) -> list[str]:
    """Return *files* with the last that fills a block at the end: an image tells where such files lie."""
    last = next((file for file in reversed(files) if sizes[file] >= BLOCK), None)
    return [file for file in files if file != last] + ([last] if last else [])


def make_squashfs(
    mksquashfs: Sequence[str], source: Path, leave_out: Sequence[str], order: Sequence[str], compression: str, out: Path
) -> None:
    """Pack *source*, without the top-level entries *leave_out* and its files in *order*, into *out*.

    *mksquashfs*: how the program is started. Raises ToolFailed.
    """
    sort = out.with_suffix(".order")
    highest, lowest = _PRIORITIES
    sort.write_text(
        "".join(f"{_escape(file)} {max(highest - rank, lowest)}\n" for rank, file in enumerate(order)), "utf-8"
    )
    how = [*_OPTIONS, "-b", str(BLOCK), *COMPRESSIONS[compression]]
    words: list[proc.Argument] = [*mksquashfs, source, out, *how, "-sort", sort]
    excluded = [source / name for name in leave_out if (source / name).exists()]
    if excluded:
        words += ["-e", *excluded]
    proc.run(words, purpose="make the image")
    sort.unlink()


def _escape(path: str) -> str:
    return "".join(f"\\{sign}" if sign in ' \t\\"' else sign for sign in path)


def check_of(data: memoryview, ranges: Iterable[tuple[int, int]]) -> int:
    """Return the Adler-32 of what a start reads before anything runs from the image."""
    check = 1
    for start, end in ranges:
        check = zlib.adler32(data[start:end], check)
    return check


def parse_layout(data: memoryview) -> Layout:
    """Find out where the files of an image lie that `make_squashfs` made. Raises BuildError where it is none."""
    try:
        return _Parser(data).layout()
    except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise BuildError(f"the image is damaged: {error}") from error


class _Parser:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        if bytes(data[:4]) != MAGIC:
            raise BuildError("not a squashfs image")
        self._block = struct.unpack_from("<I", data, 12)[0]
        self._root, _used, _ids, _xattrs, self._inodes_at, folders_at, fragments_at = struct.unpack_from(
            "<7Q", data, 32
        )
        self._inodes, self._inode_blocks = self._read_table(self._inodes_at, folders_at)
        # What follows the folders: the blocks of the fragment table, whose places it ends with.
        end = struct.unpack_from("<Q", data, fragments_at)[0]
        self._folders, self._folder_blocks = self._read_table(folders_at, end)

    def layout(self) -> Layout:
        blocks: dict[str, tuple[int, ...]] = {}
        waiting = [("", self._root)]
        while waiting:
            prefix, reference = waiting.pop()
            for name, kind, inode in self._list_folder(reference):
                if kind == 1:
                    waiting.append((f"{prefix}{name}/", inode))
                elif kind == 2 and (edges := self._edges_of_file(inode)):
                    blocks[prefix + name] = edges
        return Layout(blocks, self._inodes_at)

    def _read_table(self, start: int, end: int) -> tuple[bytes, dict[int, int]]:
        """Return a table's bytes, and where in them each of its blocks begins."""
        parts: list[bytes] = []
        blocks: dict[int, int] = {}
        at, length = start, 0
        while at < end:
            blocks[at - start] = length
            parts.append(self._read_block(at))
            length += len(parts[-1])
            at += 2 + len(parts[-1])
        return b"".join(parts), blocks

    def _read_block(self, at: int) -> bytes:
        header = struct.unpack_from("<H", self._data, at)[0]
        if not header & 0x8000:
            raise BuildError("the image's tables are compressed")
        return bytes(self._data[at + 2 : at + 2 + (header & 0x7FFF)])

    def _inode(self, reference: int) -> int:
        return self._inode_blocks[reference >> 16] + (reference & 0xFFFF)

    def _list_folder(self, reference: int) -> Iterator[tuple[str, int, int]]:
        """Yield names, kinds (1: folder, 2: file) and inodes."""
        at = self._inode(reference)
        if struct.unpack_from("<H", self._inodes, at)[0] == 1:
            start, _links, size, offset = struct.unpack_from("<IIHH", self._inodes, at + 16)
        else:
            _links, size, start, _parent, _indexes, offset = struct.unpack_from("<IIIIHH", self._inodes, at + 16)
        at = self._folder_blocks[start] + offset if size > 3 else 0
        end = at + size - 3
        while at < end:
            count, block, _number = struct.unpack_from("<III", self._folders, at)
            at += 12
            for _ in range(count + 1):
                offset, _difference, kind, length = struct.unpack_from("<HhHH", self._folders, at)
                name = self._folders[at + 8 : at + 9 + length].decode("utf-8", "surrogateescape")
                at += 9 + length
                yield name, kind, block << 16 | offset

    def _edges_of_file(self, reference: int) -> tuple[int, ...]:
        """Return where a file's blocks begin and where each ends; nothing where it has none of its own."""
        at = self._inode(reference)
        if struct.unpack_from("<H", self._inodes, at)[0] == 2:
            start, fragment, _offset, size = struct.unpack_from("<IIII", self._inodes, at + 16)
            at += 32
        else:
            start, size, _sparse, _links, fragment = struct.unpack_from("<QQQII", self._inodes, at + 16)
            at += 56
        blocks = size // self._block if fragment != _NO_FRAGMENT else -(-size // self._block)
        sizes = struct.unpack_from(f"<{blocks}I", self._inodes, at)
        return tuple(accumulate((each & ~_UNCOMPRESSED for each in sizes), initial=int(start))) if blocks else ()
