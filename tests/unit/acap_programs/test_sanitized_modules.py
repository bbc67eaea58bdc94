"""The tests of the smaller modules, with bindings and stand-ins that have AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.acap_video.conftest import ROOT

from incamera.virtual.stand_ins import build

from .test_programs import NOT_WITH_SANITIZERS, SANITIZE, glib

pytestmark = [pytest.mark.matrix, pytest.mark.starts_processes]
FOLDERS = ("events", "parameters", "storage", "license", "bbox", "overlay", "messages")


def compile_stand_in(name: str, version: str, work: Path, folder: Path) -> None:
    """Write the library *name* of *version* with sanitizers into *folder*."""
    soname = build.write_sources(name, version, work)
    flags = [flag for flag in (*build.FLAGS, *build.LIBRARY_FLAGS) if flag not in NOT_WITH_SANITIZERS]
    words = [*flags, *SANITIZE, *build.defines(version), "-I", str(build.HERE / "glib"), "-I", "."]
    words += [
        f"-Wl,-soname,{soname}",
        "-Wl,--version-script=versions.map",
        "-o",
        str(folder / soname),
        *build.units(work),
    ]
    libraries = [*glib(name), *(word for word in build.IMITATED[name].uses if word.startswith("-l"))]
    subprocess.run(["cc", *words, *libraries], cwd=work, check=True)


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which tests use bindings and stand-ins with sanitizers."""
    folder, work = tmp_path_factory.mktemp("sanitized"), tmp_path_factory.mktemp("sources")
    for name in build.IMITATED:
        for version in build.versions(name, platform.machine()):
            (folder / version).mkdir(exist_ok=True)
            compile_stand_in(name, version, work / name / version, folder / version)
    runtimes = [
        subprocess.run(["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    return os.environ | {
        "ACAP_TEST_STAND_INS": str(folder),
        "ACAP_TEST_CFLAGS": " ".join(["-Wall", *SANITIZE]),
        "LDFLAGS": "-fsanitize=address,undefined",
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_sanitizers_find_no_fault(sanitized: dict[str, str], folder: str) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", f"tests/unit/acap_{folder}"]
    done = subprocess.run(words, cwd=ROOT, env=sanitized, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    assert "needs GLib" not in done.stdout, "the libraries could not be loaded"
