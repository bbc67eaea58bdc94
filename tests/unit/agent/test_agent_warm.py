"""The warm process: what packages do when they are imported, good or bad."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from .agent_process import SOURCE, AgentProcess
from .test_agent_runs import processes_below

pytestmark = pytest.mark.starts_processes

PACKAGES = {
    "good": "import time\ntime.sleep(0.05)\nprint('good was here')\n",
    "missing_part": "import nonsuch\n",
    "raising": "raise RuntimeError('no device')\n",
    "leaving": "import sys\nsys.exit(3)\n",
    "crashing": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "threading_one": "import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n",
}


@pytest.fixture
def agent_with_packages(start_agent: Callable[..., AgentProcess], tmp_path: Path) -> AgentProcess:
    packages = tmp_path / "packages"
    packages.mkdir()
    for name, text in PACKAGES.items():
        (packages / f"{name}.py").write_text(text)
    agent = start_agent(environment={"PYTHONPATH": os.pathsep.join((str(packages), str(SOURCE)))})
    agent.ask("hello", "hello", protocol=1, tool="test")
    agent.open()
    return agent


def test_imports_are_paid_once_and_their_price_is_told(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    warmed = agent.ask("warm", "warmed", imports=["good", "json"])
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
        ("threading_one", "thread"),
        ("not_there", "ModuleNotFoundError"),
    ],
)
def test_a_package_that_cannot_be_warm_does_not_keep_others_from_it(
    agent_with_packages: AgentProcess, name: str, why: str
) -> None:
    agent = agent_with_packages
    warmed = agent.ask("warm", "warmed", imports=["json", name, "good"])
    assert why in warmed["failed"][name]
    assert set(warmed["imports"]) == {"json", "good"}
    agent.change({"app.py": "import sys; print('good' in sys.modules)"})
    assert agent.start()["warm"] is True
    agent.wait("exited")
    assert agent.output["stdout"] == b"True\n"
    assert len(processes_below(agent.process.pid)) == 1


def test_it_can_be_warmed_anew_while_an_app_runs(agent_with_packages: AgentProcess) -> None:
    agent = agent_with_packages
    agent.ask("warm", "warmed", imports=["json"])
    agent.change({"app.py": "import time\nprint('on', flush=True)\ntime.sleep(60)\n"})
    agent.start(run="old")
    agent.await_output(b"on")
    agent.ask("warm", "warmed", imports=["good"])
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
    agent.send("warm", imports=["good"])
    assert agent.start()["warm"] is True
    agent.wait("exited")
    assert agent.output["stdout"] == b"True\n"


def test_arguments_too_long_for_the_warm_process_are_no_reason_to_fail(agent: AgentProcess) -> None:
    agent.change({"app.py": "import sys; print(len(sys.argv))"})
    started = agent.start("app.py", *["x" * 100] * 5000)
    assert agent.wait("exited")["code"] == 0
    assert agent.output["stdout"] == b"5001\n"
    assert started["warm"] is False
