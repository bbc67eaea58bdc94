"""The service with AddressSanitizer and UBSan: its own tests, and those of the modules whose libraries use it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.acap_programs.test_programs import NOT_WITH_SANITIZERS, SANITIZE

from incamera.virtual.stand_ins import SERVICE, build

from .conftest import Service

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.starts_processes,
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler called cc"),
]
# What an environment variable of the app asks for, and the service does where there is no other process only.
ALONE = "rebuilt or come_back or restart_reaches"


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of the service."""
    work = tmp_path_factory.mktemp("sources")
    build.write_service(work)
    flags = [flag for flag in build.FLAGS if flag not in NOT_WITH_SANITIZERS]
    words = [*flags, *SANITIZE, *build.defines("12.11"), "-I", str(build.HERE / "glib"), "-I", "."]
    subprocess.run(["cc", *words, "-o", SERVICE, *build.units(work), "-lm", "-lpthread"], cwd=work, check=True)
    return work / SERVICE


def run_tests(*words: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *words],
        cwd=build.HERE.parents[3],
        env=os.environ | {"ASAN_OPTIONS": "quarantine_size_mb=1"} | environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]


def test_sanitizers_find_no_fault(sanitized: Path) -> None:
    run_tests("tests/unit/camera_service", INCAMERA_TEST_SERVICE=str(sanitized))


def test_modules_find_in_the_service_what_a_library_alone_has(
    sanitized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")
    service = Service(tmp_path, str(sanitized))
    try:
        folders = [f"tests/unit/acap_{name}" for name in ("video", "bbox", "overlay")]
        run_tests(*folders, "-k", f"not ({ALONE})", INCAMERA_CAMERA_SERVICE=str(service.path))
        assert service.process.poll() is None
    finally:
        service.kill()
