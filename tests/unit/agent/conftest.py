"""Agents to test with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .agent_process import AgentProcess


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Starts agents, which end with the test."""
    app = tmp_path / "bundle" / "app"
    app.mkdir(parents=True)
    (app / "app.py").write_text("print('hello')\n")
    agents = []

    def start(**options: Any) -> AgentProcess:
        agents.append(AgentProcess(tmp_path / "agents", app, **options))
        return agents[-1]

    yield start
    for agent in agents:
        agent.close()


@pytest.fixture
def agent(start_agent: Callable[..., AgentProcess]) -> AgentProcess:
    """An agent with a fork server, and a live folder with an app that prints `hello`."""
    agent = start_agent()
    agent.begin()
    return agent
