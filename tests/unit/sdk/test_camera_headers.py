"""The tables of the camera's libraries, and the files that are made from them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from incamera.sdk.folder import write_sdk
from incamera.sdk.import_library import make_import_library
from incamera.sdk.make_headers import INCLUDE, render
from incamera.sdk.tables import BadTable, load_libraries, parse_library
from incamera.sdk.uses import find_used
from incamera.targets.architecture import Architecture

FUNCTIONS = Path(__file__).parents[2] / "data/camera_functions.txt"


def test_headers_are_those_of_the_tables() -> None:
    made = {path.relative_to(INCLUDE).as_posix(): path.read_text("utf-8") for path in INCLUDE.rglob("*.h")}
    assert made == render(), "run `python -m incamera.sdk.make_headers`"


def test_every_known_function_is_declared() -> None:
    library = ""
    missing = []
    for line in FUNCTIONS.read_text("utf-8").splitlines():
        if line.startswith("["):
            library = line.strip("[]")
        elif not line.startswith("#"):
            headers = load_libraries()[library].headers
            if not any(function.name == line for header in headers for function in header.functions):
                missing.append(line)
    assert not missing


def test_functions_say_since_when_the_camera_has_them() -> None:
    functions = {function.name: function for function in load_libraries()["vdo"].functions}
    assert functions["vdo_stream_nv12_new"].since == "12.8"
    assert functions["vdo_stream_nv12_new"].node == "VDOSTREAM_15.34"
    assert functions["vdo_map_new"].since == "9.80"
    text = render()["vdo-stream.h"]
    before = text.partition("vdo_stream_nv12_new(")[0]
    assert before.count("#if INCAMERA_AXIS_OS >= 1208\n") == before.count("#endif\n") - before.count("#ifdef") + 1


BASE: dict[str, Any] = {
    "title": "X",
    "soname": "libx.so.1",
    "since": "9.80",
    "pkg_config": ["x"],
    "source": "docs",
    "node_source": "docs",
    "nodes": ["X_1.0"],
    "sources": {"docs": "a page"},
}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ({"c": "int x"}, "no function is declared"),
        ({"c": "int x(void)", "source": "rumours"}, "x: .*no 'rumours'"),
        ({"c": "int x(void)", "node": "X_2.0"}, "x has the node X_2.0"),
        ({"c": "int x(void)", "since": "twelve"}, "'twelve' is no AXIS OS"),
        ({"c": "int x(void)", "sinec": "12.1"}, "x: .*sinec"),
    ],
)
def test_faulty_function_of_a_table_is_refused(function: Mapping[str, str], message: str) -> None:
    table = {**BASE, "headers": [{"name": "x.h", "about": "X.", "functions": [function]}]}
    with pytest.raises(BadTable, match=message):
        parse_library("x", table)


@pytest.mark.parametrize("architecture", Architecture)
def test_import_library_has_the_names_and_versions_of_the_cameras(architecture: Architecture) -> None:
    library = load_libraries()["vdo"]
    functions = {function.name: function.node for function in library.functions}
    data = make_import_library(library.soname, functions, library.nodes, architecture)
    elf = ELFFile(io.BytesIO(data))
    assert (elf["e_machine"], elf.elfclass) == (architecture.facts.elf_machine, architecture.facts.bits)
    dynamic: Any = elf.get_section_by_name(".dynamic")
    assert [tag.soname for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_SONAME"] == ["libvdostream.so.1"]
    definitions: Any = elf.get_section_by_name(".gnu.version_d")
    names = {entry.entry.vd_ndx: next(auxiliaries).name for entry, auxiliaries in definitions.iter_versions()}
    assert list(names.values()) == ["libvdostream.so.1", *library.nodes]
    symbols: Any = elf.get_section_by_name(".dynsym")
    versions: Any = elf.get_section_by_name(".gnu.version")
    exported = {
        symbol.name: "" if index.entry.ndx == "VER_NDX_GLOBAL" else names[index.entry.ndx]
        for symbol, index in zip(symbols.iter_symbols(), versions.iter_symbols(), strict=True)
        if symbol.name
    }
    assert exported == functions


def test_licence_programs_find_the_static_library_that_they_name(tmp_path: Path) -> None:
    write_sdk(tmp_path, Architecture.aarch64)
    assert (tmp_path / "lib/liblicensekey_stat.a").read_bytes() == b"!<arch>\n"


@pytest.mark.parametrize(
    ("files", "used"),
    [
        ({"src/a.c": "#include <vdo-stream.h>\n#include <larod.h>\n"}, {"vdo", "larod"}),
        ({"a.pyx": 'cdef extern from "axsdk/axevent.h" nogil:\n    pass\n'}, {"axevent"}),
        ({"build.py": "ffi.set_source('_x', '''#include <bbox.h>\n''')\n"}, {"bbox"}),
        ({"src/a.c": '#include "bbox.h"\n', "include/bbox.h": "struct box;\n"}, set()),
        ({"README.md": "#include <vdo-stream.h>"}, set()),
        ({"a.c": "#include <stdio.h>\n", "b.py": "import vdo\n"}, set()),
    ],
)
def test_libraries_are_known_by_the_headers_that_sources_include(
    tmp_path: Path, files: Mapping[str, str], used: set[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    assert {library.name for library in find_used(tmp_path, files)} == used


def test_the_page_lists_each_library_and_what_is_guessed() -> None:
    page = (FUNCTIONS.parents[2] / "docs/explanation/camera-libraries.md").read_text("utf-8")
    for library in load_libraries().values():
        headers = ", ".join(f"`{header.name}`" for header in library.headers)
        names = ", ".join(f"`{name}`" for name in library.pkg_config)
        assert f"| {library.title} | {headers} | `{library.soname}` | {names} | {library.since} |" in page
        for guess in library.guessed:
            assert guess in page
