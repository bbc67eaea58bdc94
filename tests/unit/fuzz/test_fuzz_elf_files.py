"""Reading any ELF file, and following its tables as a loader does, gives facts or a ValueError, in bounded time.

Each target has few examples each time, and many in `make test-all`. The seed is fixed.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.abi.elf_maker import EM_AARCH64, EM_ARM, make_elf
from tests.unit.abi.mutation import changes, damage_bytes, sensitive_offsets

from incamera.elf.file import parse_elf, parse_symbols, read_loadable

DATA = Path(__file__).parents[2] / "data" / "elf"
FILES = {path.name: path.read_bytes() for path in sorted(DATA.iterdir()) if path.suffix != ".sh"}
OFFSETS = {name: sensitive_offsets(data) for name, data in FILES.items()}
texts = st.sampled_from(["", "libc.so.6", "x" * 300, "ünï", "GLIBC_2.4"])


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(sorted(FILES)))
    return damage_bytes(FILES[name], draw(changes(OFFSETS[name])))


@st.composite
def invented_files(draw: st.DrawFn) -> bytes:
    several = st.lists(texts, max_size=3)
    whole = make_elf(
        machine=draw(st.sampled_from([EM_ARM, EM_AARCH64])),
        needed=draw(several),
        needs=draw(st.dictionaries(texts, several, max_size=2)),
        defines=draw(several),
        imports=draw(several),
        exports=draw(several),
        runpath=draw(texts),
        program=draw(st.booleans()),
        interpreter=draw(texts),
    )
    return damage_bytes(whole, draw(changes(sensitive_offsets(whole))))


def check(data: bytes) -> None:
    began = time.process_time()
    for parse in (parse_elf, parse_symbols):
        try:
            parse(data)
        except ValueError:
            continue
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "libfuzz.so"
        path.write_bytes(data)
        try:
            facts, problem = read_loadable(path)
        except ValueError:
            return
        finally:
            assert time.process_time() - began < 10
    assert facts.bits in (32, 64)
    assert len(problem) < 500


TARGETS = {"damaged": damaged_files(), "invented": invented_files()}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("times", [1, pytest.param(40, marks=pytest.mark.matrix)])
def test_elf_file_gives_facts_or_a_value_error(target: str, times: int) -> None:
    fixed = settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=30 * times,
        suppress_health_check=list(HealthCheck),
    )
    fixed(given(TARGETS[target])(check))()
