"""Reading small real ELF files (made by tests/data/elf/make.sh), damaged ones, and other files."""

import io
from contextlib import suppress
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.abi.elf_maker import EM_AARCH64, EM_ARM, SOFT, make_elf

from incamera.elf import (
    Reference,
    clear_executable_stack,
    is_elf,
    parse_elf,
    parse_facts,
    parse_identity,
    parse_section,
    parse_symbols,
    read_elf,
    read_loading_parts,
    read_needed,
    read_symbols,
)
from incamera.elf.tables import Tables

DATA = Path(__file__).parents[1] / "data" / "elf"
FILES = {path.name: path.read_bytes() for path in DATA.iterdir() if path.name != "make.sh"}
IDENTITIES = {"armv7hf": ("EM_ARM", 32), "aarch64": ("EM_AARCH64", 64)}
GNU_STACK = 0x6474E551


@pytest.mark.parametrize("architecture", IDENTITIES)
def test_library_facts_are_read(architecture: str) -> None:
    facts = read_elf(DATA / f"{architecture}-library.so")
    assert (facts.machine, facts.bits) == IDENTITIES[architecture]
    assert parse_identity(FILES[f"{architecture}-library.so"][:52]) == IDENTITIES[architecture]
    assert facts.soname == "libanswer.so.1"
    assert facts.interpreter is None
    assert "libm.so.6" in facts.needed
    assert (facts.rpath, facts.runpath) == ((), ("$ORIGIN/lib", "/opt/lib"))
    assert not facts.is_program
    # pow got a new version in glibc 2.29; this was linked against 2.28.
    oldest = {"armv7hf": "GLIBC_2.4", "aarch64": "GLIBC_2.17"}[architecture]
    assert facts.needs["libm.so.6"] == (oldest,)
    assert facts.defines == ()
    assert read_needed(DATA / f"{architecture}-library.so") == facts.needed


@pytest.mark.parametrize("architecture", IDENTITIES)
def test_loading_parts_are_the_tables_and_the_writable_data(tmp_path: Path, architecture: str) -> None:
    data = FILES[f"{architecture}-library.so"]
    (_, tables), (begin, end) = read_loading_parts(DATA / f"{architecture}-library.so")
    assert 0 < data.index(b"libm.so.6") < tables < begin < end <= len(data)
    # In a library of one segment, code and data cannot be told apart.
    (tmp_path / "one.so").write_bytes(make_elf())
    assert read_loading_parts(tmp_path / "one.so") == ()


@pytest.mark.parametrize("architecture", IDENTITIES)
def test_defined_versions_are_read(architecture: str) -> None:
    facts = read_elf(DATA / f"{architecture}-versions.so")
    assert facts.defines == ("LIB_1.0", "LIB_2.0")
    assert facts.needed == ()
    assert facts.needs == {}


@pytest.mark.parametrize(
    ("name", "loader"),
    [("armv7hf-program", "/lib/ld-linux-armhf.so.3"), ("aarch64-program", "/lib/ld-linux-aarch64.so.1")],
)
def test_program_names_its_loader(name: str, loader: str) -> None:
    facts = read_elf(DATA / name)
    assert facts.interpreter == loader
    assert facts.soname is None
    assert "libc.so.6" in facts.needed
    assert facts.is_program


@pytest.mark.parametrize("architecture", IDENTITIES)
def test_symbols_carry_their_versions(architecture: str) -> None:
    library = read_symbols(DATA / f"{architecture}-library.so")
    oldest = {"armv7hf": "GLIBC_2.4", "aarch64": "GLIBC_2.17"}[architecture]
    assert Reference("pow", oldest) in library.imports
    assert {"answer", "answer@"} <= library.exports
    versions = read_symbols(DATA / f"{architecture}-versions.so").exports
    assert {"old", "old@LIB_1.0", "answer", "answer@LIB_2.0"} <= versions
    assert not {"old@", "answer@LIB_1.0"} & versions


def test_arm_build_attributes_are_read() -> None:
    attributes = read_elf(DATA / "armv7hf-library.so").attributes
    assert attributes is not None
    assert (attributes.cpu_arch, attributes.fp_arch, attributes.simd_arch, attributes.vfp_args) == (10, 3, 1, 1)
    assert read_elf(DATA / "aarch64-library.so").attributes is None


@pytest.mark.parametrize("machine", [EM_ARM, EM_AARCH64])
def test_every_audited_field_is_read(machine: int) -> None:
    facts = parse_elf(
        make_elf(
            machine=machine,
            flags=SOFT,
            needed=["liba.so.1", "libb.so.1"],
            needs={"liba.so.1": ["A_1", "A_2"], "libb.so.1": ["B_1"]},
            defines=["OWN_1"],
            rpath="/a:$ORIGIN",
            stack=7,
            text_relocations=True,
            alignment=65536,
        )
    )
    assert facts.flags == SOFT
    assert facts.needs == {"liba.so.1": ("A_1", "A_2"), "libb.so.1": ("B_1",)}
    assert facts.defines == ("OWN_1",)
    assert (facts.rpath, facts.runpath) == (("/a", "$ORIGIN"), ())
    assert facts.executable_stack is True
    assert facts.text_relocations
    assert [segment.alignment for segment in facts.segments] == [65536]
    kept = parse_facts(facts.to_json())
    assert (kept.needed, kept.needs, kept.defines) == (facts.needed, facts.needs, facts.defines)


