"""Which line of C source a place in an ELF file was compiled from: its DWARF line table, of the versions 2 to 5."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from incamera.elf.file import opened

if TYPE_CHECKING:
    from incamera.elf.tables import Tables

# A table of more units, or with longer programs, is not from a compiler.
_MOST_UNITS = 10_000
_STRING, _BLOCK, _DATA_1, _DATA_2, _DATA_4, _DATA_8 = 0x08, 0x09, 0x0B, 0x05, 0x06, 0x07
_UDATA, _STRP, _LINE_STRP, _DATA_16 = 0x0F, 0x0E, 0x1F, 0x1E
_PATH, _DIRECTORY = 1, 2


class Line(NamedTuple):
    """A line of a source file, whose path is as the compiler was given it, or absolute."""

    file: str
    line: int


def find_line(path: Path, offset: int, debug: Path | None = None) -> Line | None:
    """Return the line that the code at *offset*, in bytes, of the ELF file *path* was compiled from.

    *debug* is the file with its debug information, if it has none itself. Returns None where there is none, or none
    about that place. Raises ValueError for a file that is damaged, OSError.
    """
    with opened(path) as tables:
        code = next((one for one in tables.segments if one.offset <= offset < one.offset + one.file_size), None)
    return _find_line(debug or path, offset - code.offset + code.address) if code is not None else None


def _find_line(path: Path, address: int) -> Line | None:
    with opened(path) as tables:
        program = tables.section(".debug_line")
        if not program:
            return None
        strings = {_LINE_STRP: tables.section(".debug_line_str") or b"", _STRP: tables.section(".debug_str") or b""}
        start = 0
        for _ in range(_MOST_UNITS):
            if start + 4 >= len(program):
                return None
            unit = _Unit(tables, bytes(program), start, strings)
            if (found := unit.find(address)) is not None:
                return found
            start = unit.end
        return None


class _Unit:
    """The line table of one source file that was compiled, with the files that it includes."""

    def __init__(self, tables: Tables, data: bytes, start: int, strings: dict[int, bytes]) -> None:
        self._data, self._at, self._order, self._strings = data, start, tables.byte_order, strings
        self._address_size = 8 if tables.is_64bit else 4
        length = self._number(4)
        self._offset_size = 8 if length == 0xFFFFFFFF else 4
        if self._offset_size == 8:
            length = self._number(8)
        self.end = self._at + length
        version = self._number(2)
        self._is_new = version >= 5
        if not 2 <= version <= 5:
            self._rows_begin = self.end  # of another version: it has no rows for us
            return
        if self._is_new:
            self._at += 2  # the sizes of addresses and of segment selectors
        rest = self._number(self._offset_size)
        self._rows_begin = self._at + rest
        self._least_length = self._number(1)
        if version >= 4:
            self._at += 1  # operations for each instruction: 1, but for VLIW processors
        self._at += 1  # whether rows begin as statements
        self._line_base = struct.unpack_from("b", data, self._at)[0]
        self._at += 1
        self._line_range, self._opcode_base = max(1, self._number(1)), self._number(1)
        self._lengths = [self._number(1) for _ in range(self._opcode_base - 1)]
        if self._is_new:
            self._folders = [entry.get(_PATH, "") for entry in self._entries()]
            self._files = [(str(entry.get(_PATH, "")), int(entry.get(_DIRECTORY, 0))) for entry in self._entries()]
        else:
            self._folders = ["", *self._old_folders()]
            self._files = [("", 0), *self._old_files()]

    def find(self, wanted: int) -> Line | None:
        """Run the unit's program until it passes the address *wanted*."""
        self._at = self._rows_begin
        address, file, line = 0, 1, 1
        before: tuple[int, int, int] | None = None
        while self._at < self.end:
            code = self._number(1)
            emits = ends = False
            if code >= self._opcode_base:
                code -= self._opcode_base
                address += code // self._line_range * self._least_length
                line += self._line_base + code % self._line_range
                emits = True
            elif code == 0:
                size = self._leb()
                end = self._at + size
                kind = self._number(1)
                emits = ends = kind == 1
                if kind == 2:
                    address = self._number(self._address_size)
                self._at = end
            elif code == 1:
                emits = True
            elif code == 2:
                address += self._leb() * self._least_length
            elif code == 3:
                line += self._leb(signed=True)
            elif code == 4:
                file = self._leb()
            elif code == 8:
                address += (255 - self._opcode_base) // self._line_range * self._least_length
            elif code == 9:
                address += self._number(2)
            else:
                for _ in range(self._lengths[code - 1]):
                    self._leb()
            if emits:
                if before is not None and before[0] <= wanted < address:
                    return Line(self._name(before[1]), before[2]) if before[2] > 0 else None
                before = (address, file, line)
            if ends:
                address, file, line, before = 0, 1, 1, None
        return None

    def _name(self, number: int) -> str:
        name, folder = self._files[number]
        path = str(self._folders[folder]) if folder < len(self._folders) else ""
        if path and self._is_new and folder and not path.startswith("/"):
            path = f"{self._folders[0]}/{path}"
        return name if name.startswith("/") or not path else f"{path}/{name}"

    def _entries(self) -> list[dict[int, str | int]]:
        """Read the folders or the files of version 5, which says itself what it tells of each."""
        forms = [(self._leb(), self._leb()) for _ in range(self._number(1))]
        return [{kind: self._value(form) for kind, form in forms} for _ in range(self._leb())]

    def _value(self, form: int) -> str | int:
        if form == _STRING:
            return self._text(self._data, None)
        if form in self._strings:
            return self._text(self._strings[form], self._number(self._offset_size))
        if form == _UDATA:
            return self._leb()
        if form in (_BLOCK, _DATA_16):
            self._at += self._leb() if form == _BLOCK else 16
            return 0
        sizes = {_DATA_1: 1, _DATA_2: 2, _DATA_4: 4, _DATA_8: 8}
        if form not in sizes:
            raise ValueError(f"a line table has values of the unknown form {form:#x}")
        return self._number(sizes[form])

    def _old_folders(self) -> list[str]:
        folders = []
        while folder := self._text(self._data, None):
            folders.append(folder)
        return folders

    def _old_files(self) -> list[tuple[str, int]]:
        files = []
        while name := self._text(self._data, None):
            files.append((name, self._leb()))
            self._leb(), self._leb()  # when it was changed, and its size
        return files

    def _text(self, data: bytes, start: int | None) -> str:
        """Return the string at *start* of *data*, by default the next one of the table."""
        begin = self._at if start is None else start
        end = data.index(b"\0", begin)
        if start is None:
            self._at = end + 1
        return data[begin:end].decode("utf-8", "backslashreplace")

    def _number(self, size: int) -> int:
        form = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
        (number,) = struct.unpack_from(self._order + form, self._data, self._at)
        self._at += size
        return int(number)

    def _leb(self, *, signed: bool = False) -> int:
        result = shift = 0
        while True:
            byte = self._number(1)
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result - (1 << shift) if signed and byte & 0x40 else result
