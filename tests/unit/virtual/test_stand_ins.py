"""The stand-ins of the camera's libraries: names, symbol versions, and what an older AXIS OS lacks."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from incamera.sdk.tables import axis_os_number, load_libraries
from incamera.targets.architecture import Architecture
from incamera.virtual.stand_ins import build, second_names, stand_ins


def exported(path: Path) -> tuple[str, dict[str, set[str]]]:
    """Return the soname, and the symbol versions of each function."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        dynamic: Any = elf.get_section_by_name(".dynamic")
        [soname] = [tag.soname for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_SONAME"]
        definitions: Any = elf.get_section_by_name(".gnu.version_d")
        versions = definitions.iter_versions() if definitions else []
        names = {version.entry.vd_ndx: next(auxiliary).name for version, auxiliary in versions}
        symbols: Any = elf.get_section_by_name(".dynsym")
        indexes: Any = elf.get_section_by_name(".gnu.version")
        found = defaultdict(set)
        for symbol, index in zip(symbols.iter_symbols(), indexes.iter_symbols(), strict=True):
            if symbol.entry.st_shndx != "SHN_UNDEF" and symbol.entry.st_info.type == "STT_FUNC":
                ndx = index.entry.ndx
                found[symbol.name].add(names[ndx & 0x7FFF] if isinstance(ndx, int) else ndx)
                found[symbol.name].discard("VER_NDX_GLOBAL")
    return soname, dict(found)


@pytest.mark.parametrize(
    ("name", "architecture", "version"),
    [
        (name, architecture, version)
        for name in build.IMITATED
        for architecture in build.VERSIONS
        for version in build.versions(name, architecture)
    ],
)
def test_each_function_has_the_symbol_versions_that_programs_ask_for(
    architecture: str, version: str, name: str
) -> None:
    library = load_libraries()[name]
    soname, found = exported(build.HERE / "bin" / architecture / version / library.soname)
    assert soname == library.soname
    nodes_of = {
        function.name: function.node
        for function in library.functions
        if axis_os_number(function.since) <= axis_os_number(version) and function.name not in build.LEFT_OUT
    } | dict(build.IMITATED[name].older)
    nodes = {node for node in nodes_of.values() if node}
    for own in build.IMITATED[name].own:
        del found[own]
    assert found == {function: {node} if node else nodes for function, node in nodes_of.items()}


def test_programs_of_larods_first_generations_find_their_functions() -> None:
    """The names and symbol versions that packages made with SDK 3.5 ask for."""
    _, found = exported(build.HERE / "bin/armv7hf/10.12/liblarod.so.1")
    assert "LIBLAROD_1.0.0" in found["larodRunInference"] & found["larodSetChip"] & found["larodConnect"]
    assert "LIBLAROD_2.0.0" in found["larodLoadModel_API_VERSION_1"] & found["larodDestroyJobRequest"]
    assert "LIBLAROD_3.0.0" in found["larodDestroyTensors_API_VERSION_1"]


def test_axis_os_13_has_no_message_broker_and_long_times() -> None:
    for architecture in ("armv7hf", "aarch64"):
        names = {
            version: {path.name for path in stand_ins(Architecture(architecture), version)}
            for version in ("12.11.77", "13.0.33")
        }
        assert names["12.11.77"] - names["13.0.33"] == {"libmdb.so.0"}
        assert {"libaxoverlay2.so.1", "libdevice-data-hub-client-c.so.1"} <= names["13.0.33"]
    folder = build.HERE / "bin/armv7hf"
    assert b"__clock_gettime64\0" not in (folder / "12.11/libvdostream.so.1").read_bytes()
    assert b"__clock_gettime64\0" in (folder / "13.0/libvdostream.so.1").read_bytes()


def test_video_library_has_a_second_name_from_axis_os_12_on() -> None:
    assert second_names("11.11.192") == {}
    assert second_names("12.11.77") == second_names("13.0.33") == {"libvdo.so.1": "libvdostream.so.1"}


def test_older_camera_lacks_what_is_newer() -> None:
    older, newer = (
        exported(build.HERE / f"bin/x86_64/{version}/libvdostream.so.1")[1] for version in ("10.12", "12.11")
    )
    assert {"vdo_channel_get_ex", "vdo_stream_nv12_new"} <= set(newer) - set(older)
    assert "VDOSTREAM_15.34" not in set.union(*older.values())
    older, newer = (exported(build.HERE / f"bin/x86_64/{version}/liblarod.so.1")[1] for version in ("10.12", "12.11"))
    assert {"larodBuildTensorDims", "larodConvertVmemFdToDmabuf"} <= set(newer) - set(older)
