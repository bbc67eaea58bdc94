"""The ELF files in a wheel, as pyelftools reads them: a second opinion beside our own reader's."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple


class Module(NamedTuple):
    machine: str
    flags: int
    needed: tuple[str, ...]
    run_paths: tuple[str, ...]


def read_modules(wheel: Path) -> dict[str, Module]:
    """Return the ELF files in *wheel* by their names there."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return {name: read_module(data) for name, data in files.items() if data.startswith(b"\x7fELF")}


def read_module(data: bytes) -> Module:
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(data))
    dynamic: Any = elf.get_section_by_name(".dynamic")
    tags = list(dynamic.iter_tags())
    return Module(
        elf["e_machine"],
        elf["e_flags"],
        needed=tuple(tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"),
        run_paths=tuple(str(tag.entry.d_val) for tag in tags if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH")),
    )
