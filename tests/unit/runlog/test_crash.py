"""Where in C code an app has crashed."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from incamera.elf.debug import strip, write_debug_file
from incamera.elf.lines import Line
from incamera.runlog.crash import SentFiles, Tail, sent_files
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
    lines = {(bundle / "app/pkg/fast.so", 0x5F4): Line("/build/project/src/fast.c", 12)}
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


def test_module_without_debug_information_is_named(bundle: Path) -> None:
    assert describe(bundle, b"C code at /tmp/x/app/pkg/fast.so+0x600\n") == "in C code of fast.so"
    assert describe(bundle, b"C code called from /tmp/x/app/pkg/fast.so+0x600\n") == "in C code of fast.so"


@pytest.mark.parametrize(
    "printed", [b"", b"C code at /lib/libc.so.6+0x1\n", b"C code at fast.so+0x1\n", b"C code at /..+0x1\n"]
)
def test_what_is_not_of_the_bundle_is_not_described(printed: bytes, bundle: Path) -> None:
    assert describe(bundle, printed) == ""


@pytest.mark.starts_processes
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the library in tests/data is for x86-64")
@pytest.mark.parametrize("call", ["crash(8)", "threading.Thread(target=crash, args=(8,)).start()"])
def test_crash_of_a_stripped_library_names_the_line_from_the_debug_information(call: str, tmp_path: Path) -> None:
    made = strip((DATA / "x86_64.so").read_bytes())
    assert made is not None
    bundle = tmp_path / "store/trees/bundles/b"
    (bundle / "app/own").mkdir(parents=True)
    (bundle / "app/own/fast.so").write_bytes(made.data)
    write_debug_file(tmp_path / "store/trees/wheels/w/debug", made)
    code = (
        "import ctypes, faulthandler, importlib.machinery, importlib.util, resource, sys, threading\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "faulthandler.enable(2, all_threads=False)\n"
        'loader = importlib.machinery.ExtensionFileLoader("incamera_agent._crash", sys.argv[1])\n'
        'importlib.util.module_from_spec(importlib.util.spec_from_loader("incamera_agent._crash", loader))\n'
        f"crash = ctypes.CDLL(sys.argv[2]).crash\n{call}\n"
    )
    words = [sys.executable, "-c", code, str(require_crash_module("x86_64")), str(bundle / "app/own/fast.so")]
    ended = subprocess.run(words, capture_output=True, timeout=300, check=False)
    assert ended.returncode == -11
    tail = Tail()
    tail.feed(ended.stderr)
    assert tail.describe_crash(sent_files(tmp_path / "store", bundle), DATA) == "in lines.c, line 11"
