"""The audit reports what would crash a loader: wild values in the dynamic section and in the program headers.

That a loader crashes, and on which, was tried with glibc 2.36 under QEMU.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from tests.unit.abi import trees
from tests.unit.abi.elf_maker import EM_AARCH64, EM_ARM, make_elf

from incamera.abi.audit import audit_path
from incamera.abi.findings import Kind, Report
from incamera.abi.policy import load_policy
from incamera.elf.file import read_loadable
from incamera.elf.tables import Tables

DATA = Path(__file__).parents[2] / "data" / "elf"
FILES = {path.name: path.read_bytes() for path in sorted(DATA.iterdir()) if path.suffix != ".sh"}
POLICIES = {name: load_policy(f"axis-os-11-{name}") for name in ("armv7hf", "aarch64")}

# Of the dynamic section: what holds an address, the size of a table, the size of an entry, an offset of a string.
ADDRESSES = {
    4: "HASH",
    5: "STRTAB",
    6: "SYMTAB",
    7: "RELA",
    12: "INIT",
    13: "FINI",
    17: "REL",
    23: "JMPREL",
    25: "INIT_ARRAY",
    26: "FINI_ARRAY",
    0x6FFFFEF5: "GNU_HASH",
    0x6FFFFFF0: "VERSYM",
    0x6FFFFFFC: "VERDEF",
    0x6FFFFFFE: "VERNEED",
}
SIZES = {2: "PLTRELSZ", 8: "RELASZ", 18: "RELSZ", 27: "INIT_ARRAYSZ", 28: "FINI_ARRAYSZ"}
EXACT = {9: "RELAENT", 19: "RELENT", 20: "PLTREL"}
STRINGS = {1: "NEEDED", 14: "SONAME", 29: "RUNPATH"}
NAMES = ADDRESSES | SIZES | EXACT | STRINGS


def dynamic_entries(data: bytes) -> dict[int, tuple[int, int]]:
    """Return the offset and the value of the last entry of each tag."""
    tables = Tables(data)
    start = next(header.segment.offset for header in tables.headers if header.kind == 2)
    size = 16 if tables.is_64bit else 8
    return {tag: (start + number * size + size // 2, value) for number, (tag, value) in enumerate(tables.dynamic)}


def with_word(data: bytes, offset: int, value: int) -> bytes:
    is_64bit = data[4] == 2
    changed = bytearray(data)
    struct.pack_into("<Q" if is_64bit else "<I", changed, offset, value % (1 << (64 if is_64bit else 32)))
    return bytes(changed)


def audit(folder: Path, name: str, data: bytes) -> Report:
    (folder / "libwild.so.1").write_bytes(data)
    return audit_path(folder / "libwild.so.1", POLICIES[name.partition("-")[0]])


def problem(folder: Path, data: bytes) -> str:
    (folder / "libwild.so.1").write_bytes(data)
    try:
        return read_loadable(folder / "libwild.so.1")[1]
    except ValueError as error:
        return str(error)


def wild_values() -> list[tuple[str, int, int]]:
    found = []
    for name, data in FILES.items():
        used = 0x6FFFFEF5 in dynamic_entries(data)
        for tag, (_, value) in dynamic_entries(data).items():
            if tag in ADDRESSES and not (tag == 4 and used):  # a loader reads only one of the two hash tables
                values = [value + 0x100000, 0x7FFFFFF0, -16]
            elif tag in SIZES:
                values = [value + 0x100000, 0x7FFFFFF0, -16, value + 1]
            elif tag in EXACT:
                values = [0, value + 1, -1]
            elif tag in STRINGS:
                values = [0x100000, 0x7FFFFFF0, -16]
            else:
                continue
            found += [(name, tag, value) for value in values]
    return found


WILD = wild_values()


@pytest.mark.parametrize("name", FILES)
def test_sound_file_has_no_such_finding(tmp_path: Path, name: str) -> None:
    assert problem(tmp_path, FILES[name]) == ""


@pytest.mark.parametrize(("name", "tag", "value"), WILD, ids=[f"{n} {NAMES[t]} {v:#x}" for n, t, v in WILD])
def test_wild_value_in_the_dynamic_section_is_an_error(tmp_path: Path, name: str, tag: int, value: int) -> None:
    offset, _ = dynamic_entries(FILES[name])[tag]
    report = audit(tmp_path, name, with_word(FILES[name], offset, value))
    assert Kind.malformed in {finding.kind for finding in report.errors}, report.findings


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("value", [0, 1, -1, 0x100000, 0x7FFFFFF0])
def test_wild_size_of_the_string_table_is_no_finding_as_no_loader_looks_at_it(
    tmp_path: Path, name: str, value: int
) -> None:
    offset, size = dynamic_entries(FILES[name])[10]
    sound = audit(tmp_path, name, FILES[name])
    for wild in (value, size + value):
        assert audit(tmp_path, name, with_word(FILES[name], offset, wild)).findings == sound.findings
    assert (
        problem(tmp_path, with_word(FILES[name], offset - (8 if name.startswith("aarch64") else 4), 0x6FFFFEF9)) == ""
    )


@pytest.mark.parametrize(
    ("os_abi", "version", "valid"), [(0, 0, True), (0, 1, False), (3, 3, True), (3, 4, False), (3, 255, False)]
)
@pytest.mark.parametrize("name", ["armv7hf-library.so", "aarch64-library.so"])
def test_version_of_the_abi_is_one_that_loaders_take(
    tmp_path: Path, name: str, os_abi: int, version: int, valid: bool
) -> None:
    data = bytearray(FILES[name])
    data[7:9] = bytes([os_abi, version])
    kinds = {finding.kind for finding in audit(tmp_path, name, bytes(data)).errors}
    assert (Kind.malformed not in kinds) is valid


@pytest.mark.parametrize("tag", [5, 6, 2, 20, 3, 0x6FFFFFF0, 0x6FFFFFFE])
def test_missing_table_is_an_error(tmp_path: Path, tag: int) -> None:
    data = FILES["armv7hf-library.so"]
    offset, _ = dynamic_entries(data)[tag]
    assert problem(tmp_path, with_word(data, offset - 4, 0x6FFFFE00))


def test_file_without_any_hash_table_is_an_error(tmp_path: Path) -> None:
    data = FILES["armv7hf-library.so"]
    for tag in (4, 0x6FFFFEF5):
        data = with_word(data, dynamic_entries(data)[tag][0] - 4, 0x6FFFFE00)
    assert "no table to find its symbols" in problem(tmp_path, data)


# Of the program headers: number, field (0 kind, 1 offset, 2 address, 4 and 5 sizes, 6 flags), value, and the reason.
@pytest.mark.parametrize(
    ("kind", "field", "value", "words"),
    [
        (1, 4, 0xFFFFFFF0, "more bytes in the file|cut short"),
        (1, 5, 0xFFFFFFF0, "overlap|fit into memory"),
        (1, 2, 0x90000000, "overlap|outside|nothing at"),
        (1, 6, 0, "outside"),
        (2, 4, 0, "dynamic section"),
        (6, 2, 0x100000, "PT_PHDR"),
        (0x6474E552, 2, 0x100000, "PT_GNU_RELRO"),
        (0x6474E552, 5, 0x7FFFFFF0, "PT_GNU_RELRO"),
    ],
)
def test_wild_value_in_a_program_header_is_an_error(
    tmp_path: Path, kind: int, field: int, value: int, words: str
) -> None:
    data = FILES["armv7hf-library.so"]
    tables = Tables(data)
    number = next(number for number, header in enumerate(tables.headers) if header.kind == kind)
    changed = with_word(data, tables.program_headers + number * 32 + field * 4, value)
    assert re.search(words, problem(tmp_path, changed)), problem(tmp_path, changed)


@pytest.mark.parametrize("name", ["armv7hf-library.so", "aarch64-library.so"])
def test_segments_that_share_a_page_without_the_same_rights_are_an_error(tmp_path: Path, name: str) -> None:
    """The page gets the rights of the second, so that code in it cannot be executed: tried with Linux on x86-64."""
    data = FILES[name]
    tables = Tables(data)
    first, second = [number for number, header in enumerate(tables.headers) if header.kind == 1][1:3]
    begin, end = tables.headers[first].segment, tables.headers[second].segment
    assert end.address % 4096, "the second one begins within a page"
    place = tables.program_headers + first * tables.program_header_size + (40 if tables.is_64bit else 20)
    report = audit(tmp_path, name, with_word(data, place, end.address - begin.address))
    assert [one.kind for one in report.errors] == [Kind.page_size]


@pytest.mark.parametrize("text", [b"", b"/lib/ld-linux-armhf.so.3"])
def test_malformed_name_of_the_loader_is_an_error_for_a_program(tmp_path: Path, text: bytes) -> None:
    data = FILES["armv7hf-program"]
    segment = next(header.segment for header in Tables(data).headers if header.kind == 3)
    end = segment.offset + segment.file_size
    changed = data[: segment.offset] + text.ljust(segment.file_size, b"x" if text else b"\0") + data[end:]
    assert "PT_INTERP" in problem(tmp_path, changed)


def test_relocation_that_no_loader_knows_is_an_error(tmp_path: Path) -> None:
    for name, kind in (("armv7hf-library.so", 250), ("aarch64-library.so", 999)):
        data = FILES[name]
        tables = Tables(data)
        start = tables.offset_of(tables.tags[23])
        old = struct.unpack_from("<Q" if tables.is_64bit else "<I", data, start + (8 if tables.is_64bit else 4))[0]
        symbol = old >> (32 if tables.is_64bit else 8)
        info = symbol << (32 if tables.is_64bit else 8) | kind
        changed = with_word(data, start + (8 if tables.is_64bit else 4), info)
        assert f"of the kind {kind}" in problem(tmp_path, changed)
        assert "outside of its writable segments" in problem(tmp_path, with_word(data, start, 0x1000000))
        many = (1 << 20) << (32 if tables.is_64bit else 8) | (old & 0xFF)
        assert "symbol that does not exist" in problem(
            tmp_path, with_word(data, start + (8 if tables.is_64bit else 4), many)
        )


PLACE = 0x40
"""In the program headers, which are writable in what `make_elf` makes. An odd word marks which words follow it."""


@pytest.mark.parametrize("machine", [EM_ARM, EM_AARCH64])
def test_packed_relocations_outside_of_the_file_are_an_error(tmp_path: Path, machine: int) -> None:
    last = 1 << (31 if machine == EM_ARM else 63)
    assert problem(tmp_path, make_elf(machine=machine, packed=[PLACE, 0b1011, PLACE + 8])) == ""
    for words in ([0x100000], [PLACE, 0x100000], [PLACE, 1, 1, last | 1], [PLACE, *[1] * 99, 3], [PLACE + 0x7FFF0000]):
        assert "relocations (DT_RELR)" in problem(tmp_path, make_elf(machine=machine, packed=words)), words


@pytest.mark.parametrize("machine", [EM_ARM, EM_AARCH64])
@pytest.mark.parametrize(("tag", "words"), [(35, "DT_RELR"), (36, "DT_RELR"), (37, "DT_RELRENT")])
@pytest.mark.parametrize("value", [3, 0x100000, -16])
def test_wild_table_of_packed_relocations_is_an_error(
    tmp_path: Path, machine: int, tag: int, words: str, value: int
) -> None:
    data = make_elf(machine=machine, packed=[PLACE])
    changed = with_word(data, dynamic_entries(data)[tag][0], value)
    assert (words in problem(tmp_path, changed)) is not ((tag, value) == (35, 3)), "3 bytes have no word"


def test_hash_table_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    data = FILES["armv7hf-library.so"]
    place = Tables(data).offset_of(Tables(data).tags[0x6FFFFEF5])
    for offset, value in ((0, 5), (4, 7), (8, 3), (8, 0), (12, 40), (12, 0x7FFFFFF0)):
        assert "DT_GNU_HASH" in problem(tmp_path, with_word(data, place + offset, value)), offset


def test_loop_in_a_hash_table_is_an_error(tmp_path: Path) -> None:
    data = make_elf(exports=["one", "two", "three"])
    place = Tables(data).offset_of(Tables(data).tags[4])
    assert problem(tmp_path, data) == ""
    looping = with_word(with_word(with_word(data, place + 8, 1), place + 16, 2), place + 20, 1)
    assert "has no end" in problem(tmp_path, looping)
    assert "DT_HASH" in problem(tmp_path, with_word(data, place + 8, 99))


def test_versions_of_a_library_that_nothing_loads_are_an_error(tmp_path: Path) -> None:
    needs = {"libown.so.1": ["OWN_1"]}
    data = make_elf(needed=["libc.so.6"], needs=needs, imports=["f@OWN_1"])
    (tmp_path / "libx.so").write_bytes(data)
    report = audit_path(tmp_path / "libx.so", POLICIES["armv7hf"])
    assert any("libown.so.1, which it does not ask" in finding.needs for finding in report.errors), report.findings


def test_damaged_library_is_an_error_for_a_package_that_loads_it(tmp_path: Path) -> None:
    data = FILES["armv7hf-library.so"]
    wild = with_word(data, dynamic_entries(data)[6][0], 0x7FFFFFF0)
    program = make_elf(program=True, interpreter=trees.LOADER, needed=["libanswer.so.1"])
    for library, is_right in ((data, True), (wild, False)):
        files: dict[str, bytes | str] = {
            "app": program,
            "package.conf": b'APPNAME="app"\n',
            "lib/libanswer.so.1": library,
        }
        report = audit_path(trees.package(tmp_path / "app.eap", files), POLICIES["armv7hf"])
        assert (Kind.malformed not in {finding.kind for finding in report.errors}) is is_right
