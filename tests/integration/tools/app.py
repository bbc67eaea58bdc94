"""An app that fails, stops at a breakpoint, or runs without end, as its arguments say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..cameras import inside

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

APP = """\
import logging
import subprocess
import sys
import time

import helper

logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level="DEBUG")


def main():
    words = sys.argv[1:]
    if "fail" in words:
        print("before", flush=True)
        helper.fail()
    if "stop" in words:
        answer = 42
        breakpoint()
        print("answer", answer)
    if "parent" in words:
        child = subprocess.Popen(["sleep", "600"], cwd="/")
        print("started", flush=True)
        child.wait()
    if "loop" in words:
        helper.count_up(words)
    print(helper.double(21), flush=True)
    logging.debug("a detail")
    logging.error("a failure")


if __name__ == "__main__":
    main()
"""
HELPER = """\
import time

count = 0


def double(value):
    result = value * 2
    return result


def fail():
    raise ValueError("on purpose")


def count_up(words):
    global count
    print("started", flush=True)
    while True:
        count += sum(range(2000)) > 0
        time.sleep(0.01)
"""
TESTS = """\
import sys

import helper


def test_good(tmp_path):
    (tmp_path / "x").write_text("x")
    assert helper.double(2) == 4


def test_bad():
    assert helper.double(2) == 5, sys.platform
"""


def left_behind(camera: VirtualCamera) -> list[str]:
    """Return the folders of tests, debuggers and flame graphs in the camera's RAM."""
    return inside(camera, "ls -d /tmp/incamera-test-* /tmp/incamera-debug/*/* 2>/dev/null").split()
