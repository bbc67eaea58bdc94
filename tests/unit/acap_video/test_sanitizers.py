"""The stand-in and the extension module under AddressSanitizer and UBSan: all tests of this folder, and a C program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from incamera.sdk.headers import render_headers
from incamera.sdk.tables import load_libraries
from incamera.virtual.stand_ins import build

from .conftest import NEWEST, OLDEST, ROOT

pytestmark = [pytest.mark.matrix, pytest.mark.starts_processes]
HERE = Path(__file__).parent
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1")
NOT_WITH_SANITIZERS = {"-s", "-fno-sanitize=all", "-O2", "-Wl,--no-undefined"}


def compile_stand_in(folder: Path, version: str) -> Path:
    """Return the library of AXIS OS *version*, with sanitizers."""
    work, library = folder / f"sources-{version}", folder / version / "libvdostream.so.1"
    work.mkdir()
    library.parent.mkdir()
    words = build.write_sources(work, version)
    flags = [flag for flag in build.FLAGS if flag not in NOT_WITH_SANITIZERS]
    glib = ["-l:libgobject-2.0.so.0", "-l:libglib-2.0.so.0"]
    subprocess.run(["cc", *flags, *SANITIZE, *words, "-o", str(library), "library.c", *glib], cwd=work, check=True)
    return library


def runtime_library(name: str) -> str:
    return subprocess.run(["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()


def test_no_test_of_video_finds_a_fault(tmp_path: Path) -> None:
    for version in (OLDEST, NEWEST):
        compile_stand_in(tmp_path, version)
    environment = os.environ | {
        "LD_PRELOAD": f"{runtime_library('libasan.so')} {runtime_library('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",  # Python keeps what it has until its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "ACAP_TEST_STAND_INS": str(tmp_path),
        "ACAP_TEST_CFLAGS": " ".join(SANITIZE),
        "PYTHONMALLOC": "malloc",
    }
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]


def test_program_in_c_leaves_nothing_behind(tmp_path: Path) -> None:
    library = compile_stand_in(tmp_path, NEWEST)
    for name, text in render_headers(load_libraries()["vdo"]).items():
        (tmp_path / name).write_text(text, "utf-8")
    program = tmp_path / "program"
    flags = [*SANITIZE, "-Wall", "-Wextra", "-Werror", "-I", str(build.HERE / "glib"), "-I", str(tmp_path)]
    glib = ["-l:libgobject-2.0.so.0", "-l:libglib-2.0.so.0"]
    subprocess.run(["cc", *flags, str(HERE / "all_of_vdo.c"), str(library), *glib, "-o", str(program)], check=True)
    environment = os.environ | {"LD_LIBRARY_PATH": str(library.parent), "INCAMERA_VDO_CHUNKS": "3"}
    done = subprocess.run([str(program)], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-6000:]
