"""An app that is a Python of its own, and those who look into it."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from incamera.runtime.agent import STARTER_TEXT

from .agent_process import AgentProcess, Talk, find_pythons, plain_environment
from .test_agent_fork import ENDS, LOOK

pytestmark = pytest.mark.starts_processes

APP = """\
import sys, time
count = 3
def wait_here():
    print("on", flush=True)
    while not ended:
        time.sleep(0.01)
ended = False
wait_here()
sys.exit(5)
"""


class Plain:
    """Starts apps as a bundle does whose runtime has the starter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "app.socket"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.connections: list[socket.socket] = []
        (folder / "site").mkdir()
        # What Python does with a .pth file in a folder of its own, this test may not have.
        (folder / "site" / "sitecustomize.py").write_text(STARTER_TEXT)

    def start(self, source: str, *, python: str = sys.executable, attachable: bool = True) -> subprocess.Popen[bytes]:
        (self.folder / "app.py").write_text(source)
        environment = plain_environment({"INCAMERA_ATTACH": str(self.socket)} if attachable else None)
        environment["PYTHONPATH"] = f"{self.folder / 'site'}:{environment['PYTHONPATH']}"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([python, "app.py"], cwd=self.folder, env=environment, **pipes)  # type: ignore[call-overload]
        self.processes.append(process)
        return process  # type: ignore[no-any-return]

    def call(self) -> Talk:
        """Connect, and say nothing yet."""
        connection = socket.socket(socket.AF_UNIX)
        self.connections.append(connection)
        connection.connect(str(self.socket))

        def read() -> bytes:
            try:
                return connection.recv(1 << 16)
            except OSError:  # the app has ended, or the test
                return b""

        return Talk(read, connection.sendall)

    def connect(self) -> Talk:
        talk = self.call()
        talk.ask("hello", "hello", protocol=1, tool="test")
        return talk


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Plain]:
    plain = Plain(tmp_path)
    yield plain
    for process in plain.processes:
        process.kill()
        process.communicate()
    for connection in plain.connections:
        connection.close()


def evaluate(talk: Talk, source: str) -> str:
    talk.output["output"] = b""
    talk.ask("eval", "evaluated", session=1, source=source)
    return talk.output["output"].decode()


def await_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("python", find_pythons())
def test_one_looks_into_it_and_it_goes_on(plain: Plain, python: str) -> None:
    app = plain.start(APP, python=python)
    assert await_line(app) == b"on\n"
    assert stat.S_IMODE(plain.socket.stat().st_mode) == 0o600
    talk = plain.connect()
    told = talk.ask("attach", "attached")
    assert (told["pid"], told["folder"]) == (app.pid, str(plain.folder))
    assert evaluate(talk, "count += 1; count") == "4\n"
    assert "count" in talk.ask("complete", "completions", session=1, text="cou")["matches"]
    (thread,) = talk.ask("stacks", "stacks")["threads"]
    assert [frame["function"] for frame in thread["frames"]] == ["<module>", "wait_here"]
    # `threading`, which the app hasn't imported, isn't mistaken about which thread is the main one.
    assert evaluate(talk, f"import threading; threading.main_thread().native_id == {app.pid}") == "True\n"
    assert evaluate(talk, "ended = True") == ""
    assert app.communicate(timeout=30) == (b"", b"")
    assert app.returncode == 5
    talk.await_end()


@pytest.mark.parametrize("python", find_pythons())
def test_the_app_finds_what_it_would_find_without(plain: Plain, python: str) -> None:
    found = []
    for attachable in (True, False):
        out, error = plain.start(LOOK, python=python, attachable=attachable).communicate(b"in", timeout=30)
        assert not error
        found.append(json.loads(out))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ENDS)
def test_it_ends_as_it_would_without(plain: Plain, name: str) -> None:
    ends = []
    for attachable in (True, False):
        app = plain.start(ENDS[name][0], attachable=attachable)
        ends.append((*app.communicate(timeout=30), app.returncode))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("python", find_pythons())
