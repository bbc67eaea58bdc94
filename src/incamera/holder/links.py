"""The SSH connections that the holder keeps. One command at a time uses each. They end after ten idle minutes."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import ConnectionLost, DeviceError
from incamera.transport.session import in_time
from incamera.transport.ssh import open_ssh

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.transport.device import Device
    from incamera.transport.ssh_transport import SshTransport

IDLE_SECONDS = 600.0
# SSH's own keepalive has the device answer every 4.5 s. One that has been silent for longer may be gone: it is asked.
_SILENT_SECONDS = 7.0
_ANSWER_SECONDS = 3.0
# What a suspended computer did not count: connections may have ended meanwhile.
_SUSPENDED_SECONDS = 2.0


@dataclass(eq=False, slots=True)
class Link:
    """One SSH connection. *key* stands for the device and everything that decided how it was connected to."""

    token: str
    """What the command that uses it names it by."""
    key: str
    device: Device
    transport: SshTransport
    proxies: ExitStack
    opened: float
    """When it was made, as `time.time` counts."""
    used: float
    """When it was last in use, as `time.monotonic` counts."""
    uses: int = 0
    busy: bool = False
    """A command uses it now."""
    agents: int = 0
    """How many agents in the device need it."""
    suspended: float = field(default_factory=lambda: suspended_seconds())

    async def answers(self) -> bool:
        """Return whether the device is still there; it is asked only when it has been silent."""
        if self.transport.is_closed:
            return False
        asleep = suspended_seconds() - self.suspended > _SUSPENDED_SECONDS
        if not asleep and self.transport.silent_seconds < _SILENT_SECONDS:
            return True
        try:
            await in_time(self.transport, self.transport.addresses(), _ANSWER_SECONDS)
        except DeviceError:
            return False
        self.suspended = suspended_seconds()
        return True

    async def close(self) -> None:
        with suppress(DeviceError, OSError):
            await self.transport.close()
        await asyncio.to_thread(self.proxies.close)


class Links:
    """All connections of the holder."""

    def __init__(self) -> None:
        self.all: list[Link] = []

    async def take(
        self, key: str, device: Device, *, known_hosts: Path, environment: Mapping[str, str]
    ) -> tuple[Link, bool]:
        """Return a connection for one command, and whether it was open already. Raises what `open_ssh` raises."""
        for link in list(self.all):
            if link.device.identity != device.identity or link.busy:
                continue
            # Marked first: others look while this one waits.
            link.busy = True
            if link.key == key and await link.answers():
                link.uses += 1
                link.token = secrets.token_hex(8)
                return link, True
            link.busy = False
            # The way to the device has changed, or it is silent: then a run of an agent may survive the outage.
            if not link.agents or link.transport.is_closed:
                await self.end(link)
        proxies = ExitStack()
        try:
            transport = await open_ssh(device, known_hosts=known_hosts, environment=environment, proxies=proxies)
        except BaseException:
            proxies.close()
            raise
        link = Link(
            token=secrets.token_hex(8),
            key=key,
            device=device,
            transport=transport,
            proxies=proxies,
            opened=time.time(),
            used=time.monotonic(),
            uses=1,
            busy=True,
        )
        self.all.append(link)
        return link, False

    def require(self, token: object) -> Link:
        """Return the connection that a command uses as *token*. Raises ConnectionLost."""
        link = next((link for link in self.all if link.token == token and link.busy), None)
        if link is None or link.transport.is_closed:
            raise ConnectionLost("the connection was closed meanwhile")
        return link

    async def release(self, link: Link) -> None:
        """Keep *link* for the next command, unless it is lost, or another idle one leads to the same device."""
        link.busy, link.used = False, time.monotonic()
        twins = [other for other in self.all if other.key == link.key and other is not link and not other.busy]
        if link.transport.is_closed or (twins and not link.agents):
            await self.end(link)

    async def end(self, link: Link) -> None:
        if link in self.all:
            self.all.remove(link)
        await link.close()

    async def end_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """End the connections that nobody has used for so long, and those that are lost."""
        for link in list(self.all):
            idle = not link.busy and not link.agents and time.monotonic() - link.used >= seconds
            if idle or (link.transport.is_closed and not link.busy):
                await self.end(link)


def suspended_seconds() -> float:
    """Return for how long this computer has been suspended since it started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
