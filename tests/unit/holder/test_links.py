"""Connections that the holder keeps: which of them ends when a command asks for one."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from incamera.errors import ConnectionLost
from incamera.holder import links
from incamera.holder.links import Link, Links
from incamera.transport.device import Device, SshAddress

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
