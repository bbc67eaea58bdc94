"""The stacks of an app's threads, which the app itself sends many times a second."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from incamera.device.agent import Agent
from incamera.errors import AgentError, DeviceError
from incamera.guard.verbs import connect_socket
from incamera_agent.wire.protocol import MODULE, ErrorKind, Request

if TYPE_CHECKING:
    from incamera.device.attach import AttachSocket
    from incamera.transport.session import Session

# An app answers as soon as it can have Python's global lock.
_ANSWER_SECONDS = 30.0
# What is kept of a recording is bounded, whatever the app sends.
_MAXIMUM_FRAMES = 2_000_000
_MAXIMUM_THREADS = 10_000
_AGENT = f"{MODULE}/"
# What the agent has in front of the app's own code, in a fork that became the app.
_BECOMING = f"{_AGENT}forkserver/child.py"
# Below these folders a file's path tells what one imports it by.
_FOLDERS = re.compile(
    r".*/lib/python3(?:\.\d+)?/(?:dist-packages/|site-packages/)?"
    r"|.*?/incamera(?:-u\d+)?/(?:\.work/[^/]+|[^/]+/[^/]+)/app/|.*?/incamera-roots(?:-u\d+)?/[^/]+/app/"
    r"|.*?/incamera-(?:agent|debug)(?:-u\d+)?/[^/]+/(?:live|app)/"
)


class Frame(NamedTuple):
    """A function, and the line of it that is being executed. *file* is the path that it is imported by, if any."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


# The innermost frame comes last.
Stack = tuple[Frame, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """The stacks of each thread, by the thread's name and in the order seen; *interval* is in seconds."""

    threads: Mapping[str, Sequence[Stack]]
    interval: float

    @property
    def samples(self) -> int:
        return sum(map(len, self.threads.values()))

    def count_stacks(self) -> Counter[Stack]:
        """Return how often each stack was seen, in any thread."""
        return Counter(stack for stacks in self.threads.values() for stack in stacks)


def record_stacks(session: Session, guard: str, socket: AttachSocket, *, seconds: float, rate: int) -> Recording:
    """Ask the app behind *socket* for its stacks, *rate* times a second. Raises DeviceError."""
    threads: dict[str, list[Stack]] = defaultdict(list)
    # Threads mostly wait, so that the same stack comes again and again: it is kept once.
    kept: dict[Stack, Stack] = {}
    size = 0
    reason = "it has ended"
    looks = 0

    async def ask() -> None:
        nonlocal reason, looks, size
        channel = await connect_socket(session.transport, guard, socket.path)
        agent = Agent(channel)
        try:
            await agent.hello()
            due = time.monotonic()
            end = due + seconds
            while due < end:
                try:
                    answer = await agent.request(Request.STACKS, seconds=_ANSWER_SECONDS)
                    for name, stack in read_threads(answer.message["threads"]).items():
                        if stack not in kept:
                            size += len(stack)
                        threads[name].append(kept.setdefault(stack, stack))
                    if size > _MAXIMUM_FRAMES or len(threads) > _MAXIMUM_THREADS:
                        raise DeviceError(
                            f"{socket.app} on {session.device} sends more stacks than a picture can show",
                            hint="record for fewer --seconds",
                        )
                except AgentError as error:
                    if error.kind != ErrorKind.NO_RUN:  # between two runs, perhaps
                        raise
                    reason = str(error)
                looks += 1
                # When the network or a busy app delays an answer, that many samples are lost.
                due = max(due + 1 / rate, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
        finally:
            await agent.close()
            await channel.close()

    session.call(ask())
    if not threads:
        raise DeviceError(f"{socket.app} on {session.device} sent no stacks: {reason}")
    return Recording(threads=threads, interval=seconds / looks)


def read_threads(threads: Sequence[Mapping[str, Any]]) -> dict[str, Stack]:
    """Return the app's stacks by the names of their threads, without what the agent does in the app's process."""
    stacks: dict[str, Stack] = {}
    for thread in threads:
        frames = [make_frame(frame["function"], frame["file"], frame.get("line") or 0) for frame in thread["frames"]]
        if stack := _leave_out_agent(tuple(frames)):
            name, number = thread["name"], 1
            while name in stacks:
                number += 1
                name = f"{thread['name']} ({number})"
            stacks[name] = stack
    return stacks


def make_frame(function: str, file: str, line: int) -> Frame:
    return Frame(function, _FOLDERS.sub("", file, count=1), line)


def _leave_out_agent(stack: Stack) -> Stack:
    """Return *stack* as it would be without the agent; nothing for a thread of the agent's own."""
    begins = max((number for number, frame in enumerate(stack) if frame.file.startswith(_BECOMING)), default=-1) + 1
    rest = stack[begins:]
    return () if rest and rest[0].file.startswith(_AGENT) else rest
