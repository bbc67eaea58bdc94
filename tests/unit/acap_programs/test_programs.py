"""C programs written from the facts only, with incamera's headers and over the stand-ins."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.acap_video.conftest import NEWEST, STAND_INS

from incamera.sdk.headers import render_headers
from incamera.sdk.tables import load_libraries
from incamera.virtual.stand_ins import build

pytestmark = [
    pytest.mark.starts_processes,
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler called cc"),
]
HERE = Path(__file__).parent
LIBRARIES = ("bbox", "licensekey", "axstorage", "axoverlay", "axoverlay2", "axevent", "axparameter", "mdb", "datahub")
CAIRO = ctypes.util.find_library("cairo") is not None
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1")
NOT_WITH_SANITIZERS = {"-s", "-fno-sanitize=all", "-O2", "-Wl,--no-undefined"}


def arguments(name: str, folder: Path) -> list[Path]:
    """Write what the program *name* needs, and return its arguments."""
    if name == "licensekey":
        lines = ["application_id = 12345", "min_version = 1.0", "max_version = 2.0", "expires = 2999-12-31"]
        (folder / "counter.key").write_text("\n".join([*lines, "signature = incamera"]), "utf-8")
        return [folder]
    if name == "axstorage":
        (folder / "SD_DISK").mkdir()
        return [folder / ".SD_DISK"]
    if name == "axparameter":
        (folder / ".system").write_text('Properties.System.SerialNumber="ACCC8E000000"\n', "utf-8")
    return []


def glib(name: str) -> list[str]:
    return ["-l:libgobject-2.0.so.0", "-l:libglib-2.0.so.0"] if load_libraries()[name].needs_glib else []


def run(name: str, library: Path, folder: Path, *flags: str, under: Sequence[str] = ()) -> None:
    """Compile the program with *flags*, and let it run over *library*. *under*: words before its own."""
    include, data, program = folder / "include", folder / "data", folder / "program"
    data.mkdir()
    for header, text in render_headers(load_libraries()[name]).items():
        (include / header).parent.mkdir(parents=True, exist_ok=True)
        (include / header).write_text(text, "utf-8")
    words = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I", str(include), "-I", str(build.HERE / "glib"), *flags]
    cairo = ["-l:libcairo.so.2"] if name == "axoverlay" else []
    libraries = [str(library), *glib(name), *cairo, "-lm", "-lpthread"]
    subprocess.run(["cc", *words, str(HERE / f"{name}.c"), *libraries, "-o", str(program)], check=True)
    environment = os.environ | {
        "LD_LIBRARY_PATH": str(library.parent),
        "INCAMERA_LICENSE_KEYS": str(data),
        "INCAMERA_STORAGE": str(data),
        "INCAMERA_EVENTS": str(data / "events"),
        "INCAMERA_PARAMETERS": str(data),
        "INCAMERA_MESSAGES": str(data / "messages"),
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    words = [*under, str(program), *map(str, arguments(name, data))]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-6000:]


CASES = [
    pytest.param(name, marks=pytest.mark.skipif(not CAIRO, reason="needs cairo")) if name == "axoverlay" else name
    for name in LIBRARIES
]


@pytest.mark.parametrize("name", CASES)
def test_program_runs_over_the_stand_in(name: str, tmp_path: Path) -> None:
    run(name, STAND_INS / NEWEST / load_libraries()[name].soname, tmp_path)


@pytest.mark.matrix
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")
@pytest.mark.parametrize("name", CASES)
def test_valgrind_finds_no_fault(name: str, tmp_path: Path) -> None:
    """Neither a wrong access nor a definite leak."""
    words = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"]
    run(name, STAND_INS / NEWEST / load_libraries()[name].soname, tmp_path, "-g", under=words)


@pytest.mark.matrix
@pytest.mark.parametrize("name", CASES)
def test_sanitizers_find_no_fault(name: str, tmp_path: Path) -> None:
    work = tmp_path / "sources"
    soname = build.write_sources(name, NEWEST, work)
    library = tmp_path / soname
    flags = [flag for flag in (*build.FLAGS, *build.LIBRARY_FLAGS) if flag not in NOT_WITH_SANITIZERS]
    words = [*flags, *SANITIZE, *build.defines(NEWEST), "-I", str(build.HERE / "glib"), "-I", "."]
    words += [f"-Wl,-soname,{soname}", "-Wl,--version-script=versions.map", "-o", str(library), *build.units(work)]
    libraries = [*glib(name), *(word for word in build.IMITATED[name].uses if word.startswith("-l"))]
    subprocess.run(["cc", *words, *libraries], cwd=work, check=True)
    run(name, library, tmp_path, *SANITIZE)
