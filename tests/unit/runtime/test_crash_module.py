"""The agent's compiled module, which tells where in C code an app has crashed."""

from __future__ import annotations

import platform
import re
import subprocess
import sys

import pytest

from incamera.runtime.launcher import require_crash_module

pytestmark = pytest.mark.starts_processes

BEGIN = """
import ctypes, faulthandler, importlib.machinery, importlib.util, os, resource, signal, sys, threading
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
faulthandler.enable(2, all_threads=False)
loader = importlib.machinery.ExtensionFileLoader("incamera_agent._crash", sys.argv[1])
importlib.util.module_from_spec(importlib.util.spec_from_loader("incamera_agent._crash", loader))
"""


def crash(code: str) -> tuple[int, str]:
    words = [sys.executable, "-c", BEGIN + code, str(require_crash_module(platform.machine()))]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    "code", ["ctypes.string_at(8)", "threading.Thread(target=ctypes.string_at, args=(8,)).start()"]
)
def test_fault_tells_its_place_before_the_python_stack(code: str) -> None:
    returned, printed = crash(code)
    assert returned == -11
    first, second = printed.splitlines()[:2]
    assert re.fullmatch(r"C code at /\S+\.so\S*\+0x[0-9a-f]+(, called from /\S+\+0x[0-9a-f]+)?", first)
    assert second == "Fatal Python error: Segmentation fault"
    assert "(most recent call first)" in printed


@pytest.mark.parametrize(
    ("code", "returned", "text"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", -11, "Segmentation fault"),
        ("os.abort()", -6, "Aborted"),
        ("ctypes.CDLL(None).abort()", -6, "Aborted"),
    ],
)
def test_signal_that_was_sent_has_no_place_and_ends_the_app_as_before(code: str, returned: int, text: str) -> None:
    ended, printed = crash(code)
    assert ended == returned
    assert printed.startswith(f"Fatal Python error: {text}")


def test_app_that_handles_the_signal_itself_is_left_alone() -> None:
    code = "signal.signal(signal.SIGSEGV, lambda *_: print('mine', file=sys.stderr))\nos.kill(os.getpid(), 11)\n"
    assert crash(code) == (0, "mine\n")


def test_faulthandler_that_the_app_switches_off_and_on_works_without_a_place() -> None:
    returned, printed = crash("faulthandler.disable(); faulthandler.enable()\nctypes.string_at(8)\n")
    assert returned == -11
    assert printed.startswith("Fatal Python error: Segmentation fault")
