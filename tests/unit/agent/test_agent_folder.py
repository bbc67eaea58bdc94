"""One agent for an app at a time, who is there, and what is left of one that was killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from incamera_agent.processes import find_process
from incamera_agent.server.folder import AgentFolder, Busy, _ask_to_leave
from incamera_agent.wire.frames import encode

from .agent_process import AgentProcess
from .test_agent_runs import is_alive, processes_below

pytestmark = pytest.mark.starts_processes

Start = Callable[..., AgentProcess]


def greet(agent: AgentProcess) -> None:
    agent.send("hello", protocol=1, tool="test")


def test_the_second_is_told_who_is_there_and_since_when(start_agent: Start) -> None:
    first = start_agent()
    first.begin()
    second = start_agent()
    greet(second)
    error = second.wait("error")
    assert (error["kind"], error["owner"]["user"], error["owner"]["command"]) == ("busy", "anna@desk", "a test")
    assert abs(error["owner"]["since"] - time.time()) < 60
    assert "take-over" in error["hint"]
    assert second.process.wait(20) == 4
    # The first hasn't noticed.
    assert first.run("print('on')")["code"] == 0
    owner = json.loads((first.folder / "app" / "owner.json").read_text())
    assert owner["user"] == "anna@desk"


def test_apps_of_other_names_do_not_mind(start_agent: Start) -> None:
    first, second = start_agent(), start_agent(name="other")
    for agent in (first, second):
        greet(agent)
        agent.wait("hello")


def test_the_second_may_take_over_and_the_first_is_told(start_agent: Start) -> None:
    first = start_agent()
    first.begin()
    first.change(
        {"app.py": "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('on', flush=True)\ntime.sleep(60)\n"}
    )
    first.start()
    first.await_output(b"on")
    below = processes_below(first.process.pid)
    second = start_agent(words=["--take-over"])
    greet(second)
    error = first.wait("error")
    assert (error["kind"], error["owner"]["user"]) == ("taken-over", "anna@desk")
    second.wait("hello")
    assert first.process.wait(20) == 0
    assert not [pid for pid in below if is_alive(pid)]
    second.open()
    assert second.run("print('mine')")["code"] == 0
    assert (second.folder / "app" / "socket").exists()


def test_one_that_hangs_is_taken_over_too(start_agent: Start) -> None:
    first = start_agent()
    first.begin()
    os.kill(first.process.pid, signal.SIGSTOP)
    second = start_agent(words=["--take-over"])
    greet(second)
    second.wait("hello")
    assert first.process.wait(20) == -signal.SIGKILL


def test_one_that_came_in_between_is_taken_over_too(tmp_path: Path) -> None:
    folder = tmp_path / "agents" / "app"
    folder.mkdir(parents=True)
    (folder / "owner.json").write_text('{"pid": 1, "start": -1, "user": "gone"}')
    with _holding(folder) as holder:
        folder_ = AgentFolder("app", str(folder.parent))

        def change() -> None:
            process = find_process(holder.pid)
            assert process is not None
            (folder / "owner.json").write_text(json.dumps({"pid": holder.pid, "start": process.start}))

        threading.Timer(0.3, change).start()
        folder_.acquire("anna@desk", "a test", take_over=True)
        assert holder.wait(20) == -signal.SIGKILL
        folder_.release()


def test_one_that_cannot_be_found_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incamera_agent.server.folder._TAKE_OVER_SECONDS", 0.3)
    folder = tmp_path / "agents" / "app"
    folder.mkdir(parents=True)
    (folder / "owner.json").write_text('{"pid": 1, "start": -1, "user": "gone"}')
    with _holding(folder), pytest.raises(Busy) as caught:
        AgentFolder("app", str(folder.parent)).acquire("anna@desk", "a test", take_over=True)
    assert caught.value.owner["user"] == "gone"


def test_one_that_hears_and_stays_gets_five_seconds_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incamera_agent.server.folder._LEAVE_SECONDS", 1.0)
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def chat() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                while True:
                    connection.sendall(encode({"type": "hello"}))
                    time.sleep(0.1)

        threading.Thread(target=chat, daemon=True).start()
        began = time.monotonic()
        assert _ask_to_leave(path, "anna@desk", "a test", began + 1.0)
        assert time.monotonic() - began < 5


@contextlib.contextmanager
def _holding(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock of an app, and does nothing else."""
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True)"
    command = [sys.executable, "-c", f"{code}; time.sleep(60)", str(folder / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield holder
        finally:
            holder.kill()


def test_what_a_killed_agent_has_left_is_cleaned_by_the_next(start_agent: Start) -> None:
    first = start_agent(environment={"INCAMERA_RUN": "incamera-run-first"})
    first.begin()
    first.change({"app.py": "import time\nprint('on', flush=True)\ntime.sleep(60)\n"})
    first.start()
    first.await_output(b"on")
    below = processes_below(first.process.pid)
    for pid in below:
        os.kill(pid, signal.SIGSTOP)  # so that they cannot notice
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    assert (first.live / "app.py").exists()
    second = start_agent(environment={"INCAMERA_RUN": "incamera-run-second"})
    greet(second)
    second.wait("hello")
    deadline = time.monotonic() + 10
    while [pid for pid in below if is_alive(pid)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert sorted(path.name for path in (second.folder / "app").iterdir()) == ["lock", "owner.json", "socket"]


@pytest.mark.parametrize("how", ["goodbye", "SIGTERM", "end of input"])
def test_it_leaves_nothing_behind(agent: AgentProcess, how: str) -> None:
    if how == "goodbye":
        agent.send("goodbye")
    elif how == "SIGTERM":
        agent.process.terminate()
    assert agent.close() == 0
    assert not agent.folder.exists()


def test_one_that_is_stopped_says_that_it_is_not_to_begin_again(agent: AgentProcess) -> None:
    agent.begin()
    agent.change({"app.py": "import time\nprint('on', flush=True)\ntime.sleep(60)\n"})
    agent.start()
    agent.await_output(b"on")
    agent.process.send_signal(signal.SIGUSR1)
    assert agent.wait("error")["kind"] == "stopped"
    assert agent.process.wait(20) == 0
    assert not agent.folder.exists()


def test_of_two_that_come_at_once_one_is_in(start_agent: Start) -> None:
    agents = [start_agent() for _ in range(4)]
    for agent in agents:
        greet(agent)
    answers = []
    for agent in agents:
        deadline = time.monotonic() + 20
        while not agent.messages:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        answers.append(agent.messages[0][0]["type"])
    assert sorted(answers) == ["error", "error", "error", "hello"]


def test_another_protocol_is_refused_with_a_remedy(start_agent: Start) -> None:
    agent = start_agent()
    agent.send("hello", protocol=99, tool="9.0")
    error = agent.wait("error")
    assert error["kind"] == "protocol"
    assert "9.0" in error["message"]
    assert "deploy" in error["hint"]
    assert agent.process.wait(20) == 3
    assert not agent.folder.exists()


def test_nothing_is_answered_before_hello(start_agent: Start) -> None:
    agent = start_agent()
    agent.send("preload", imports=[])
    assert agent.wait("error")["kind"] == "protocol"


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        ("start", {}),
        ("start", {"run": "r", "arguments": ["app.py"], "folder": "/nowhere"}),
        ("open", {"from": "/nowhere"}),
        ("stop", {"run": "none"}),
        ("signal", {"run": "none", "name": "NONSENSE"}),
        ("reload", {"run": "none"}),
        ("warm", {"imports": 5}),
        ("eval", {"session": 99, "source": "1"}),
        ("nonsense", {}),
    ],
)
def test_a_request_that_makes_no_sense_is_answered_and_nothing_else_happens(
    agent: AgentProcess, request_: str, fields: dict[str, object]
) -> None:
    agent.send(request_, b"", id=17, **fields)
    if request_ == "start" and "folder" in fields:
        assert agent.wait("started")["warm"] is False
        assert agent.wait("exited")["code"] == 127
    else:
        error = agent.wait("error")
        assert error["id"] == 17
        assert error["message"]
    assert agent.run("print('on')")["code"] == 0


@pytest.mark.parametrize(
    "words", [[], ["--app", "a/b", "--user", "x", "--command", "y"], ["--app"], ["--nonsense"]], ids=str
)
def test_a_wrong_command_line_is_told(words: list[str], tmp_path: Path) -> None:
    from .agent_process import plain_environment

    command = [sys.executable, "-m", "incamera_agent", *words]
    done = subprocess.run(command, env=plain_environment(), capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "usage" in done.stderr
