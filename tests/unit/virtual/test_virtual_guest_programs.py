"""The tiny programs in the camera. tests/integration/test_virtual.py runs them in one."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from elftools.elf.elffile import ELFFile

from incamera.targets.architecture import Architecture
from incamera.virtual.guest_programs import clock_program, reseed_program


@pytest.mark.parametrize(("make", "instructions"), [(clock_program, 12), (reseed_program, 7)])
@pytest.mark.parametrize("architecture", Architecture)
def test_program_is_an_executable_of_few_instructions(
    architecture: Architecture, make: Callable[[Architecture], bytes], instructions: int
) -> None:
    data = make(architecture)
    elf = ELFFile(io.BytesIO(data))
    assert elf.header.e_type == "ET_EXEC"
    assert elf.header.e_machine == architecture.facts.elf_machine
    assert elf.elfclass == architecture.facts.bits
    load, stack = elf.iter_segments()
    assert load.header.p_filesz == len(data)
    code = elf.header.e_entry - load.header.p_vaddr
    assert len(data) - code == instructions * 4
    assert not stack.header.p_flags & 1
