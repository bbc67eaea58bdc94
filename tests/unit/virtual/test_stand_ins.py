"""The stand-ins of the camera's libraries: names, symbol versions, and what an older AXIS OS lacks."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from incamera.sdk.tables import axis_os_number, load_libraries
from incamera.virtual.stand_ins import build

VDO = load_libraries()["vdo"]


def exported(path: Path) -> tuple[str, dict[str, set[str]]]:
    """Return the soname, and the symbol versions of each function."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        dynamic: Any = elf.get_section_by_name(".dynamic")
        [soname] = [tag.soname for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_SONAME"]
        definitions: Any = elf.get_section_by_name(".gnu.version_d")
        names = {version.entry.vd_ndx: next(auxiliary).name for version, auxiliary in definitions.iter_versions()}
        symbols: Any = elf.get_section_by_name(".dynsym")
        indexes: Any = elf.get_section_by_name(".gnu.version")
        found = defaultdict(set)
        for symbol, index in zip(symbols.iter_symbols(), indexes.iter_symbols(), strict=True):
            if symbol.entry.st_shndx != "SHN_UNDEF" and symbol.entry.st_info.type == "STT_FUNC":
                ndx = index.entry.ndx
                found[symbol.name].add(names[ndx & 0x7FFF] if isinstance(ndx, int) else ndx)
    return soname, dict(found)


@pytest.mark.parametrize(
    ("architecture", "version"), [(name, version) for name, versions in build.VERSIONS.items() for version in versions]
)
def test_each_function_has_the_symbol_versions_that_programs_ask_for(architecture: str, version: str) -> None:
    soname, found = exported(build.HERE / "bin" / architecture / version / "libvdostream.so.1")
    assert soname == VDO.soname
    functions = [
        function
        for function in VDO.functions
        if axis_os_number(function.since) <= axis_os_number(version) and function.name not in build.LEFT_OUT
    ]
    nodes = {function.node for function in functions if function.node}
    assert found == {function.name: {function.node} if function.node else nodes for function in functions}


def test_older_camera_lacks_what_is_newer() -> None:
    older, newer = (
        exported(build.HERE / f"bin/x86_64/{version}/libvdostream.so.1")[1] for version in ("10.12", "12.11")
    )
    assert {"vdo_channel_get_ex", "vdo_stream_nv12_new"} <= set(newer) - set(older)
    assert "VDOSTREAM_15.34" not in set.union(*older.values())
