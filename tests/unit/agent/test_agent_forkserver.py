"""The warm process: what packages do when they are imported, good or bad."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from incamera_agent.server.forkserver import ForkServerManager
from incamera_agent.wire.loop import EventLoop

from .agent_process import PATIENCE_SECONDS, SOURCE, AgentProcess
from .test_agent_runs import processes_below

pytestmark = pytest.mark.starts_processes

PACKAGES = {
    "good": "import time\ntime.sleep(0.05)\nprint('good was here')\n",
    "missing_part": "import nonsuch\n",
    "raising": "raise RuntimeError('no device')\n",
    "leaving": "import sys\nsys.exit(3)\n",
    "crashing": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "deadly": "import os, signal\nos.fork = lambda: os.kill(os.getpid(), signal.SIGKILL)\n",
    "slow": "import os, time\nopen(os.environ['MARKER'], 'w').write(str(os.getpid()))\ntime.sleep(60)\n",
    "slow_once": (
        "import os, time\nmarker = os.environ['MARKER']\n"
        "if not os.path.exists(marker):\n    open(marker, 'w').write(str(os.getpid()))\n    time.sleep(60)\n"
    ),
    # What it starts holds the line to the agent when it has crashed.
    "forking": (
        "import os, signal, time\nif os.fork() == 0:\n    time.sleep(60)\n    os._exit(0)\n"
        "os.kill(os.getpid(), signal.SIGSEGV)\n"
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


def test_imports_are_paid_once_and_their_price_is_told(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    warmed = agent.ask("preload", "preloaded", imports=["good", "json"])
    assert warmed["imports"]["good"] >= 0.05
    assert warmed["failed"] == {}
    assert warmed["rss"] > 0
    assert "good was here" in agent.wait("log")["text"]
    for _ in range(2):
        agent.run("import sys; print('good' in sys.modules); import good; sys.stdout.flush()")
    assert agent.output["stdout"] == b"True\nTrue\n"


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
def test_a_package_that_cannot_be_warm_does_not_keep_others_from_it(
    agent_with_packages: AgentProcess, name: str, why: str
) -> None:
    agent = agent_with_packages
    warmed = agent.ask("preload", "preloaded", imports=["json", name, "good"])
    assert why in warmed["failed"][name]
    assert set(warmed["imports"]) == {"json", "good"}
    agent.change({"app.py": "import sys; print('good' in sys.modules)"})
    assert agent.start()["warm"] is True
    agent.wait("exited")
    assert agent.output["stdout"] == b"True\n"
    assert len(processes_below(agent.process.pid)) == 1  # the warm process


def test_it_can_be_warmed_anew_while_an_app_runs(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    agent.ask("preload", "preloaded", imports=["json"])
    agent.change({"app.py": "import time\nprint('on', flush=True)\ntime.sleep(60)\n"})
    agent.start(run="old")
    agent.await_output(b"on")
    agent.ask("preload", "preloaded", imports=["good"])
    agent.change({"app.py": "import sys; print('good' in sys.modules, flush=True)"})
    agent.start(run="new")
    assert agent.wait("exited")["run"] == "new"
    agent.send("stop", run="old", grace=1)
    end = agent.wait("exited")
    assert (end["run"], end["signal"]) == ("old", signal.SIGTERM)
    assert agent.output["stdout"] == b"on\nTrue\n"


def test_the_folder_that_the_agent_was_started_in_is_no_place_for_modules(
    start_agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    (tmp_path / "decimal.py").write_text("print('mine')\n")
    agent = start_agent()
    agent.begin(["decimal"])
    agent.run("import decimal; print(decimal.__file__)")
    assert str(tmp_path) not in agent.output["stdout"].decode()


def test_a_start_waits_for_a_warm_process_that_is_being_made(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    agent.change({"app.py": "import sys; print('good' in sys.modules)"})
    agent.send("preload", imports=["good"])
    assert agent.start()["warm"] is True
    agent.wait("exited")
    assert agent.output["stdout"] == b"True\n"


def await_marker(tmp_path: Path) -> int:
    """Return the number of the process that is importing."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    marker = tmp_path / "marker"
    while not (marker.exists() and marker.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(marker.read_text())


def test_a_start_that_waits_does_not_notice_that_the_warm_process_dies(
    agent_with_packages: AgentProcess, tmp_path: Path
) -> None:
    agent = agent_with_packages
    agent.change({"app.py": "import sys; print('good' in sys.modules)"})
    agent.send("preload", imports=["good", "slow_once"])
    agent.send("start", run="r", arguments=["app.py"], id=7)
    os.kill(await_marker(tmp_path), signal.SIGKILL)
    assert agent.wait("started")["id"] == 7
    assert agent.wait("exited")["code"] == 0
    assert agent.output["stdout"] == b"True\n"


def test_a_start_that_waits_gets_no_package_that_has_lost_its_thread(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    agent.change({"app.py": "import sys; print('threading_one' in sys.modules, 'good' in sys.modules)"})
    agent.send("preload", imports=["good", "crashing", "threading_one", "json"])
    assert agent.start()["warm"] is True
    agent.wait("exited")
    assert agent.output["stdout"] == b"False True\n"


def test_a_start_that_kills_every_warm_process_is_tried_twice_and_no_more(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    agent.change({"app.py": "print('on')"})
    agent.ask("preload", "preloaded", imports=["deadly"])
    agent.send("start", run="r", arguments=["app.py"], id=7)
    error = agent.wait("error")
    assert (error["kind"], error["id"]) == ("start", 7)
    assert len([message for message, _ in agent.messages if message["type"] == "log"]) == 2
    agent.ask("preload", "preloaded", imports=[])
    assert agent.run("print('on')")["code"] == 0


def test_a_run_that_waits_for_imports_can_be_stopped_and_another_started(
    agent_with_packages: AgentProcess, tmp_path: Path
) -> None:
    agent = agent_with_packages
    agent.change({"app.py": "import sys; print('run', *sys.argv[1:], flush=True)"})
    agent.send("preload", imports=["slow"])
    agent.send("start", run="r", arguments=["app.py", "old"], id=7)
    importing = await_marker(tmp_path)
    agent.send("stop", run="r", grace=1)
    error = agent.wait("error")
    assert (error["kind"], error["id"]) == ("start", 7)
    agent.send("start", run="r", arguments=["app.py", "new"], id=8)
    agent.ask("memory", "memory")
    os.kill(importing, signal.SIGKILL)
    assert agent.wait("started")["id"] == 8
    assert agent.wait("exited")["code"] == 0
    assert agent.output["stdout"] == b"run new\n"


def test_what_was_stopped_is_not_run_when_the_imports_are_done(
    agent_with_packages: AgentProcess, tmp_path: Path
) -> None:
    agent = agent_with_packages
    packages = tmp_path / "packages"
    (packages / "until.py").write_text(
        f"import os, time\nopen(os.environ['MARKER'], 'w').write(str(os.getpid()))\n"
        f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)\n"
    )
    agent.change({"app.py": "import sys, time; print('run', *sys.argv[1:], flush=True); time.sleep(60)"})
    agent.send("preload", imports=["until"])
    agent.send("start", run="r", arguments=["app.py", "old"], id=7)
    await_marker(tmp_path)
    agent.send("stop", run="r", grace=1)
    agent.wait("error")
    agent.send("start", run="r", arguments=["app.py", "new"], id=8)
    agent.ask("memory", "memory")
    (tmp_path / "go").touch()
    assert agent.wait("started")["id"] == 8
    agent.await_output(b"new")
    agent.send("stop", run="r", grace=1)
    assert agent.wait("exited")["reason"] == "stopped"
    assert agent.output["stdout"] == b"run new\n"
    assert len(processes_below(agent.process.pid)) == 1  # the warm process


@pytest.mark.parametrize("others", [0, 1])
def test_imports_that_take_long_do_not_keep_the_agent_from_leaving(
    agent_with_packages: AgentProcess, tmp_path: Path, others: int
) -> None:
    agent = agent_with_packages
    if others:
        agent.change({"app.py": "import time; print('on', flush=True); time.sleep(60)"})
        agent.start(run="other")
        agent.await_output(b"on")
    agent.send("preload", imports=["slow"])
    for name in ("r", "s"):
        agent.send("start", run=name, arguments=["app.py"])
    await_marker(tmp_path)
    agent.send("goodbye")
    agent.await_end()
    assert agent.close() == 0
    assert not agent.folder.exists()


def test_where_nothing_can_be_forked_the_start_says_so_and_the_imports_are_not_forgotten() -> None:
    """In this process: a limit on processes would not hold for root."""
    told: list[dict[str, Any]] = []
    loop, host = EventLoop(), Told(told)
    warming = ForkServerManager(loop, host, lambda warm, message: None)  # type: ignore[arg-type]
    before = len(list(Path("/proc/self/fd").iterdir()))

    def fail() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fork", fail)
        with pytest.raises(OSError, match="Resource"):
            warming.preload({"imports": ["json"]})
        with pytest.raises(OSError, match="Resource"):
            warming.require()
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        patch.setattr(os, "fork", lambda: 99999999)
        warm = warming.require()
        assert warm.imports == ["json"]
        # It dies, and another cannot be made.
        patch.setattr(os, "fork", fail)
        warm.importing = "json"
        warm.process_ended(signal.SIGKILL)
        assert [message["type"] for message in told] == ["log"]
        patch.setattr(os, "fork", lambda: 99999998)
        assert warming.require().imports == []
        assert "json" in warming.require().failed
    loop.close()


class Told:
    """A host that keeps what it is sent."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self._messages = messages

    def send(self, message: dict[str, Any]) -> None:
        self._messages.append(message)

    def answer(self, request: dict[str, Any], message: dict[str, Any]) -> None:
        self._messages.append(message)


def test_arguments_too_long_for_the_warm_process_are_no_reason_to_fail(agent: AgentProcess) -> None:
    agent.change({"app.py": "import sys; print(len(sys.argv))"})
    started = agent.start("app.py", *["x" * 100] * 5000)
    assert agent.wait("exited")["code"] == 0
    assert agent.output["stdout"] == b"5001\n"
    assert started["warm"] is False
