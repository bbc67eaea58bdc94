"""An app that is a Python of its own, and clients of its attach socket."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera.runtime.agent import STARTER_TEXT

from .agent_process import AgentProcess, Client, find_pythons, plain_environment
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
    """Starts apps as a bundle does whose runtime has the starter, in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "app.socket"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.connections: list[socket.socket] = []
        (folder / "site").mkdir()
        # A .pth file works in a site-packages folder only; Python imports sitecustomize from any.
        (folder / "site" / "sitecustomize.py").write_text(STARTER_TEXT)

    def start(self, source: str, *, python: str = sys.executable, attachable: bool = True) -> subprocess.Popen[bytes]:
        (self.folder / "app.py").write_text(source)
        environment = plain_environment({"INCAMERA_ATTACH": str(self.socket)} if attachable else None)
        environment["PYTHONPATH"] = f"{self.folder / 'site'}:{environment['PYTHONPATH']}"
        process = subprocess.Popen(
            [python, "app.py"],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    def start_app(self, *, python: str = sys.executable) -> subprocess.Popen[bytes]:
        """Start APP and wait until it is in `wait_here`."""
        process = self.start(APP, python=python)
        assert read_line(process) == b"on\n"
        return process

    def call(self) -> Client:
        """Connect without a greeting."""
        connection = socket.socket(socket.AF_UNIX)
        self.connections.append(connection)
        connection.connect(str(self.socket))

        def read() -> bytes:
            try:
                return connection.recv(1 << 16)
            except OSError:  # the app has ended, or the test
                return b""

        return Client(read, connection.sendall)

    def connect(self) -> Client:
        client = self.call()
        client.hello()
        return client


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Plain]:
    plain = Plain(tmp_path)
    yield plain
    for process in plain.processes:
        process.kill()
        process.communicate()
    for connection in plain.connections:
        connection.close()


def evaluate(client: Client, source: str) -> str:
    """Evaluate *source* in the client's first console; return what that printed."""
    client.output["output"] = b""
    client.ask("eval", "evaluated", session=1, source=source)
    return client.output["output"].decode()


def end_app(client: Client) -> None:
    """Have APP end. It may end before it has sent the answer."""
    client.send("eval", session=1, source="ended = True")


def read_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def finish(process: subprocess.Popen[bytes], data: bytes | None = None) -> tuple[bytes, bytes]:
    return process.communicate(data, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("python", find_pythons())
def test_app_goes_on_while_a_client_evaluates_in_it(plain: Plain, python: str) -> None:
    app = plain.start_app(python=python)
    assert stat.S_IMODE(plain.socket.stat().st_mode) == 0o600
    client = plain.connect()
    attached = client.ask("attach", "attached")
    assert (attached["pid"], attached["folder"]) == (app.pid, str(plain.folder))
    assert evaluate(client, "count += 1; count") == "4\n"
    assert "count" in client.ask("complete", "completions", session=1, text="cou")["matches"]
    (thread,) = client.ask("stacks", "stacks")["threads"]
    assert [frame["function"] for frame in thread["frames"]] == ["<module>", "wait_here"]
    # The app has not imported `threading`: the agent did, in another thread, and it still knows the main thread.
    assert evaluate(client, f"import threading; threading.main_thread().native_id == {app.pid}") == "True\n"
    end_app(client)
    assert finish(app) == (b"", b"")
    assert app.returncode == 5
    client.wait_for_end()


@pytest.mark.parametrize("python", find_pythons())
def test_attachable_app_finds_what_any_app_finds(plain: Plain, python: str) -> None:
    found = []
    for attachable in (True, False):
        out, error = finish(plain.start(LOOK, python=python, attachable=attachable), b"in")
        assert not error
        found.append(json.loads(out))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ENDS)
def test_attachable_app_ends_as_any_app_ends(plain: Plain, name: str) -> None:
    ends = []
    for attachable in (True, False):
        app = plain.start(ENDS[name][0], attachable=attachable)
        ends.append((*finish(app), app.returncode))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("python", find_pythons())
