"""Damaged ELF files: what reads them says so with a ValueError, never with another traceback."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.abi.mutation import Change, changes, harmed, tender_places

from incamera.elf import clear_executable_stack, parse_elf, parse_symbols, read_elf, read_needed, read_symbols

DATA = Path(__file__).parents[2] / "data" / "elf"
FILES = {path.name: path.read_bytes() for path in sorted(DATA.iterdir()) if path.name != "make.sh"}
PLACES = {name: tender_places(data) for name, data in FILES.items()}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(sorted(FILES)))
    harm: list[Change] = draw(changes(PLACES[name]))
    return harmed(FILES[name], harm)


@settings(max_examples=150, deadline=None)
@given(data=damaged())
def test_reading_a_damaged_file_raises_nothing_but_value_error(data: bytes) -> None:
    for parse in (parse_elf, parse_symbols):
        try:
            parse(data)
        except ValueError:
            continue


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=damaged())
def test_reading_it_from_a_file_is_no_different(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "libdamaged.so"
    path.write_bytes(data)
    for read in (read_elf, read_symbols, read_needed, clear_executable_stack):
        try:
            read(path)
        except ValueError:
            continue


@pytest.mark.parametrize("name", FILES)
def test_every_single_damage_of_what_hurts_is_survived(name: str) -> None:
    """Each number that others hang on, set to each of a few extremes in turn: all of it, no samples."""
    data = FILES[name]
    chance = random.Random(name)
    places = sorted(chance.sample(PLACES[name], min(300, len(PLACES[name]))))
    for place in places:
        for value in (0, 0x80000000, 0xFFFFFFFF):
            changed = bytearray(data)
            changed[place : place + 4] = value.to_bytes(4, "little")[: len(data) - place]
            for parse in (parse_elf, parse_symbols):
                try:
                    parse(bytes(changed))
                except ValueError:
                    continue


@pytest.mark.parametrize("name", FILES)
def test_every_cut_is_survived(name: str) -> None:
    data = FILES[name]
    for size in range(len(data)):
        try:
            parse_symbols(data[:size])
            parse_elf(data[:size])
        except ValueError:
            continue


def test_what_no_loader_reads_is_no_damage() -> None:
    """Each of these loads all the same; found by changing files at random and loading them in a camera."""
    whole = FILES["armv7hf-library.so"]
    sound = parse_elf(whole)
    attributes = whole.index(b"aeabi\0") - 5
    assert whole[attributes : attributes + 1] == b"A"
    changed = parse_elf(whole[:attributes] + b"?" + whole[attributes + 1 :])
    assert changed.attributes is None
    assert changed.needed == sound.needed
    dynamic = next(place for place in range(52, 52 + 20 * 32, 32) if whole[place : place + 4] == b"\2\0\0\0")
    shorter = bytearray(whole)
    shorter[dynamic + 16 : dynamic + 20] = bytes(4)
    assert parse_elf(bytes(shorter)).needed == sound.needed
    assert "answ\\xe9r" in parse_symbols(whole.replace(b"answer\0", b"answ\xe9r\0")).exports


def test_a_dynamic_section_at_address_zero_is_none() -> None:
    whole = bytearray(FILES["armv7hf-library.so"])
    dynamic = next(place for place in range(52, 52 + 20 * 32, 32) if whole[place : place + 4] == b"\2\0\0\0")
    whole[dynamic + 8 : dynamic + 12] = bytes(4)
    assert not parse_elf(bytes(whole)).dynamic