@pytest.mark.parametrize("started", ["plain", "warm"])
def test_it_may_fork_and_can_be_looked_into_after_that(
    plain: Plain, start_agent: Callable[..., AgentProcess], python: str, started: str
) -> None:
    source = (
        "import os, sys, warnings\nwarnings.simplefilter('always')\n"
        "for turn in range(3):\n    pid = os.fork()\n"
        "    if pid == 0:\n        os._exit(len(os.listdir('/proc/self/task')))\n"
        "    print('child', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)\n"
    )
    if started == "plain":
        app = plain.start(source + APP, python=python)
        assert [await_line(app) for _ in range(4)] == [b"child 1\n"] * 3 + [b"on\n"]
        talk = plain.connect()
        talk.ask("attach", "attached")
        assert evaluate(talk, "count") == "3\n"
        evaluate(talk, "ended = True")
        assert app.communicate(timeout=30) == (b"", b"")
    else:
        agent = start_agent(python=python)
        agent.begin()
        agent.change({"app.py": source + APP})
        agent.start()
        agent.await_output(b"on\n")
        talk = agent.connect()
        talk.ask("attach", "attached")
        assert evaluate(talk, "count") == "3\n"
        evaluate(talk, "ended = True")
        assert agent.wait("exited")["code"] == 5
        assert agent.output["stderr"] == b""


def test_a_run_that_the_agent_started_cold_can_be_looked_into(agent: AgentProcess, plain: Plain) -> None:
    agent.change({"app.py": APP})
    path = f"{plain.folder / 'site'}:{plain_environment()['PYTHONPATH']}"
    started = agent.start("-X", "dev", "app.py", environment={"PYTHONPATH": path})
    assert started["warm"] is False
    agent.await_output(b"on\n")
    talk = agent.connect()
    talk.ask("attach", "attached")
    assert evaluate(talk, "count") == "3\n"
    assert talk.ask("stacks", "stacks")["threads"][0]["frames"][-1]["function"] == "wait_here"
    evaluate(talk, "ended = True")
    assert agent.wait("exited")["code"] == 5
    assert talk.wait("exited")["code"] == 5


def test_a_socket_that_cannot_be_made_is_no_reason_not_to_run(plain: Plain) -> None:
    plain.socket = plain.folder / "missing" / "app.socket"
    app = plain.start("import os; print('INCAMERA_ATTACH' in os.environ)")
    assert app.communicate(timeout=30) == (b"False\n", b"")


def test_several_may_look_and_whoever_leaves_takes_what_they_evaluate_along(plain: Plain) -> None:
    app = plain.start(APP)
    await_line(app)
    first, second = plain.connect(), plain.connect()
    for talk in (first, second):
        talk.ask("attach", "attached")
    first.send("eval", session=1, source="import time\nwhile True: time.sleep(0.01)\n", mode="exec")
    assert evaluate(second, "count") == "3\n"
    first.send("goodbye")
    first.await_end()
    tasks = Path(f"/proc/{app.pid}/task")
    deadline = time.monotonic() + 30
    while len(list(tasks.iterdir())) > 4:  # main, ear, the second visitor and their console
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert evaluate(second, "count") == "3\n"


@pytest.mark.parametrize("asked", ["start", "put", "reload", "nonsense"])
def test_who_looks_in_may_not_touch(plain: Plain, asked: str) -> None:
    await_line(plain.start(APP))
    talk = plain.connect()
    talk.send(asked, run="plain", id=1)
    error: dict[str, Any] = talk.wait("error")
    assert (error["kind"], error["id"]) == ("request", 1)


def test_another_version_is_refused_by_both_numbers(plain: Plain) -> None:
    await_line(plain.start(APP))
    talk = plain.call()
    error = talk.ask("hello", "error", protocol=2, tool="9.9")
    assert (error["kind"], error["protocol"]) == ("protocol", 1)
    assert "9.9" in error["message"]
    talk.await_end()
