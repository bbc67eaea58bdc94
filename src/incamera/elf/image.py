"""An ELF file as a loader has it in memory: each address must lie in a segment."""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.elf.facts import Segment
    from incamera.elf.tables import Tables

EXECUTABLE, WRITABLE, READABLE = 1, 2, 4  # PF_X, PF_W, PF_R
ARM, AARCH64 = 40, 183  # the machines of cameras


class Image:
    """The memory of the file with *tables*. `word` is the size of an address in bytes, `code` its type for `array`.

    Each method raises ValueError for what is outside of the segments, and names the table that says so.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.tags = tables.tags
        self.word = 8 if tables.is_64bit else 4
        self.code = "Q" if tables.is_64bit else "I"
        self._order = tables.byte_order

    def find_segment(self, address: int, size: int, flags: int = 0) -> Segment | None:
        """Return the segment with the *size* bytes at *address*; None when there is none, or it lacks *flags*."""
        for segment in self.tables.segments:
            if segment.address <= address and address + size <= segment.address + segment.memory_size:
                return segment if segment.flags & (flags | READABLE) == flags | READABLE else None
        return None

    def require(self, address: int, size: int, name: str, flags: int = 0) -> None:
        """Raise ValueError unless the *size* bytes at *address* lie in one segment that has *flags*."""
        if self.find_segment(address, size, flags) is None:
            raise ValueError(f"outside of its segments: its {name}, at address {address:#x}")

    def read(self, address: int, size: int, name: str) -> bytes:
        """Return the *size* bytes at *address*, which must come from the file."""
        segment = self.find_segment(address, size)
        if segment is None or address + size > segment.address + segment.file_size:
            raise ValueError(f"outside of its segments: its {name}, at address {address:#x}")
        start = segment.offset + address - segment.address
        data = self.tables.data[start : start + size]
        if len(data) < size:
            raise ValueError(f"beyond its end: its {name}")
        return data

    def unpack(self, form: str, address: int, name: str) -> tuple[int, ...]:
        """Return the numbers at *address*, whose layout is *form*, as `struct` has it."""
        layout = struct.Struct(self._order + form)
        return layout.unpack(self.read(address, layout.size, name))

    def numbers(self, address: int, count: int, name: str, code: str = "I") -> array[int]:
        """Return *count* numbers of the type *code* (as `array` has them) at *address*."""
        found = array(code)
        found.frombytes(self.read(address, count * found.itemsize, name))
        if self._order == ">":
            found.byteswap()
        return found

    def value(self, tag: int, name: str) -> int:
        """Return the value of *tag*, which must be there."""
        if tag not in self.tags:
            raise ValueError(f"it has no {name}")
        return self.tags[tag]
