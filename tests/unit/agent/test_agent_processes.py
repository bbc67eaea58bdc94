"""Which processes an app has started: by the kernel's lists of children, and by a look at all processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from incamera_agent.processes import (
    KERNEL_LISTS_CHILDREN,
    find_descendants,
    list_children,
    list_processes,
    walk_descendants,
)

pytestmark = pytest.mark.starts_processes

# A child of a thread, one of the main thread in a session of its own with a child, and one that has ended.
APP = """
import os, subprocess, sys, threading
pids = [os.getpid()]
def start(*words, **options):
    pids.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, **options).pid)
thread = threading.Thread(target=lambda: (start("sleep", "600"), started.set(), end.wait()), daemon=True)
started, end = threading.Event(), threading.Event()
thread.start(); started.wait()
child = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, start_new_session=True)
pids += [child.pid, int(child.stdout.readline())]
ended = os.fork()
if not ended:
    os._exit(0)
os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)
print(*pids, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def app() -> Iterator[set[int]]:
    """The processes of an app. The first of them is the app itself."""
    with subprocess.Popen([sys.executable, "-c", APP], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pids = {int(word) for word in process.stdout.readline().split()}
        assert len(pids) == 4
        yield pids
        for pid in pids:
            subprocess.run(["kill", "-9", str(pid)], check=True)


needs_lists = pytest.mark.skipif(not KERNEL_LISTS_CHILDREN, reason="this kernel does not list children")


@needs_lists
def test_walk_finds_children_of_all_threads_and_sessions_and_none_that_has_ended(app: set[int]) -> None:
    (root,) = app & list_children(os.getpid())
    assert walk_descendants([root]) == app


def test_table_finds_the_same(app: set[int]) -> None:
    table = list_processes()
    (root,) = {process.pid for process in table if process.pid in app and process.parent not in app}
    assert find_descendants(table, {root}, set()) == app


@needs_lists
def test_walk_from_a_process_that_has_ended_is_empty() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert walk_descendants([process.pid]) == set()