def test_runpath_overrides_rpath() -> None:
    facts = parse_elf(make_elf(rpath="/old", runpath="/new"))
    assert (facts.rpath, facts.runpath) == ((), ("/new",))


def test_executable_stack_is_none_without_a_stack_header() -> None:
    assert parse_elf(make_elf(stack=None)).executable_stack is None
    assert parse_elf(make_elf(stack=6)).executable_stack is False


@pytest.mark.parametrize(
    ("options", "program"),
    [({}, False), ({"interpreter": "/lib/ld.so"}, False), ({"interpreter": "/lib/ld.so", "program": True}, True)],
)
def test_only_files_with_loader_and_debug_entry_are_programs(options: dict[str, object], program: bool) -> None:
    """Some libraries can be started, too, but count as libraries."""
    assert parse_elf(make_elf(**options)).is_program is program


@pytest.mark.parametrize(
    ("imports", "bits"),
    [
        (["time@G", "__time64@G"], None),
        (["__stat64_time64@G"], 64),
        (["localtime@G"], 32),
        (["puts@G"], None),
        ([], None),
    ],
)
def test_time_bits_follow_from_the_imported_glibc_functions(imports: list[str], bits: int | None) -> None:
    imports = [name.replace("@G", "@GLIBC_2.34") for name in imports]
    symbols = parse_symbols(make_elf(needed=["libc.so.6"], needs={"libc.so.6": ["GLIBC_2.34"]}, imports=imports))
    assert symbols.time_bits == bits


def test_only_files_with_the_elf_magic_are_elf_files(tmp_path: Path) -> None:
    text = tmp_path / "text"
    for content in (b"", b"\x7fEL", b"#!/bin/sh\n"):
        text.write_bytes(content)
        assert not is_elf(text)
        with pytest.raises(ValueError):
            read_elf(text)
        with pytest.raises(ValueError):
            read_needed(text)
        with pytest.raises(ValueError):
            clear_executable_stack(text)
    assert is_elf(DATA / "armv7hf-program")


@pytest.mark.parametrize("name", FILES)
def test_truncated_file_is_read_correctly_or_raises_value_error(name: str) -> None:
    data = FILES[name]
    for size in range(0, len(data), 7):
        try:
            facts = parse_elf(data[:size])
        except ValueError:
            continue
        assert (facts.machine, facts.bits) == IDENTITIES[name.partition("-")[0]]


@given(
    name=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), min_size=1, max_size=8),
)
@example(name="armv7hf-library.so", changes=[(28, 255), (29, 255), (30, 255), (31, 255)])
def test_damaged_file_raises_only_value_error(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(FILES[name])
    for place, value in changes:
        data[place % len(data)] = value
    for parse in (parse_elf, lambda data: parse_section(data, ".comment")):
        with suppress(ValueError):
            parse(bytes(data))


@pytest.mark.parametrize("name", FILES)
def test_sections_match_those_of_pyelftools(name: str) -> None:
    sections = list(ELFFile(io.BytesIO(FILES[name])).iter_sections())
    for section in sections:
        if section.name:
            wanted = b"" if section["sh_type"] == "SHT_NOBITS" else section.data()
            assert parse_section(FILES[name], section.name) == wanted, section.name
    assert parse_section(FILES[name], ".modinfo") is None


@pytest.mark.parametrize("name", FILES)
def test_clear_executable_stack_changes_only_that_flag(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    assert not clear_executable_stack(path)
    assert path.read_bytes() == FILES[name]

    asking = bytearray(FILES[name])
    is_64bit = name.startswith("aarch64")
    header = 56 if is_64bit else 32
    first = int.from_bytes(asking[32:40] if is_64bit else asking[28:32], "little")
    stack = next(
        place
        for place in range(first, first + 20 * header, header)
        if int.from_bytes(asking[place : place + 4], "little") == GNU_STACK
    )
    asking[stack + (4 if is_64bit else 24)] |= 1
    path.write_bytes(asking)
    assert clear_executable_stack(path)
    assert path.read_bytes() == FILES[name]
    assert not clear_executable_stack(path)


@pytest.mark.parametrize("architecture", IDENTITIES)
@pytest.mark.parametrize("has_sections", [True, False])
def test_imports_of_a_program_that_exports_nothing_are_read(architecture: str, has_sections: bool) -> None:
    """Some linkers write into its hash table that it begins at symbol 1, as if there were no others."""
    data = bytearray(FILES[f"{architecture}-program"])
    wanted = parse_symbols(bytes(data)).imports
    assert wanted
    tables = Tables(bytes(data))
    table = tables.offset_of(tables.tags[0x6FFFFEF5])
    data[table + 4 : table + 8] = (1).to_bytes(4, "little")
    if not has_sections:
        place = 40 if IDENTITIES[architecture][1] == 64 else 32
        data[place : place + 4] = bytes(4)
    assert parse_symbols(bytes(data)).imports == wanted
