"""The program that reseeds the kernel's random numbers. tests/integration/test_virtual.py runs it in a camera."""

from __future__ import annotations

import io

import pytest
from elftools.elf.elffile import ELFFile

from incamera.targets.architecture import Architecture
from incamera.virtual.reseed import reseed_program


@pytest.mark.parametrize("architecture", Architecture)
def test_program_is_an_executable_of_seven_instructions(architecture: Architecture) -> None:
    data = reseed_program(architecture)
    elf = ELFFile(io.BytesIO(data))
    assert elf.header.e_type == "ET_EXEC"
    assert elf.header.e_machine == architecture.facts.elf_machine
    assert elf.elfclass == architecture.facts.bits
    load, stack = elf.iter_segments()
    assert load.header.p_filesz == len(data)
    code = elf.header.e_entry - load.header.p_vaddr
    assert len(data) - code == 7 * 4
    assert not stack.header.p_flags & 1
