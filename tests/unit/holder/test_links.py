"""Connections and agents that the holder keeps: which of them ends, and when."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from incamera.errors import ConnectionLost
from incamera.holder import links, server
from incamera.holder.agents import Agents, KeptAgent, Limits
from incamera.holder.links import Link, Links
from incamera.holder.server import Holder
from incamera.transport.device import Device, SshAddress
from incamera_agent.wire.frames import Frame

DEVICE = Device(name="cam", address=SshAddress(host="192.0.2.10"))


class Silent:
    """A connection in an outage: nothing has come over it for a while, and nothing comes."""

    device = DEVICE
    silent_seconds = 9.0
    is_closed = False

    async def addresses(self) -> None:
        raise ConnectionLost("no answer")

    async def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(("agents", "survives"), [(1, True), (0, False)])
def test_command_in_an_outage_ends_no_connection_that_an_app_runs_over(
    agents: int, survives: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport: Any = Silent()
    with ExitStack() as proxies:
        link = Link("token", "key", DEVICE, transport, proxies, opened=0, used=0, agents=agents)

        async def connect(*_: object, **__: object) -> Silent:
            return Silent()

        monkeypatch.setattr(links, "open_ssh", connect)
        held = Links()
        held.all.append(link)
        taken, is_reused = asyncio.run(held.take("key", DEVICE, known_hosts=tmp_path, environment={}))
    assert taken is not link
    assert not is_reused
    assert (link in held.all, transport.is_closed) == (survives, not survives)


class Supervised:
    """The run of an agent, which can be ended."""

    is_ended = False

    async def end(self) -> None:
        self.is_ended = True


def link(idle: float, **more: Any) -> Link:
    """Return a connection that was last used *idle* seconds ago."""
    transport: Any = Silent()
    used = time.monotonic() - idle
    return Link(f"{idle}{more}", "key", DEVICE, transport, ExitStack(), opened=0, used=used, **more)


def agent(over: Link, idle: float) -> KeptAgent:
    """Return an agent that has waited for *idle* seconds, with the limits of the memory that it may have."""
    supervised: Any = Supervised()
    channel: Any = None
    limits = Limits(used=100_000_000, free=50_000_000)
    kept = KeptAgent("bell", "bell", over, supervised, channel, limits)
    kept.used, kept.asked = time.monotonic() - idle, time.monotonic()
    over.agents += 1
    return kept


def test_connection_that_nobody_has_used_for_ten_minutes_is_closed() -> None:
    recent, old, busy, with_agent = link(590), link(601), link(9999, busy=True), link(9999, agents=1)
    held = Links()
    held.all += [recent, old, busy, with_agent]
    asyncio.run(held.end_idle())
    assert held.all == [recent, busy, with_agent]
    assert [each.transport.is_closed for each in (recent, old, busy, with_agent)] == [False, True, False, False]


def test_agent_that_nobody_has_used_for_ten_minutes_is_ended() -> None:
    over = link(601)
    recent, old = agent(over, 590), agent(over, 601)
    agents = Agents()
    agents.all += [recent, old]
    asyncio.run(agents.end_idle())
    assert (agents.all, over.agents) == ([recent], 1)
    assert (recent.supervised.is_ended, old.supervised.is_ended) == (False, True)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("memory", "stays"),
    [
        ({"agent": 20_000_000, "fork_server": 70_000_000, "free": 60_000_000}, True),
        ({"agent": 20_000_000, "fork_server": 90_000_000, "free": 600_000_000}, False),
        ({"agent": 20_000_000, "fork_server": 70_000_000, "free": 40_000_000}, False),
    ],
)
def test_agent_that_waits_is_ended_when_it_takes_too_much_memory_or_leaves_too_little(
    memory: dict[str, int], stays: bool
) -> None:
    kept = agent(link(0), 0)
    agents = Agents()
    agents.all.append(kept)
    asyncio.run(agents._take(kept, Frame({"type": "memory", "run": None, **memory}, b"")))
    assert (kept in agents.all, kept.supervised.is_ended) == (stays, not stays)  # type: ignore[attr-defined]


def test_holder_ends_when_it_has_held_nothing_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_CHECK_SECONDS", 0.001)
    monkeypatch.setattr(server, "_LINGER_SECONDS", 0.0)

    async def hold() -> None:
        holder, checks = Holder(lambda: None), 0
        holder._links.all.append(link(0))
        end_idle = holder._links.end_idle

        async def count() -> None:
            nonlocal checks
            checks += 1
            assert not holder.ended.is_set()
            if checks == 5:
                holder._links.all.clear()
            await end_idle()

        monkeypatch.setattr(holder._links, "end_idle", count)
        await holder.watch()
        assert (checks, holder.ended.is_set()) == (5, True)

    asyncio.run(hold())
