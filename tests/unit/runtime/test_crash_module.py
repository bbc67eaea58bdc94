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
faulthandler.register(signal.SIGTRAP, 2, all_threads=False, chain=True)
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


# A thread's stack of this size is too small for the calls that Python allows by itself.
DEEP = """
def deep(_):
    sorted([0], key=deep)
sys.setrecursionlimit(10**9)
threading.stack_size(512 << 10)
"""


@pytest.mark.parametrize("start", ["threading.Thread(target=deep, args=(0,)).start()", "deep(0)"])
def test_stack_that_overflows_in_c_code_is_told_in_each_thread(start: str) -> None:
    returned, printed = crash(f"resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 1 << 20))\n{DEEP}{start}\n")
    assert returned == -11
    assert "Fatal Python error: Segmentation fault" in printed
    assert 'File "<string>", line ' in printed
    assert " in deep\n" in printed


@pytest.mark.parametrize("early", [True, False], ids=["threading-first", "threading-later"])
def test_threads_run_as_without_the_module(early: bool) -> None:
    code = """
def fail(*arguments):
    print(threading.stack_size(), arguments, file=sys.stderr)
    raise ValueError("on purpose")

print(repr(_thread.start_new_thread), _thread.start_new_thread.__module__, file=sys.stderr)
print(threading._start_new_thread is _thread.start_new_thread, file=sys.stderr)
for size in (0, 64 << 10):
    threading.stack_size(size)
    thread = threading.Thread(target=fail, args=(1, 2), name="own")
    thread.start()
    thread.join()
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    print(sum(pool.map(abs, range(100))), file=sys.stderr)
ended = threading.Event()
def end(*arguments, **options):
    print(arguments, options, file=sys.stderr)
    ended.set()
_thread.start_new_thread(end, (1,), {"two": 2})
ended.wait()
try:
    _thread.start_new_thread()
except TypeError as error:
    print(error, file=sys.stderr)
"""
    imports = "import _thread, concurrent.futures, sys, threading\n"
    plain = subprocess.run([sys.executable, "-c", imports + code], capture_output=True, text=True, check=True).stderr
    begin = BEGIN if early else BEGIN.replace(", threading", "")
    words = [sys.executable, "-c", begin + imports + code, str(require_crash_module(platform.machine()))]
    with_module = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    lines = re.compile(r'(File "<string>", line )\d+')
    assert lines.sub(r"\1", with_module) == lines.sub(r"\1", plain)
    assert "in start" not in with_module


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


def test_sigtrap_that_was_sent_shows_the_python_stack_and_ends_the_app() -> None:
    returned, printed = crash("def trap():\n    signal.raise_signal(signal.SIGTRAP)\ntrap()\n")
    assert returned == -5
    assert printed.startswith("Stack (most recent call first):\n")
    assert " in trap\n" in printed


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the code is for x86-64")
def test_breakpoint_instruction_tells_its_place_and_ends_the_app() -> None:
    code = """
import mmap
memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(bytes([0xCC, 0xC3]))  # a breakpoint; return
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
print("went on", file=sys.stderr)
"""
    returned, printed = crash(code)
    assert returned == -5
    assert re.match(r"C code at /\S+.*\+0x1\nStack \(most recent call first\):\n", printed)
    assert "went on" not in printed


def test_app_that_handles_the_signal_itself_is_left_alone() -> None:
    code = "signal.signal(signal.SIGSEGV, lambda *_: print('mine', file=sys.stderr))\nos.kill(os.getpid(), 11)\n"
    assert crash(code) == (0, "mine\n")


def test_faulthandler_that_the_app_switches_off_and_on_works_without_a_place() -> None:
    returned, printed = crash("faulthandler.disable(); faulthandler.enable()\nctypes.string_at(8)\n")
    assert returned == -11
    assert printed.startswith("Fatal Python error: Segmentation fault")
