"""Debug information beside a stripped library. The libraries are made by tests/data/debug/make.sh."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from incamera.elf import parse_elf, parse_symbols
from incamera.elf.debug import find_debug_file, read_build_id, strip, write_debug_file
from incamera.elf.lines import Line, find_line

DATA = Path(__file__).parents[1] / "data" / "debug"
LINE = Line("/incamera/project/lines.c", 11)
"""Where `crash` reads what it is given."""
MACHINES = ("x86_64", "i386")


def whole(machine: str) -> bytes:
    return (DATA / f"{machine}.so").read_bytes()


def stripped(machine: str, folder: Path) -> Path:
    """Write the stripped library and its debug information to *folder*; return the library."""
    made = strip(whole(machine))
    assert made is not None
    path = folder / "fast.so"
    path.write_bytes(made.data)
    write_debug_file(folder / "debug", made)
    return path


def sections(data: bytes) -> Any:
    return ELFFile(io.BytesIO(data))


def place_of_crash(machine: str) -> int:
    """Return where in the file the instruction is that reads through the pointer."""
    lines = sections(whole(machine)).get_dwarf_info()
    (unit,) = lines.iter_CUs()
    rows = [entry.state for entry in lines.line_program_for_CU(unit).get_entries() if entry.state]
    return next(int(row.address) for row in rows if row.line == LINE.line and row.address)  # loaded at its offset


@pytest.mark.parametrize("machine", MACHINES)
def test_line_is_found_in_the_debug_information_beside_the_library(machine: str, tmp_path: Path) -> None:
    path = stripped(machine, tmp_path)
    place = place_of_crash(machine)
    assert find_line(DATA / f"{machine}.so", place) == LINE
    assert find_line(path, place) is None
    debug = find_debug_file(path, [tmp_path / "elsewhere", tmp_path / "debug"])
    assert debug is not None
    assert find_line(path, place, debug) == LINE
    assert read_build_id(debug) == read_build_id(path) != ""
    assert find_debug_file(path, [tmp_path]) is None


@pytest.mark.parametrize("machine", MACHINES)
def test_stripped_library_loads_what_the_whole_one_does(machine: str, tmp_path: Path) -> None:
    before, after = whole(machine), stripped(machine, tmp_path).read_bytes()
    facts, was = parse_elf(after), parse_elf(before)
    assert (facts.segments, facts.needed, facts.soname) == (was.segments, was.needed, was.soname)
    assert parse_symbols(after) == parse_symbols(before)
    one, other = sections(before), sections(after)
    loaded = [section for section in one.iter_sections() if section["sh_flags"] & 2]
    for section in loaded:
        same = other.get_section_by_name(section.name)
        for name in ("sh_type", "sh_flags", "sh_addr", "sh_offset", "sh_size", "sh_addralign", "sh_entsize"):
            assert same[name] == section[name]
        if section.name != ".note.gnu.build-id":
            assert same.data() == section.data()
    symbols = other.get_section_by_name(".dynsym")
    assert other.get_section(symbols["sh_link"]).name == ".dynstr"
    assert [section.name for section in other.iter_sections() if not section["sh_flags"] & 2 and section.name] == [
        ".comment",
        ".shstrtab",
    ]
    assert other.get_section_by_name(".comment").data() == one.get_section_by_name(".comment").data()


@pytest.mark.parametrize("machine", MACHINES)
def test_debug_information_does_not_change_the_stripped_library(machine: str) -> None:
    elsewhere = whole(machine).replace(b"/incamera/project", b"/incamera/another")
    (note,) = sections(elsewhere).get_section_by_name(".note.gnu.build-id").iter_notes()
    elsewhere = elsewhere.replace(bytes.fromhex(note["n_desc"]), bytes(20))
    one, other = strip(whole(machine)), strip(elsewhere)
    assert one is not None
    assert other is not None
    assert one.data == other.data
    assert one.debug != other.debug


@pytest.mark.parametrize("machine", MACHINES)
def test_library_without_debug_information_stays_as_it_is(machine: str, tmp_path: Path) -> None:
    assert strip(stripped(machine, tmp_path).read_bytes()) is None


def test_library_without_a_build_id_is_stripped_and_has_no_debug_information(tmp_path: Path) -> None:
    made = strip(whole("x86_64").replace(b"GNU\0", b"XYZ\0"))
    assert made is not None
    assert (made.debug, made.build_id) == (None, "")
    write_debug_file(tmp_path / "debug", made)
    (tmp_path / "fast.so").write_bytes(made.data)
    assert find_debug_file(tmp_path / "fast.so", [tmp_path / "debug"]) is None


def test_damaged_library_is_a_value_error_or_is_stripped() -> None:
    data = whole("i386")
    table = int.from_bytes(data[32:36], "little")
    for number in [*range(52), *range(table, len(data), 3)]:
        for byte in (0x00, 0x7F):
            try:
                strip(data[:number] + bytes([byte]) + data[number + 1 :])
            except ValueError:
                continue
