"""The stand-in under AddressSanitizer and UBSan, in a C program that uses each part of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from incamera.sdk.headers import render_headers
from incamera.sdk.tables import load_libraries
from incamera.virtual.stand_ins import build

from .conftest import NEWEST

pytestmark = [pytest.mark.matrix, pytest.mark.starts_processes]
HERE = Path(__file__).parent
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1")
NOT_WITH_SANITIZERS = {"-s", "-fno-sanitize=all", "-O2", "-Wl,--no-undefined"}


def compile_stand_in(folder: Path, version: str) -> Path:
    """Return the library of AXIS OS *version*, with sanitizers."""
    work, library = folder / f"sources-{version}", folder / version / "libvdostream.so.1"
    work.mkdir()
    library.parent.mkdir()
    soname = build.write_sources("vdo", version, work)
    words = [*build.defines(version), "-I", str(build.HERE / "glib"), "-I", ".", f"-Wl,-soname,{soname}"]
    flags = [flag for flag in (*build.FLAGS, *build.LIBRARY_FLAGS) if flag not in NOT_WITH_SANITIZERS]
    glib = ["-l:libgobject-2.0.so.0", "-l:libglib-2.0.so.0"]
    subprocess.run(
        [
            "cc",
            *flags,
            *SANITIZE,
            *words,
            "-Wl,--version-script=versions.map",
            "-o",
            str(library),
            *build.units(work),
            *glib,
        ],
        cwd=work,
        check=True,
    )
    return library


def test_program_in_c_finds_no_fault(tmp_path: Path) -> None:
    library = compile_stand_in(tmp_path, NEWEST)
    for name, text in render_headers(load_libraries()["vdo"]).items():
        (tmp_path / name).write_text(text, "utf-8")
    program = tmp_path / "program"
    flags = [*SANITIZE, "-Wall", "-Wextra", "-Werror", "-I", str(build.HERE / "glib"), "-I", str(tmp_path)]
    glib = ["-l:libgobject-2.0.so.0", "-l:libglib-2.0.so.0"]
    subprocess.run(["cc", *flags, str(HERE / "all_of_vdo.c"), str(library), *glib, "-o", str(program)], check=True)
    environment = os.environ | {
        "LD_LIBRARY_PATH": str(library.parent),
        "INCAMERA_VDO_CHUNKS": "3",
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    done = subprocess.run([str(program)], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-6000:]
