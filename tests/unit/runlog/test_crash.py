"""Where in C code an app has crashed."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from incamera.elf.debug import strip, write_debug_file
from incamera.elf.lines import Line
from incamera.runlog.crash import PlaceNamer, SentFiles, Tail, sent_files
from incamera.runtime.bundle import find_in_bundle
from incamera.runtime.launcher import require_crash_module

DATA = Path(__file__).parents[2] / "data" / "debug"

TOLD = b"frame 12\nC code at /lib/libc.so.6+0x7ad8, called from /tmp/incamera/bell/4f/app/pkg/fast.so+0x5f4\r\nFatal"


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    bundle = tmp_path / "bundle"
    (bundle / "app/pkg").mkdir(parents=True)
    (bundle / "app/pkg/fast.so").write_bytes(b"")
    (tmp_path / "project/src").mkdir(parents=True)
    (tmp_path / "project/src/fast.c").write_text("")
    (tmp_path / "project/src/pkg").mkdir()
    (tmp_path / "project/src/pkg/fast.pyx").write_text("")
    lines = {
        (bundle / "app/pkg/fast.so", 0x5F4): Line("/build/project/src/fast.c", 12),
        (bundle / "app/pkg/fast.so", 0x700): Line("/incamera/project/pkg/fast.pyx", 3),
    }
    monkeypatch.setattr("incamera.elf.lines.find_line", lambda path, offset, _: lines.get((path, offset)))
    monkeypatch.setattr("incamera.elf.debug.find_debug_file", lambda path, folders: None)
    return bundle


def describe(bundle: Path, *printed: bytes) -> str:
    tail = Tail()
    for data in printed:
        tail.feed(data)
    sent = SentFiles(lambda path: find_in_bundle(bundle, path), list)
    return tail.describe_crash(sent, bundle.parent / "project")


def test_line_is_that_of_the_first_place_with_debug_information(bundle: Path) -> None:
    assert describe(bundle, TOLD) == "in src/fast.c, line 12"
    assert describe(bundle, TOLD[:50], TOLD[50:]) == "in src/fast.c, line 12"
    assert describe(bundle, TOLD, b"x" * 100_000) == "", "it has gone on"


def test_cython_file_is_found_in_src_though_it_is_named_from_its_package_on(bundle: Path) -> None:
    assert describe(bundle, b"C code at /tmp/x/app/pkg/fast.so+0x700\n") == "in src/pkg/fast.pyx, line 3"


def test_module_without_debug_information_is_named(bundle: Path) -> None:
    assert describe(bundle, b"C code at /tmp/x/app/pkg/fast.so+0x600\n") == "in C code of fast.so"
    assert describe(bundle, b"C code called from /tmp/x/app/pkg/fast.so+0x600\n") == "in C code of fast.so"


@pytest.mark.parametrize("size", [40, 1000])
def test_place_of_a_crash_is_shown_with_its_line(bundle: Path, size: int) -> None:
    namer = PlaceNamer(SentFiles(lambda path: find_in_bundle(bundle, path), list), bundle.parent / "project")
    shown = b"".join(namer.feed(TOLD[start : start + size]) for start in range(0, len(TOLD), size))
    assert shown == TOLD.replace(b"\r\n", b" (src/fast.c, line 12)\r\n")
    other = b"C code is fast\nC code at /lib/libc.so.6+0x1\nC code "
    assert namer.feed(other) + namer.finish() == other


@pytest.mark.parametrize(
    "printed", [b"", b"C code at /lib/libc.so.6+0x1\n", b"C code at fast.so+0x1\n", b"C code at /..+0x1\n"]
)
def test_what_is_not_of_the_bundle_is_not_described(printed: bytes, bundle: Path) -> None:
    assert describe(bundle, printed) == ""


@pytest.mark.starts_processes
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the library in tests/data is for x86-64")
@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("crash(8)", -11),
        ("threading.Thread(target=crash, args=(8,)).start()", -11),
        (
            "other = multiprocessing.get_context('fork').Process(target=crash, args=(8,)); other.start(); other.join()",
            0,
        ),
    ],
)
def test_crash_of_a_stripped_library_names_the_line_from_the_debug_information(
    call: str, code: int, tmp_path: Path
) -> None:
    made = strip((DATA / "x86_64.so").read_bytes())
    assert made is not None
    bundle = tmp_path / "store/trees/bundles/b"
    (bundle / "app/own").mkdir(parents=True)
    (bundle / "app/own/fast.so").write_bytes(made.data)
    write_debug_file(tmp_path / "store/trees/wheels/w/debug", made)
    program = (
        "import ctypes, faulthandler, importlib.machinery, importlib.util, multiprocessing, resource, sys, threading\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "faulthandler.enable(2, all_threads=False)\n"
        'loader = importlib.machinery.ExtensionFileLoader("incamera_agent._crash", sys.argv[1])\n'
        'importlib.util.module_from_spec(importlib.util.spec_from_loader("incamera_agent._crash", loader))\n'
        f"crash = ctypes.CDLL(sys.argv[2]).crash\n{call}\n"
    )
    words = [sys.executable, "-c", program, str(require_crash_module("x86_64")), str(bundle / "app/own/fast.so")]
    ended = subprocess.run(words, capture_output=True, timeout=300, check=False)
    assert ended.returncode == code
    sent, tail = sent_files(tmp_path / "store", bundle), Tail()
    tail.feed(ended.stderr)
    assert tail.describe_crash(sent, DATA) == "in lines.c, line 11"
    assert b" (lines.c, line 11)\n" in PlaceNamer(sent, DATA).feed(ended.stderr)
