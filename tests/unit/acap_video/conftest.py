"""Builds the extension module of packages/acap for this computer, and loads the stand-in of the video library."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "packages/acap"
BUILT = ROOT / ".incamera/acap"
# test_sanitizers.py runs these tests with libraries and modules of its own.
COMMITTED = ROOT / "src/incamera/virtual/stand_ins/bin" / platform.machine()
STAND_INS = Path(os.environ.get("ACAP_TEST_STAND_INS") or COMMITTED)
CFLAGS = os.environ.get("ACAP_TEST_CFLAGS", "-O1 -g0 -Wall -Werror=implicit-function-declaration")
OLDEST, *_, NEWEST = sorted(path.name for path in STAND_INS.iterdir())

sys.path.insert(0, str(PACKAGE / "src"))


def stand_in(version: str = NEWEST) -> Path:
    return STAND_INS / version / "libvdostream.so.1"


@pytest.fixture(scope="session")
def built_module() -> Path:
    """The folder with the extension module. It is built again only when its sources have changed."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler called cc")
    patterns = ("*.pyx", "*.pxd", "*.h")  # what the extension modules are made of
    sources = [path for pattern in patterns for path in (PACKAGE / "src/acap").glob(pattern)] + [PACKAGE / "setup.py"]
    digest = hashlib.sha256(f"{sys.version} {sys.prefix} {CFLAGS}".encode())
    for path in sorted(sources):
        digest.update(path.read_bytes())
    folder = BUILT / digest.hexdigest()[:16]
    BUILT.mkdir(parents=True, exist_ok=True)
    with FileLock(BUILT / "lock"):
        if not folder.exists():
            build(folder)
    return folder / "acap"


def build(folder: Path) -> None:
    """Build a copy of the package into *folder*."""
    work = folder.with_suffix(".work")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(PACKAGE, work, ignore=shutil.ignore_patterns("*.c", "*.so", "build"))
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "lib", "--build-temp", "temp"],
        cwd=work,
        env=os.environ | {"CFLAGS": CFLAGS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list((work / "src").rglob("*.c")), "the C that Cython writes belongs into the build folder"
    (work / "lib").rename(folder)
    shutil.rmtree(work)


@pytest.fixture(scope="session")
def video(built_module: Path) -> None:
    """`acap.video`, over the newest stand-in, whose scene began at the time 0."""
    import acap

    os.environ["INCAMERA_SCENE_BEGIN"] = "0"
    try:
        ctypes.CDLL(str(stand_in()))
    except OSError as error:
        pytest.skip(f"needs GLib: {error}")
    acap.__path__.append(str(built_module))


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test asks of the stand-in is gone with it."""
    for name in [name for name in os.environ if name.startswith("INCAMERA_VDO_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("ACAP_VIDEO", raising=False)


@pytest.fixture
def camera_setting(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, object], None]:
    """Sets what the stand-in does, by the name of its environment variable."""

    def set_to(name: str, value: object) -> None:
        if name == "DOWN_FOR" and value:
            end_outage(monkeypatch)
        monkeypatch.setenv(f"INCAMERA_VDO_{name}", str(value))

    return set_to


def end_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use up the streams that the stand-in refuses since an earlier test: it counts for the whole process."""
    import acap

    monkeypatch.setenv("INCAMERA_VDO_DOWN_FOR", "1")
    for _ in range(2000):
        with contextlib.suppress(acap.ServiceDown):
            acap.video.Stream(320, 240).close()
            return
