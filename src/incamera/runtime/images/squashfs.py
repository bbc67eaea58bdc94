"""Makes the squashfs image of a runtime, with equal bytes on every host, and finds the files' data in it."""

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
# In bytes. Larger blocks make the image 5 % smaller, but to read one page of a block, all of it is decompressed.
BLOCK = 1 << 18
# The options of each compression, best first: zstd's images are a tenth larger than xz's, but decompress much faster.
COMPRESSIONS: Mapping[str, tuple[str, ...]] = {
    "zstd": ("-comp", "zstd", "-Xcompression-level", "15"),
    "xz": ("-comp", "xz"),
    "gzip": ("-comp", "gzip"),
    "lzo": ("-comp", "lzo"),
    "lz4": ("-comp", "lz4", "-Xhc"),
}
# Times, owners and the modes of folders do not depend on this computer. The inodes are not compressed (-noI), so that
# `parse_layout` can read them.
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
# The largest size of a compressed block of byte-code and small libraries.
_SHARED_BLOCK = BLOCK // 2


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets in an image, in bytes.

    `blocks`: for each file of at least one block, the start of its first block and the ends of all its blocks.
    `tables`: the start of the tables, which follow all data.
    """

    blocks: Mapping[str, tuple[int, ...]]
    tables: int

    def hot_bytes(self, last: str) -> int:
        """Return the end of the part of the image that has *last* and all files packed before it."""
        # Smaller files share a block, which may have been written after *last*.
        return min(self.blocks[last][-1] + _SHARED_BLOCK, self.tables)

    def part(self, file: str, start: int, end: int) -> tuple[int, int]:
        """Return the start and end of the part of the image that has the bytes from *start* to *end* of *file*."""
        edges = self.blocks[file]
        last = len(edges) - 1
        return edges[min(start // BLOCK, last)], edges[min(-(-end // BLOCK), last)]


def move_large_to_end(files: Sequence[str], sizes: Mapping[str, int]) -> list[str]:
    """Return *files* with the last one of at least one block at the end. `Layout` has only such files' offsets."""
    last = next((file for file in reversed(files) if sizes[file] >= BLOCK), None)
    return [file for file in files if file != last] + ([last] if last else [])


def make_squashfs(
    mksquashfs: Sequence[str], source: Path, leave_out: Sequence[str], order: Sequence[str], compression: str, out: Path
) -> None:
    """Pack the tree *source* into the file *out*, its files in *order*, without the top-level entries *leave_out*.

    *mksquashfs*: the command that starts the program. *compression*: a key of `COMPRESSIONS`. Raises ToolFailed.
    """
    sort = out.with_suffix(".order")
    highest, lowest = _PRIORITIES
    sort.write_text(
        "".join(f"{_escape(file)} {max(highest - rank, lowest)}\n" for rank, file in enumerate(order)),
        "utf-8",
        "surrogateescape",
    )
    options = [*_OPTIONS, "-b", str(BLOCK), *COMPRESSIONS[compression]]
    command: list[proc.Argument] = [*mksquashfs, source, out, *options, "-sort", sort]
    excluded = [source / name for name in leave_out if (source / name).exists()]
    if excluded:
        command += ["-e", *excluded]
    proc.run(command, purpose="make the image")
    sort.unlink()


def _escape(path: str) -> str:
    return "".join(f"\\{sign}" if sign in ' \t\\"' else sign for sign in path)


def adler32_of(data: memoryview, ranges: Iterable[tuple[int, int]]) -> int:
    """Return the Adler-32 checksum of the *ranges* (start, end) of *data*."""
    check = 1
    for start, end in ranges:
        check = zlib.adler32(data[start:end], check)
    return check


def parse_layout(data: memoryview) -> Layout:
    """Return the offsets in *data*, an image that `make_squashfs` has made. Raises BuildError for any other data."""
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
        # The folder table ends where the first block of the fragment table begins.
        end = struct.unpack_from("<Q", data, fragments_at)[0]
        self._folders, self._folder_blocks = self._read_table(folders_at, end)

    def layout(self) -> Layout:
        blocks: dict[str, tuple[int, ...]] = {}
        stack = [("", self._root)]
        while stack:
            prefix, reference = stack.pop()
            for name, kind, inode in self._list_folder(reference):
                if kind == 1:
                    stack.append((f"{prefix}{name}/", inode))
                elif kind == 2 and (offsets := self._block_offsets(inode)):
                    blocks[prefix + name] = offsets
        return Layout(blocks, self._inodes_at)

    def _read_table(self, start: int, end: int) -> tuple[bytes, dict[int, int]]:
        """Return a table's bytes, and for each of its blocks (by offset in the file) where it begins in them."""
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
        """Yield name, kind (1: folder, 2: file) and inode reference of each entry of a folder."""
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

    def _block_offsets(self, reference: int) -> tuple[int, ...]:
        """Return the start of a file's first block and the ends of all its blocks; () when it has none of its own."""
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
