"""The fork server: packages that it imports, whatever they do, and its death at any moment."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_until

from incamera_agent.server.forkserver import ForkServerManager
from incamera_agent.wire.loop import EventLoop

from .agent_process import SOURCE, AgentProcess, descendants, kill

pytestmark = pytest.mark.starts_processes

PACKAGES = {
    "good": "import time\ntime.sleep(0.05)\nprint('good was here')\n",
    "holding": (
        "import atexit\nclass Held:\n    def __del__(self): print('package freed')\n"
        "held = Held()\natexit.register(print, 'package ends')\n"
    ),
    "missing_part": "import nonsuch\n",
    "raising": "raise RuntimeError('no device')\n",
    "leaving": "import sys\nsys.exit(3)\n",
    "crashing": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "deadly": "import os, signal\nos.fork = lambda: os.kill(os.getpid(), signal.SIGKILL)\n",
    "slow": "import os, time\nopen(os.environ['MARKER'], 'w').write(str(os.getpid()))\ntime.sleep(600)\n",
    "slow_once": (
        "import os, time\nmarker = os.environ['MARKER']\n"
        "if not os.path.exists(marker):\n    open(marker, 'w').write(str(os.getpid()))\n    time.sleep(600)\n"
    ),
    # Its child keeps the connection to the agent open after the crash.
    "forking": (
        "import os, signal, time\nif os.fork() == 0:\n    time.sleep(600)\n    os._exit(0)\n"
        "os.kill(os.getpid(), signal.SIGSEGV)\n"
    ),
    "wordy": "raise RuntimeError('é' * 500_000)\n",
    # Writes to every socket that it finds, the connection to the agent included.
    "scribbling": (
        "import os, stat\nfor number in range(3, 64):\n    try:\n"
        "        if stat.S_ISSOCK(os.fstat(number).st_mode): os.write(number, b'[' * 100_000)\n"
        "    except OSError: pass\n"
    ),
    # Sends what the fork server could send, with numbers that no process has.
    "lying": (
        "import json, os, stat\nfor number in range(3, 64):\n    try:\n"
        "        if not stat.S_ISSOCK(os.fstat(number).st_mode): continue\n"
        "    except OSError: continue\n"
        "    for pid in (10**30, -1.5):\n"
        "        os.write(number, json.dumps({'type': 'forked', 'run': 'r', 'pid': pid}).encode())\n"
    ),
    "threading_one": "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n",
}


@pytest.fixture
def agent_with_packages(start_agent: Callable[..., AgentProcess], tmp_path: Path) -> AgentProcess:
    packages = tmp_path / "packages"
    packages.mkdir()
    for name, text in PACKAGES.items():
        (packages / f"{name}.py").write_text(text)
    path = os.pathsep.join((str(packages), str(SOURCE)))
    agent = start_agent(environment={"PYTHONPATH": path, "MARKER": str(tmp_path / "marker")})
    agent.ask("hello", "hello", protocol=1, tool="test")
    agent.open()
    return agent


def test_packages_are_imported_once_and_their_times_reported(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    warmed = agent.ask("preload", "preloaded", imports=["good", "json"])
    assert warmed["imports"]["good"] >= 0.05
    assert warmed["failed"] == {}
    assert warmed["rss"] > 0
    assert "good was here" in agent.wait_for("log")["text"]
    for _ in range(2):
        agent.run("import sys; print('good' in sys.modules); import good; sys.stdout.flush()")
    assert agent.output["stdout"] == b"True\nTrue\n"


def test_end_of_a_run_frees_what_the_app_has_made_and_no_package(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    agent.ask("preload", "preloaded", imports=["holding"])
    agent.run(
        "import atexit, json\nclass Own:\n    def __del__(self): print('own freed', json.dumps(1))\n"
        "own = Own()\ncycle = [Own()]\ncycle.append(cycle)\n"
        "def end():\n    import holding\n    print('ends', type(holding.held).__name__)\n"
        "atexit.register(end)\n"
    )
    lines = agent.output["stdout"].decode().splitlines()
    assert lines == ["ends Held", "package ends", "own freed 1", "own freed 1"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing_part", "ModuleNotFoundError"),
        ("raising", "no device"),
        ("leaving", "SystemExit"),
        ("crashing", "SIGSEGV"),
        ("forking", "SIGSEGV"),
        ("threading_one", "thread"),
        ("not_there", "ModuleNotFoundError"),
    ],
)
def test_package_that_cannot_be_preloaded_is_reported_and_the_others_are_preloaded(
    agent_with_packages: AgentProcess, name: str, why: str
) -> None:
    agent = agent_with_packages
    warmed = agent.ask("preload", "preloaded", imports=["json", name, "good"])
    assert why in warmed["failed"][name]
    assert set(warmed["imports"]) == {"json", "good"}
    agent.change({"app.py": "import sys; print('good' in sys.modules)"})
    assert agent.start()["warm"] is True
    agent.wait_for("exited")
    assert agent.output["stdout"] == b"True\n"
    assert len(descendants(agent.process.pid)) == 1  # the fork server


def test_second_preload_is_possible_while_an_app_runs(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    agent.ask("preload", "preloaded", imports=["json"])
    agent.run_until_on(run="old")
    agent.ask("preload", "preloaded", imports=["good"])
    agent.change({"app.py": "import sys; print('good' in sys.modules, flush=True)"})
    agent.start(run="new")
    assert agent.wait_for("exited")["run"] == "new"
    end = agent.stop(run="old")
    assert (end["run"], end["signal"]) == ("old", signal.SIGTERM)
    assert agent.output["stdout"] == b"on\nTrue\n"


def test_modules_in_the_folder_that_the_agent_was_started_in_are_not_imported(
    start_agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    (tmp_path / "decimal.py").write_text("print('mine')\n")
    agent = start_agent()
    agent.begin(["decimal"])
    agent.run("import decimal; print(decimal.__file__)")
    assert str(tmp_path) not in agent.output["stdout"].decode()


def test_start_waits_for_the_fork_server(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    agent.change({"app.py": "import sys; print('good' in sys.modules)"})
    agent.send("preload", imports=["good"])
    assert agent.start()["warm"] is True
    agent.wait_for("exited")
    assert agent.output["stdout"] == b"True\n"


def wait_for_import(tmp_path: Path) -> int:
    """Wait until a fork server imports a package that takes long; return the fork server's process number."""
    marker = tmp_path / "marker"
    return int(wait_until(lambda: marker.exists() and marker.read_text(), "a package is being imported"))


