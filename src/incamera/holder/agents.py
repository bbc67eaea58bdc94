"""Agents that wait in a camera for the next run: the holder keeps their channel, and lends it to one command at a time.

A command that ends without giving the agent back, because it was killed for example, ends the agent and its app.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from incamera.errors import ConnectionLost, DeviceError
from incamera.guard.answers import keep_last_errors
from incamera.guard.supervise import SupervisedRun
from incamera.holder.links import IDLE_SECONDS
from incamera.holder.messages import encode_error
from incamera_agent.wire.frames import Decoder, FrameError, encode
from incamera_agent.wire.protocol import Answer, Request

if TYPE_CHECKING:
    from incamera.holder.links import Link
    from incamera.holder.messages import Stream
    from incamera.transport.protocols import Channel, Program
    from incamera_agent.wire.frames import Frame, Message

_CHUNK = 1 << 16
# How often the memory of an agent that waits is looked at.
_MEMORY_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much memory of the camera an agent that waits may take, and how much must be free, in bytes."""

    used: int
    free: int

    def allow(self, message: Message) -> bool:
        """Return whether the agent may wait, after its message `memory` while nothing runs."""
        used = sum(value for name in ("agent", "fork_server") if isinstance(value := message.get(name), int))
        free = message.get("free")
        return used <= self.used and not (isinstance(free, int) and free < self.free)


@dataclass(eq=False, slots=True)
class KeptAgent:
    """An agent over *link*. *name* says for what it can be used, *app* is the app, *state* is the commands' own."""

    name: str
    app: str
    link: Link
    supervised: SupervisedRun
    channel: Channel
    limits: Limits
    state: dict[str, Any] = field(default_factory=dict)
    client: Stream | None = None
    used: float = field(default_factory=time.monotonic)
    asked: float = 0.0
    ended: bool = False
    is_too_large: bool = False
    errors: bytearray = field(default_factory=bytearray)

    async def send(self, message: Message) -> None:
        await self.channel.write(encode(message))


class Agents:
    """All agents that the holder keeps."""

    def __init__(self) -> None:
        self.all: list[KeptAgent] = []
        self._reading: set[asyncio.Task[None]] = set()

    async def start(self, link: Link, message: Message, program: Program) -> KeptAgent | None:
        """Start an agent with *program*, in place of one of the same name. None where a command uses that.

        Raises DeviceError, ConnectionLost.
        """
        name = str(message["name"])
        for other in list(self.all):
            if other.name == name:
                if other.client is not None:
                    return None
                await self.end(other)
        supervised = SupervisedRun(link.transport, str(message["guard"]), program)
        channel = await supervised.start()
        limits = Limits(used=int(message["used_limit"]), free=int(message["free_limit"]))
        agent = KeptAgent(name, str(message["app"]), link, supervised, channel, limits)
        link.agents += 1
        self.all.append(agent)
        for work in (self._read(agent), keep_last_errors(channel, agent.errors)):
            task = asyncio.create_task(work)
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)
        return agent

    async def find(self, name: str) -> KeptAgent | None:
        """Return the agent *name* if it waits, and its device is there."""
        for agent in list(self.all):
            if agent.name == name and agent.client is None and not agent.ended:
                if await agent.link.answers():
                    return agent if agent.client is None and not agent.ended else None
                await self.end(agent)
        return None

    async def lend(self, agent: KeptAgent, client: Stream) -> None:
        """Let *client* talk to the agent until it gives it back; end the agent if it does not."""
        agent.client = client
        try:
            await client.send({"type": "leased", "state": agent.state})
            while (frame := await client.read()) is not None and not agent.ended:
                if frame.type == "release":
                    agent.state = dict(frame.message["state"])
                    agent.client, agent.used = None, time.monotonic()
                    if agent.is_too_large:
                        await self.end(agent)
                    return
                await agent.channel.write(frame.payload)
        except DeviceError as error:
            with suppress(OSError):
                await client.send(encode_error(error))
        finally:
            if agent.client is client:
                await self.end(agent)

    async def end(self, agent: KeptAgent) -> None:
        """End the agent, and the app that it runs."""
        if agent.ended:
            return
        agent.ended = True
        if agent in self.all:
            self.all.remove(agent)
        agent.link.agents -= 1
        agent.link.used = time.monotonic()
        with suppress(DeviceError):
            await agent.supervised.end()

    async def end_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """End the agents that nobody has used for so long, and look at the memory of the others."""
        now = time.monotonic()
        for agent in list(self.all):
            if agent.client is not None:
                continue
            if now - agent.used >= seconds or agent.link.transport.is_closed:
                await self.end(agent)
            elif now - agent.asked >= _MEMORY_SECONDS:
                await self._ask_memory(agent)

    async def _ask_memory(self, agent: KeptAgent) -> None:
        agent.asked = time.monotonic()
        with suppress(DeviceError):
            await agent.send({"type": Request.MEMORY})

    async def _read(self, agent: KeptAgent) -> None:
        """Pass on what the agent says in whole frames, so that the next command begins with a whole one."""
        decoder, failure = Decoder(), None
        try:
            while data := await agent.channel.read(_CHUNK):
                for frame in decoder.feed(data):
                    await self._take(agent, frame)
        except (DeviceError, FrameError) as error:
            failure = error if isinstance(error, DeviceError) else DeviceError(f"the agent sent no frame: {error}")
        client = agent.client
        if client is not None:
            text = agent.errors.decode("utf-8", "replace").strip()
            failure = failure or ConnectionLost(f"the agent in the camera has ended{f': {text}' if text else ''}")
            with suppress(OSError):
                await client.send(encode_error(failure))
        await self.end(agent)

    async def _take(self, agent: KeptAgent, frame: Frame) -> None:
        # It says so unasked when a run has ended, perhaps before the command has given it back.
        if frame.type == Answer.MEMORY and frame.message.get("run") is None:
            agent.asked = time.monotonic()
            agent.is_too_large = not agent.limits.allow(frame.message)
        if agent.client is not None:
            with suppress(OSError):  # `lend` notices that it has gone
                await agent.client.send({"type": "data"}, encode(frame.message, frame.payload))
        elif agent.is_too_large:
            await self.end(agent)
