"""Which line of source a place in an ELF file was compiled from."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from incamera.elf.lines import Line, find_line

CODE_AT = 0x1000


def uleb(number: int) -> bytes:
    out = b""
    while True:
        byte, number = number & 0x7F, number >> 7
        out += bytes([byte | (0x80 if number else 0)])
        if not number:
            return out


def sequence(address: int, *rows: tuple[int, int, int]) -> bytes:
    """Return a program with *rows*: (bytes after the last one, file, line); the last one ends the sequence."""
    out = b"\x00" + uleb(9) + b"\x02" + struct.pack("<Q", address)
    line = 1
    for number, (step, file, wanted) in enumerate(rows):
        out += b"\x02" + uleb(step) + b"\x04" + uleb(file)
        delta = wanted - line
        out += b"\x03" + struct.pack("B", delta & 0x7F)  # -64 to 63
        out += b"\x00\x01\x01" if number == len(rows) - 1 else b"\x01"
        line = wanted
    return out


def unit(version: int, program: bytes) -> bytes:
    """Return the line table of fast.c in /src and of inc.h in its folder include."""
    lengths = bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])
    head = b"\x01" + (b"\x01" if version >= 4 else b"") + b"\x01" + struct.pack("b", -5) + b"\x0e\x0d" + lengths
    if version >= 5:
        names = b"\x01\x01\x08\x02/src\0include\0" + b"\x02\x01\x08\x02\x0b\x03"
        names += b"fast.c\0\x00fast.c\0\x00inc.h\0\x01"
    else:
        names = b"include\0\0fast.c\0\0\0\0inc.h\0\1\0\0\0"
    sizes = b"\x08\x00" if version >= 5 else b""
    body = struct.pack("<H", version) + sizes + struct.pack("<I", len(head + names)) + head + names + program
    return struct.pack("<I", len(body)) + body


def library(path: Path, lines: bytes) -> Path:
    """Write an ELF file with one segment of code at 0x400000, which is at 0x1000 in the file, and *lines*."""
    names = b"\0.debug_line\0.shstrtab\0"
    segment = struct.pack("<IIQQQQQQ", 1, 5, CODE_AT, 0x400000, 0x400000, 0x1000, 0x1000, 0x1000)
    data = bytearray(64) + segment
    data += bytes(CODE_AT + 0x1000 - len(data))
    lines_at, names_at = len(data), len(data) + len(lines)
    data += lines + names
    sections = [(0, 0, 0, 0), (1, 1, lines_at, len(lines)), (13, 3, names_at, len(names))]
    table_at = len(data)
    for name, kind, offset, size in sections:
        data += struct.pack("<IIQQQQ24x", name, kind, 0, 0, offset, size)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    data[:64] = identity + struct.pack("<HHIQQQIHHHHHH", 3, 183, 1, 0, 64, table_at, 0, 64, 56, 1, 64, len(sections), 2)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_line_of_a_place_is_that_of_the_row_before_it(version: int, tmp_path: Path) -> None:
    first = unit(version, sequence(0x400800, (0, 1, 60), (16, 1, 60)))
    second = unit(version, sequence(0x400100, (0, 1, 12), (8, 2, 3), (8, 1, 13), (8, 1, 13)))
    path = library(tmp_path / "fast.so", first + second)
    prefix = "/src/" if version >= 5 else ""
    found = [find_line(path, CODE_AT + place) for place in (0x100, 0x107, 0x108, 0x110, 0x117)]
    wanted = [Line("fast.c", 12), Line("fast.c", 12), Line("include/inc.h", 3), Line("fast.c", 13), Line("fast.c", 13)]
    assert found == [Line(prefix + file, line) for file, line in wanted]
    assert find_line(path, CODE_AT + 0x800) == Line(f"{prefix}fast.c", 60)


@pytest.mark.parametrize("place", [0x0, 0xFF, 0x118, 0x5000])
def test_place_that_no_row_is_about_has_no_line(place: int, tmp_path: Path) -> None:
    path = library(tmp_path / "fast.so", unit(4, sequence(0x400100, (0, 1, 12), (24, 1, 12))))
    assert find_line(path, CODE_AT + place) is None


def test_file_without_debug_information_has_no_lines(tmp_path: Path) -> None:
    assert find_line(library(tmp_path / "fast.so", b""), CODE_AT) is None


def test_damaged_table_is_a_value_error_or_has_no_line(tmp_path: Path) -> None:
    whole = unit(5, sequence(0x400100, (0, 1, 12), (24, 2, 12)))
    for number in range(len(whole)):
        for byte in (0x00, 0x7F, 0xFF):
            path = library(tmp_path / "fast.so", whole[:number] + bytes([byte]) + whole[number + 1 :])
            try:
                found = find_line(path, CODE_AT + 0x104)
            except ValueError:
                continue
            assert found is None or isinstance(found, Line)