def test_waiting_start_succeeds_when_the_fork_server_dies_while_it_imports(
    agent_with_packages: AgentProcess, tmp_path: Path
) -> None:
    agent = agent_with_packages
    agent.change({"app.py": "import sys; print('good' in sys.modules)"})
    agent.send("preload", imports=["good", "slow_once"])
    agent.send("start", run="r", arguments=["app.py"], id=7)
    kill(wait_for_import(tmp_path))
    assert agent.wait_for("started")["id"] == 7
    assert agent.wait_for("exited")["code"] == 0
    assert agent.output["stdout"] == b"True\n"


def test_waiting_start_gets_no_package_that_needs_a_thread(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    agent.change({"app.py": "import sys; print('threading_one' in sys.modules, 'good' in sys.modules)"})
    agent.send("preload", imports=["good", "crashing", "threading_one", "json"])
    assert agent.start()["warm"] is True
    agent.wait_for("exited")
    assert agent.output["stdout"] == b"False True\n"


def test_start_that_kills_every_fork_server_is_tried_twice(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    agent.change({"app.py": "print('on')"})
    agent.ask("preload", "preloaded", imports=["deadly"])
    agent.send("start", run="r", arguments=["app.py"], id=7)
    error = agent.wait_for("error")
    assert (error["kind"], error["id"]) == ("start", 7)
    assert len(agent.received("log")) == 2
    agent.ask("preload", "preloaded", imports=[])
    assert agent.run("print('on')")["code"] == 0


def test_waiting_start_can_be_stopped_and_another_waits_in_its_place(
    agent_with_packages: AgentProcess, tmp_path: Path
) -> None:
    agent = agent_with_packages
    agent.change({"app.py": "import sys; print('run', *sys.argv[1:], flush=True)"})
    agent.send("preload", imports=["slow"])
    agent.send("start", run="r", arguments=["app.py", "old"], id=7)
    importing = wait_for_import(tmp_path)
    agent.send("stop", run="r", grace=1)
    error = agent.wait_for("error")
    assert (error["kind"], error["id"]) == ("start", 7)
    agent.send("start", run="r", arguments=["app.py", "new"], id=8)
    agent.ask("memory", "memory")
    kill(importing)
    assert agent.wait_for("started")["id"] == 8
    assert agent.wait_for("exited")["code"] == 0
    assert agent.output["stdout"] == b"run new\n"


def test_stopped_start_does_not_run_when_the_imports_are_done(
    agent_with_packages: AgentProcess, tmp_path: Path
) -> None:
    agent = agent_with_packages
    packages = tmp_path / "packages"
    (packages / "until.py").write_text(
        f"import os, time\nopen(os.environ['MARKER'], 'w').write(str(os.getpid()))\n"
        f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)\n"
    )
    agent.change({"app.py": "import sys, time; print('run', *sys.argv[1:], flush=True); time.sleep(600)"})
    agent.send("preload", imports=["until"])
    agent.send("start", run="r", arguments=["app.py", "old"], id=7)
    wait_for_import(tmp_path)
    agent.send("stop", run="r", grace=1)
    agent.wait_for("error")
    agent.send("start", run="r", arguments=["app.py", "new"], id=8)
    agent.ask("memory", "memory")
    (tmp_path / "go").touch()
    assert agent.wait_for("started")["id"] == 8
    agent.wait_for_output(b"new")
    assert agent.stop()["reason"] == "stopped"
    assert agent.output["stdout"] == b"run new\n"
    assert len(descendants(agent.process.pid)) == 1  # the fork server


@pytest.mark.parametrize("others", [0, 1])
def test_agent_leaves_while_packages_are_imported(
    agent_with_packages: AgentProcess, tmp_path: Path, others: int
) -> None:
    agent = agent_with_packages
    if others:
        agent.run_until_on(run="other")
    agent.send("preload", imports=["slow"])
    for name in ("r", "s"):
        agent.send("start", run=name, arguments=["app.py"])
    wait_for_import(tmp_path)
    agent.send("goodbye")
    agent.wait_for_end()
    assert agent.close() == 0
    assert not agent.folder.exists()


def test_failed_fork_is_an_error_and_the_next_start_has_the_imports() -> None:
    """Within the test's process, because a limit on processes does not hold for root."""
    sent: list[dict[str, Any]] = []
    loop, host = EventLoop(), FakeHost(sent)
    manager = ForkServerManager(loop, host, lambda server, message: None)  # type: ignore[arg-type]
    before = len(list(Path("/proc/self/fd").iterdir()))

    def fail() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fork", fail)
        with pytest.raises(OSError, match="Resource"):
            manager.preload({"imports": ["json"]})
        with pytest.raises(OSError, match="Resource"):
            manager.require()
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        patch.setattr(os, "fork", lambda: 99999999)
        server = manager.require()
        assert server.imports == ["json"]
        # It dies, and another cannot be started.
        patch.setattr(os, "fork", fail)
        server.importing = "json"
        server.process_ended(signal.SIGKILL)
        assert [message["type"] for message in sent] == ["log"]
        patch.setattr(os, "fork", lambda: 99999998)
        assert manager.require().imports == []
        assert "json" in manager.require().failed
    loop.close()


class FakeHost:
    """Keeps what it is sent."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self._messages = messages

    def send(self, message: dict[str, Any]) -> None:
        self._messages.append(message)

    def answer(self, request: dict[str, Any], message: dict[str, Any]) -> None:
        self._messages.append(message)


def test_arguments_too_long_for_the_fork_server_make_the_start_cold(agent: AgentProcess) -> None:
    agent.change({"app.py": "import sys; print(len(sys.argv))"})
    started = agent.start("app.py", *["x" * 100] * 5000)
    assert agent.wait_for("exited")["code"] == 0
    assert agent.output["stdout"] == b"5001\n"
    assert started["warm"] is False


def test_package_that_says_too_much_or_writes_to_the_agent_is_left_out(agent_with_packages: AgentProcess) -> None:
    answer = agent_with_packages.ask("preload", "preloaded", imports=["wordy", "scribbling", "lying", "json"])
    assert set(answer["failed"]) == {"wordy", "scribbling", "lying"}
    assert len(answer["failed"]["wordy"]) <= 10_000
    assert "json" in answer["imports"]
    assert agent_with_packages.run("import json\nprint('on')")["code"] == 0
