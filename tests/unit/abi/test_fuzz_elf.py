"""Reading damaged ELF files raises ValueError, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.abi.mutation import Change, changes, damage_bytes, sensitive_offsets

from incamera.elf import clear_executable_stack, parse_elf, parse_symbols, read_elf, read_needed, read_symbols

DATA = Path(__file__).parents[2] / "data" / "elf"
FILES = {path.name: path.read_bytes() for path in sorted(DATA.iterdir()) if path.name != "make.sh"}
OFFSETS = {name: sensitive_offsets(data) for name, data in FILES.items()}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(sorted(FILES)))
    damage: list[Change] = draw(changes(OFFSETS[name]))
    return damage_bytes(FILES[name], damage)


@settings(max_examples=150, deadline=None)
@given(data=damaged())
def test_parsing_a_damaged_file_raises_only_value_error(data: bytes) -> None:
    for parse in (parse_elf, parse_symbols):
        try:
            parse(data)
        except ValueError:
            continue


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=damaged())
def test_reading_a_damaged_file_from_disk_raises_only_value_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "libdamaged.so"
    path.write_bytes(data)
    for read in (read_elf, read_symbols, read_needed, clear_executable_stack):
        try:
            read(path)
        except ValueError:
            continue


@pytest.mark.parametrize("name", FILES)
def test_extreme_values_in_the_tables_raise_only_value_error(name: str) -> None:
    """300 of the sensitive offsets, each set to each of three extreme values in turn."""
    data = FILES[name]
    chance = random.Random(name)
    offsets = sorted(chance.sample(OFFSETS[name], min(300, len(OFFSETS[name]))))
    for offset in offsets:
        for value in (0, 0x80000000, 0xFFFFFFFF):
            changed = bytearray(data)
            changed[offset : offset + 4] = value.to_bytes(4, "little")[: len(data) - offset]
            for parse in (parse_elf, parse_symbols):
                try:
                    parse(bytes(changed))
                except ValueError:
                    continue


@pytest.mark.parametrize("name", FILES)
def test_truncation_at_every_byte_raises_only_value_error(name: str) -> None:
    data = FILES[name]
    for size in range(len(data)):
        try:
            parse_symbols(data[:size])
            parse_elf(data[:size])
        except ValueError:
            continue


def test_damage_in_parts_that_no_loader_reads_is_ignored() -> None:
    """A camera's loader loads each of these files, as random changes have shown."""
    whole = FILES["armv7hf-library.so"]
    sound = parse_elf(whole)
    attributes = whole.index(b"aeabi\0") - 5
    assert whole[attributes : attributes + 1] == b"A"
    changed = parse_elf(whole[:attributes] + b"?" + whole[attributes + 1 :])
    assert changed.attributes is None
    assert changed.needed == sound.needed
    dynamic = next(offset for offset in range(52, 52 + 20 * 32, 32) if whole[offset : offset + 4] == b"\2\0\0\0")
    shorter = bytearray(whole)
    shorter[dynamic + 16 : dynamic + 20] = bytes(4)
    assert parse_elf(bytes(shorter)).needed == sound.needed
    assert "answ\\xe9r" in parse_symbols(whole.replace(b"answer\0", b"answ\xe9r\0")).exports


def test_dynamic_section_at_address_zero_is_ignored() -> None:
    whole = bytearray(FILES["armv7hf-library.so"])
    dynamic = next(offset for offset in range(52, 52 + 20 * 32, 32) if whole[offset : offset + 4] == b"\2\0\0\0")
    whole[dynamic + 8 : dynamic + 12] = bytes(4)
    assert not parse_elf(bytes(whole)).dynamic
