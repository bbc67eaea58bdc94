"""One agent for an app at a time: its owner, its take-over, and what is left of one that was killed."""

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
from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera_agent.processes import find_process
from incamera_agent.server.folder import AgentFolder, Busy, _ask_to_leave
from incamera_agent.wire.frames import encode

from .agent_process import FOREVER, AgentProcess, descendants, is_alive, plain_environment, wait_until_ended

pytestmark = pytest.mark.starts_processes

Start = Callable[..., AgentProcess]


def greet(agent: AgentProcess) -> None:
    """Send a greeting, whose answer may be an error."""
    agent.send("hello", protocol=1, tool="test")


def test_second_agent_is_refused_with_the_owner_of_the_first(start_agent: Start) -> None:
    before = int(time.time())
    first = start_agent()
    first.begin()
    second = start_agent()
    greet(second)
    error = second.wait_for("error")
    assert (error["kind"], error["owner"]["user"], error["owner"]["command"]) == ("busy", "anna@desk", "a test")
    assert before <= error["owner"]["since"] <= time.time()
    assert "take-over" in error["hint"]
    assert second.process.wait(PATIENCE_SECONDS) == 4
    # The first goes on.
    assert first.run("print('on')")["code"] == 0
    owner = json.loads((first.folder / "app" / "owner.json").read_text())
    assert owner["user"] == "anna@desk"


def test_agents_of_two_apps_run_side_by_side(start_agent: Start) -> None:
    first, second = start_agent(), start_agent(name="other")
    for agent in (first, second):
        greet(agent)
        agent.wait_for("hello")


def test_take_over_ends_the_first_agent_and_tells_its_host(start_agent: Start) -> None:
    first = start_agent()
    first.begin()
    first.run_until_on(f"import signal\nsignal.signal(15, signal.SIG_IGN)\n{FOREVER}")
    started = descendants(first.process.pid)
    second = start_agent(words=["--take-over"])
    greet(second)
    error = first.wait_for("error")
    assert (error["kind"], error["owner"]["user"]) == ("taken-over", "anna@desk")
    second.wait_for("hello")
    assert first.process.wait(PATIENCE_SECONDS) == 0
    assert not [pid for pid in started if is_alive(pid)]
    second.open()
    assert second.run("print('mine')")["code"] == 0
    assert (second.folder / "app" / "socket").exists()


def test_take_over_kills_an_agent_that_does_not_answer(start_agent: Start) -> None:
    first = start_agent()
    first.begin()
    os.kill(first.process.pid, signal.SIGSTOP)
    second = start_agent(words=["--take-over"])
    greet(second)
    second.wait_for("hello")
    assert first.process.wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_take_over_ends_an_agent_that_came_in_between(tmp_path: Path) -> None:
    folder = tmp_path / "agents" / "app"
    folder.mkdir(parents=True)
    (folder / "owner.json").write_text('{"pid": 1, "start": -1, "user": "gone"}')
    with _holding(folder) as holder:
        agent_folder = AgentFolder("app", str(folder.parent))

        def change() -> None:
            process = find_process(holder.pid)
            assert process is not None
            (folder / "owner.json").write_text(json.dumps({"pid": holder.pid, "start": process.start}))

        threading.Timer(0.3, change).start()
        agent_folder.acquire("anna@desk", "a test", take_over=True)
        assert holder.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        agent_folder.release()


def test_take_over_gives_up_when_the_lock_stays_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incamera_agent.server.folder._TAKE_OVER_SECONDS", 0.3)
    folder = tmp_path / "agents" / "app"
    folder.mkdir(parents=True)
    (folder / "owner.json").write_text('{"pid": 1, "start": -1, "user": "gone"}')
    with _holding(folder), pytest.raises(Busy) as caught:
        AgentFolder("app", str(folder.parent)).acquire("anna@desk", "a test", take_over=True)
    assert caught.value.owner["user"] == "gone"


def test_agent_that_answers_and_stays_is_not_waited_for_beyond_the_deadline(tmp_path: Path) -> None:
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

        answered: list[bool] = []

        def ask() -> None:
            answered.append(_ask_to_leave(path, "anna@desk", "a test", time.monotonic() + 1.0))

        threading.Thread(target=chat, daemon=True).start()
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(PATIENCE_SECONDS)
        assert answered == [True]


