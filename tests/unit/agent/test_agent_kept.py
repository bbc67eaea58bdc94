"""An agent that waits for the next run: it holds no app, and can be attached to while something runs."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.waiting import wait_until

from incamera_agent.wire.protocol import RUN_VARIABLE, RUNS_FOLDER

from .agent_process import FOREVER, AgentProcess

pytestmark = pytest.mark.starts_processes


@pytest.fixture
def kept(start_agent: Callable[..., AgentProcess]) -> Iterator[Callable[[], tuple[AgentProcess, Path]]]:
    """Starts agents that wait, each in the folder of a run."""
    folders = []

    def start() -> tuple[AgentProcess, Path]:
        folder = Path(RUNS_FOLDER, f"incamera-run-test-{secrets.token_hex(4)}")
        folder.mkdir(mode=0o700)
        folders.append(folder)
        agent = start_agent(words=["--kept"], environment={RUN_VARIABLE: folder.name})
        agent.begin()
        return agent, folder

    yield start
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def test_agents_that_wait_keep_nobody_from_the_app(
    kept: Callable[[], tuple[AgentProcess, Path]], agent: AgentProcess
) -> None:
    (first, _), (second, _) = kept(), kept()
    for one in (first, second, agent):
        assert one.run("print('on')")["code"] == 0


def test_agent_that_waits_has_a_socket_only_while_something_runs(
    kept: Callable[[], tuple[AgentProcess, Path]],
) -> None:
    agent, folder = kept()
    socket = folder / "app.socket"
    assert not socket.exists()
    agent.run_until_on(FOREVER)
    assert socket.is_socket()
    agent.send("stop", run="r", grace=0)
    agent.wait_for("exited")
    wait_until(lambda: not socket.exists(), "nobody can attach any more")
    assert agent.run("print('on')")["code"] == 0


def test_agent_that_waits_tells_its_memory_when_a_run_has_ended(kept: Callable[[], tuple[AgentProcess, Path]]) -> None:
    agent, _ = kept()
    agent.run("print('on')")
    memory = agent.wait_for("memory")
    assert memory["run"] is None
    assert memory["agent"] > 0
