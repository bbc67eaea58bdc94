"""What a Python process was seen doing, many times: its stacks, each with how often it was seen."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from incamera.errors import AgentError, DeviceError
from incamera.runtime.launcher.protocol import Verb
from incamera.transport.protocols import Program

if TYPE_CHECKING:
    from incamera.device.attach import Door
    from incamera.transport.session import Session

# A stack as the labels of its frames, `function (file:line)`, the innermost last.
Stack = tuple[str, ...]

_AGENT = "(incamera_agent/"
# What the agent has in front of the app's own code, in a fork that became the app.
_BECOMING = f"{_AGENT}forkserver/child.py:"
# Below these folders a file's path tells what one imports it by.
_FOLDERS = re.compile(
    r".*/lib/python3(?:\.\d+)?/(?:dist-packages/|site-packages/)?"
    r"|.*?/incamera/[^/]+/[^/]+/app/|.*?/incamera-roots/[^/]+/app/|.*?/incamera-(?:agent|debug)/[^/]+/(?:live|app)/"
)
_LABEL = re.compile(r"(.*) \((.*):(\d+)\)")


def parse_folded(text: str) -> Counter[Stack]:
    """Parse lines like `main (app.py:3);double (helper.py:7) 12`, without what the agent does in the app's process."""
    stacks: Counter[Stack] = Counter()
    for line in text.splitlines():
        frames, _, count = line.rpartition(" ")
        if not frames or not count.isdigit():
            raise ValueError(f"{line!r} is no stack")
        if stack := leave_out_agent(tuple(map(_shorten, frames.split(";")))):
            stacks[stack] += int(count)
    return stacks


def leave_out_agent(stack: Stack) -> Stack:
    """Return *stack* as it would be without the agent; nothing for threads of its own in the app's process."""
    begins = max((number for number, frame in enumerate(stack) if _BECOMING in frame), default=-1) + 1
    rest = stack[begins:]
    return () if rest and _AGENT in rest[0] else rest


def label(function: str, file: str, line: int) -> str:
    return f"{function} ({_FOLDERS.sub('', file, count=1)}:{line})"


def _shorten(frame: str) -> str:
    match = _LABEL.fullmatch(frame)
    return label(match[1], match[2], int(match[3])) if match else frame


def ask_for_stacks(session: Session, guard: str, door: Door, *, seconds: float, rate: int) -> Counter[Stack]:
    """Ask the app behind *door* for the stacks of all its threads, so many times a second. Raises DeviceError."""
    stacks: Counter[Stack] = Counter()
    reason = "it has ended"

    async def ask() -> None:
        from incamera.device.agent import Agent

        nonlocal reason
        channel = await session.transport.start(Program((guard, Verb.connect, door.path)))
        agent = Agent(channel)
        try:
            await agent.hello()
            due = time.monotonic()
            end = due + seconds
            while due < end:
                try:
                    stacks.update(_read_threads((await agent.request("stacks")).message["threads"]))
                except AgentError as error:
                    if error.kind != "no-run":  # between two runs, perhaps
                        raise
                    reason = str(error)
                # What the network or a busy app held up is not made up for.
                due = max(due + 1 / rate, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
        finally:
            await agent.close()
            await channel.close()

    session.call(ask())
    if not stacks:
        raise DeviceError(f"{door.app} on {session.device} did not tell what it does: {reason}")
    return stacks


def _read_threads(threads: Sequence[Mapping[str, Any]]) -> list[Stack]:
    stacks = [
        tuple(label(str(frame["function"]), str(frame["file"]), int(frame["line"])) for frame in thread["frames"])
        for thread in threads
    ]
    return [stack for stack in map(leave_out_agent, stacks) if stack]