@pytest.mark.parametrize("started", ["plain", "warm"])
def test_app_that_forks_gets_no_warning_and_can_be_attached_to_afterwards(
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
        assert [read_line(app) for _ in range(4)] == [b"child 1\n"] * 3 + [b"on\n"]
        client = plain.connect()
        client.ask("attach", "attached")
        assert evaluate(client, "count") == "3\n"
        end_app(client)
        assert finish(app) == (b"", b"")
    else:
        agent = start_agent(python=python)
        agent.begin()
        agent.run_until_on(source + APP)
        client = agent.connect()
        client.ask("attach", "attached")
        assert evaluate(client, "count") == "3\n"
        end_app(client)
        assert agent.wait_for("exited")["code"] == 5
        assert agent.output["stderr"] == b""


def test_cold_run_can_be_attached_to_through_the_agent(agent: AgentProcess, plain: Plain) -> None:
    agent.change({"app.py": APP})
    path = f"{plain.folder / 'site'}:{plain_environment()['PYTHONPATH']}"
    started = agent.start("-X", "dev", "app.py", environment={"PYTHONPATH": path})
    assert started["warm"] is False
    agent.wait_for_output(b"on\n")
    client = agent.connect()
    client.ask("attach", "attached")
    assert evaluate(client, "count") == "3\n"
    assert client.ask("stacks", "stacks")["threads"][0]["frames"][-1]["function"] == "wait_here"
    end_app(client)
    assert agent.wait_for("exited")["code"] == 5
    assert client.wait_for("exited")["code"] == 5


def test_listener_listens_before_the_app_starts(plain: Plain) -> None:
    """Else `python -X dev` may abort: the thread would free memory while Python changes its allocator."""
    source = (
        "import sys\nsys.setswitchinterval(5)\n"
        "import os\nfrom incamera_agent.inapp.listener import Listener, own_threads\n"
        "Listener(os.pipe()[0], lambda: False, lambda: None).start()\nprint(len(own_threads))\n"
    )
    app = plain.start(source, attachable=False)
    assert finish(app) == (b"1\n", b"")


def test_app_runs_when_its_attach_socket_cannot_be_opened(plain: Plain) -> None:
    plain.socket = plain.folder / "missing" / "app.socket"
    app = plain.start("import os; print('INCAMERA_ATTACH' in os.environ)")
    assert finish(app) == (b"False\n", b"")


def test_client_that_leaves_ends_what_it_evaluates_and_no_other_console(plain: Plain) -> None:
    app = plain.start_app()
    first, second = plain.connect(), plain.connect()
    for client in (first, second):
        client.ask("attach", "attached")
    first.send("eval", session=1, source="import time\nwhile True: time.sleep(0.01)\n", mode="exec")
    assert evaluate(second, "count") == "3\n"
    first.send("goodbye")
    first.wait_for_end()
    # The main thread, the listener, the second client and its console.
    wait_until(lambda: len(os.listdir(f"/proc/{app.pid}/task")) <= 4, "the first client's threads end")  # noqa: PTH208
    assert evaluate(second, "count") == "3\n"


@pytest.mark.parametrize("asked", ["start", "put", "reload", "nonsense"])
def test_client_of_the_attach_socket_may_not_change_the_run(plain: Plain, asked: str) -> None:
    plain.start_app()
    client = plain.connect()
    client.send(asked, run="plain", id=1)
    error: dict[str, Any] = client.wait_for("error")
    assert (error["kind"], error["id"]) == ("request", 1)


def test_client_of_another_protocol_is_refused_with_both_versions(plain: Plain) -> None:
    plain.start_app()
    client = plain.call()
    error = client.ask("hello", "error", protocol=2, tool="9.9")
    assert (error["kind"], error["protocol"]) == ("protocol", 1)
    assert "9.9" in error["message"]
    client.wait_for_end()