@contextlib.contextmanager
def _holding(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that holds the lock of an app."""
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True)"
    command = [sys.executable, "-c", f"{code}; time.sleep(600)", str(folder / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield holder
        finally:
            holder.kill()


def test_next_agent_removes_what_a_killed_one_has_left(start_agent: Start) -> None:
    first = start_agent(environment={"INCAMERA_RUN": "incamera-run-first"})
    first.begin()
    first.run_until_on()
    started = descendants(first.process.pid)
    for pid in started:
        os.kill(pid, signal.SIGSTOP)  # they would end by themselves
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    assert (first.live / "app.py").exists()
    second = start_agent(environment={"INCAMERA_RUN": "incamera-run-second"})
    greet(second)
    second.wait_for("hello")
    wait_until_ended(started)
    assert sorted(path.name for path in (second.folder / "app").iterdir()) == ["lock", "owner.json", "socket"]


@pytest.mark.parametrize("how", ["goodbye", "SIGTERM", "end of input"])
def test_agent_removes_its_folder_when_it_leaves(agent: AgentProcess, how: str) -> None:
    if how == "goodbye":
        agent.send("goodbye")
    elif how == "SIGTERM":
        agent.process.terminate()
    assert agent.close() == 0
    assert not agent.folder.exists()


def test_agent_stopped_by_sigusr1_tells_its_host_not_to_start_another(agent: AgentProcess) -> None:
    agent.begin()
    agent.run_until_on()
    agent.process.send_signal(signal.SIGUSR1)
    assert agent.wait_for("error")["kind"] == "stopped"
    assert agent.process.wait(PATIENCE_SECONDS) == 0
    assert not agent.folder.exists()


def test_only_one_of_four_agents_started_at_once_gets_the_app(start_agent: Start) -> None:
    agents = [start_agent() for _ in range(4)]
    for agent in agents:
        greet(agent)
    wait_until(lambda: all(agent.messages for agent in agents), "all greetings are answered")
    assert sorted(agent.messages[0][0]["type"] for agent in agents) == ["error", "error", "error", "hello"]


def test_host_of_another_protocol_is_refused_with_a_remedy(start_agent: Start) -> None:
    agent = start_agent()
    agent.send("hello", protocol=99, tool="9.0")
    error = agent.wait_for("error")
    assert error["kind"] == "protocol"
    assert "9.0" in error["message"]
    assert "deploy" in error["hint"]
    assert agent.process.wait(PATIENCE_SECONDS) == 3
    assert not agent.folder.exists()


def test_request_before_hello_is_refused(start_agent: Start) -> None:
    agent = start_agent()
    agent.send("preload", imports=[])
    assert agent.wait_for("error")["kind"] == "protocol"


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        ("start", {}),
        ("start", {"run": "r", "arguments": ["app.py"], "folder": "/nowhere"}),
        ("open", {"from": "/nowhere"}),
        ("stop", {"run": "none"}),
        ("signal", {"run": "none", "name": "NONSENSE"}),
        ("reload", {"run": "none"}),
        ("preload", {"imports": 5}),
        ("eval", {"session": 99, "source": "1"}),
        ("nonsense", {}),
    ],
)
def test_invalid_request_is_answered_with_an_error_and_changes_nothing(
    agent: AgentProcess, request_: str, fields: dict[str, object]
) -> None:
    agent.send(request_, b"", id=17, **fields)
    if request_ == "start" and "folder" in fields:
        assert agent.wait_for("started")["warm"] is False
        assert agent.wait_for("exited")["code"] == 127
    else:
        error = agent.wait_for("error")
        assert error["id"] == 17
        assert error["message"]
    assert agent.run("print('on')")["code"] == 0


@pytest.mark.parametrize(
    "words", [[], ["--app", "a/b", "--user", "x", "--command", "y"], ["--app"], ["--nonsense"]], ids=str
)
def test_wrong_command_line_shows_the_usage(words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "incamera_agent", *words]
    done = subprocess.run(command, env=plain_environment(), capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "usage" in done.stderr
