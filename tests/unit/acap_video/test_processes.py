"""What needs a process of its own: signals, fork, and a camera that lacks the library or one of its functions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import NEWEST, OLDEST, PACKAGE, stand_in

pytestmark = [pytest.mark.starts_processes, pytest.mark.usefixtures("video")]
WAITS = "stream = acap.video.Stream(320, 240, framerate=0.01)\nprint('waits', flush=True)\nnext(stream)\n"


def start(built_module: Path, code: str, version: str | None = NEWEST) -> subprocess.Popen[str]:
    """Start *code* in a Python with acap, over the stand-in of *version*, or without one."""
    library = f"import ctypes; ctypes.CDLL({str(stand_in(version))!r})\n" if version else ""
    path = f"import acap; acap.__path__.append({str(built_module)!r})\n"
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", library + path + code],
        env=os.environ | {"PYTHONPATH": str(PACKAGE / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_ends_a_wait(built_module: Path) -> None:
    process = start(
        built_module, f"try:\n {WAITS.replace(chr(10), chr(10) + ' ')}\nexcept KeyboardInterrupt:\n print('ended')\n"
    )
    assert process.stdout
    assert process.stdout.readline() == "waits\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == ("ended\n", 0), err


@pytest.mark.parametrize(
    ("handler", "code"), [("", -signal.SIGTERM), ("import signal; signal.signal(15, lambda *_: exit(7))\n", 7)]
)
def test_sigterm_ends_a_wait(built_module: Path, handler: str, code: int) -> None:
    process = start(built_module, handler + WAITS)
    assert process.stdout
    assert process.stdout.readline() == "waits\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == code


def test_stream_is_refused_after_a_fork(built_module: Path) -> None:
    code = """
import os
stream = acap.video.Stream(320, 240, framerate=100)
frame = next(stream)
if os.fork() == 0:
    try:
        next(stream)
    except acap.WrongThread as error:
        print(error, flush=True)
    del frame
    stream = acap.video.Stream(320, 240, framerate=100)  # one of its own
    print(next(stream).sequence, flush=True)
    os._exit(0)
os.wait()
print(next(stream).sequence > 0, stream.held)
"""
    out, err = start(built_module, code).communicate(timeout=60)
    lines = out.splitlines()
    assert "made before a fork" in lines[0], err
    assert lines[2] == "True 1", err


def test_missing_library_says_what_to_do(built_module: Path) -> None:
    code = """
try:
    acap.video.Stream(320, 240)
except OSError as error:
    assert isinstance(error, (acap.LibraryMissing, NotImplementedError))
    print(error)
"""
    out, err = start(built_module, code, version=None).communicate(timeout=60)
    assert "libvdostream.so.1" in out, err
    assert "virtual" in out


def test_missing_function_is_named_with_the_axis_os_that_has_it(built_module: Path) -> None:
    code = """
print(acap.video.resolutions(channel=1)[0])
try:
    acap.video.resolutions(input=1)
except NotImplementedError as error:
    assert isinstance(error, acap.NotSupported)
    print(error)
"""
    out, err = start(built_module, code, OLDEST).communicate(timeout=60)
    assert out.splitlines() == [
        "(160, 90)",
        "the camera's video library has no vdo_channel_get_ex: AXIS OS 11.4 has it",
    ], err


def test_import_brings_nothing_that_numpy_has_not_brought(built_module: Path) -> None:
    """What it would bring costs a camera's processor far more time than acap does."""
    code = """
import sys
import numpy
before = set(sys.modules)
import acap.video
new = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
print([name for name in new if name != "acap" and "cython" not in name])
"""
    out, err = start(built_module, code).communicate(timeout=60)
    assert out == "[]\n", err


@pytest.mark.parametrize("hold", ["", "frame = next(stream)\n"])
def test_process_with_a_stream_ends_well(built_module: Path, hold: str) -> None:
    process = start(built_module, f"stream = acap.video.Stream(320, 240, framerate=100)\n{hold}print('end')")
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("end\n", "", 0)


def test_library_of_the_other_name_is_taken(built_module: Path, tmp_path: Path) -> None:
    """Newer AXIS OS has libvdo.so.1, too."""
    (tmp_path / "libvdo.so.1").symlink_to(stand_in())
    path = f"import acap; acap.__path__.append({str(built_module)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", path + "print(next(acap.video.Stream(320, 240)).sequence)"],
        env=os.environ | {"PYTHONPATH": str(PACKAGE / "src"), "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip().isdecimal(), done.stderr


def test_no_video_is_loaded_by_import(built_module: Path) -> None:
    code = "import sys; print([name for name in sys.modules if name.startswith('acap')])"
    out, err = start(built_module, code, version=None).communicate(timeout=60)
    assert out == "['acap.errors', 'acap']\n", err
