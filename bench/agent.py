"""The agent in a virtual camera, run from a network share that was read before: its memory and its start.

Memory is what is resident of the process, as the kernel tells. A start is timed on the host, over a connection that is
open: for the agent until it has answered the first question, for Python until what it prints has arrived.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from incamera.connect.choose import virtual_device
from incamera.connect.connection import connected
from incamera.context import Context
from incamera.deployment.request import DeployRequest
from incamera.device.agent import Agent
from incamera.device.agent_program import make_agent_program
from incamera.guard.supervise import SupervisedRun
from incamera.project.loading import load_project
from incamera.targets.form import Kind
from incamera.targets.profile import require_profile
from incamera.transport.protocols import Program
from incamera.virtual.start import start_virtual
from incamera.workflows.deploy import deployed
from measure import Failed, Figure, main, say, temporary_folder
from silent import SilentReporter

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.deployment.apply import Deployed
    from incamera.transport.session import Session
    from incamera_agent.wire.frames import Frame

MEBIBYTE = 1 << 20
BARE = "print(open('/proc/self/status').read().split('VmRSS:')[1].split()[0])"
APP = "import numpy\nprint(numpy.ones(3).sum())\n"


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    context = Context.open(SilentReporter())
    with temporary_folder() as folder, ExitStack() as stack:
        project = folder / "project"
        _write_project(project)
        camera = start_virtual(
            context, require_profile(arguments.profile), owner_pid=os.getpid(), name=f"bench-agent-{os.getpid()}"
        )
        stack.callback(_stop, context, camera.name)
        request = DeployRequest(device=camera.name)
        if arguments.place == "share":
            _attach(context, stack, folder, camera.name)
            request = DeployRequest(device=camera.name, place=Kind.share)
        say("build and deploy")
        loaded = load_project(project)
        done = stack.enter_context(deployed(context, loaded, request))
        say("a first start of each, not counted")
        _start_bare(done)
        done.session.call(_start_agent(done))
        say(f"{arguments.rounds} rounds")
        bare, agents = [], []
        for _ in range(arguments.rounds):
            bare.append(_start_bare(done))
            agents.append(done.session.call(_start_agent(done)))
    bare_seconds, bare_size = (statistics.median(column) for column in zip(*bare, strict=True))
    seconds, before, after, warm = (statistics.median(column) for column in zip(*agents, strict=True))
    baseline = f"`python3 -c pass`: {bare_size / MEBIBYTE:.1f} MiB"
    return [
        Figure(name="agent, start", value=seconds, unit="s", goal=1, baseline=f"`python3 -c …`: {bare_seconds:.2f} s"),
        Figure(name="agent, before a run", value=before / MEBIBYTE, unit="MiB", goal=12, baseline=baseline),
        Figure(name="agent, after a run", value=after / MEBIBYTE, unit="MiB", goal=12, baseline=baseline),
        Figure(name="start → numpy's first line, warm", value=warm, unit="s"),
    ]


def _write_project(folder: Path) -> None:
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "agent-bench"\nversion = "1"\ndependencies = ["numpy"]\n\n[tool.incamera]\n'
    )


def _attach(context: Context, stack: ExitStack, folder: Path, camera: str) -> None:
    from incamera.connect.shares import attach_share
    from incamera.share.settings import ShareSettings
    from incamera.virtual.camera import require_camera
    from incamera.workflows.share import forget_share, served

    (folder / "share").mkdir()
    name = f"agent-{os.getpid()}"
    stack.callback(forget_share, context, name)
    share, _ = stack.enter_context(served(context, name, ShareSettings(folder=folder / "share")))
    with connected(context, virtual_device(require_camera(context.store, camera))) as connection:
        attach_share(context, connection, share)


def _start_bare(done: Deployed) -> tuple[float, float]:
    """Return how long a bare Python takes, and its size."""

    async def start(session: Session) -> tuple[float, bytes]:
        began = time.perf_counter()
        channel = await session.transport.start(Program((f"{done.result.root}/bin/python3", "-c", BARE)))
        told = b""
        while not told.endswith(b"\n") and (data := await channel.read(100)):
            told += data
        seconds = time.perf_counter() - began
        await channel.wait()
        await channel.close()
        return seconds, told

    seconds, told = done.session.call(start(done.session))
    if not told.strip().isdigit():
        raise Failed(f"Python says {told!r}")
    return seconds, int(told) * 1024


async def _start_agent(done: Deployed) -> tuple[float, float, float, float]:
    """Return the seconds until it answers, its memory before and after a run, and those of a warm start."""
    output: asyncio.Queue[Frame] = asyncio.Queue()
    program = make_agent_program(done.result.root, app="bench", user="bench@host", command="bench")
    run = SupervisedRun(done.session.transport, done.guard.remote_path, program)
    began = time.perf_counter()
    agent = Agent(await run.start(), output.put)
    try:
        await agent.hello()
        seconds = time.perf_counter() - began
        before = (await agent.request("memory")).message["agent"]
        await agent.preload(["numpy"])
        await agent.open(f"{done.result.root}/app")
        began = time.perf_counter()
        await agent.request("start", run="r", arguments=["app.py"], line_buffered=True)
        warm = 0.0
        while (frame := await output.get()).type != "exited":
            if frame.type == "stdout" and not warm:
                warm = time.perf_counter() - began
        if frame.message["code"] != 0:
            raise Failed(f"the app failed: {frame.message}")
        after = (await agent.request("memory")).message["agent"]
        await agent.send("goodbye")
        await asyncio.wait({agent.closed}, timeout=10)
    finally:
        await agent.close()
        await run.end()
    return seconds, before, after, warm


def _stop(context: Context, name: str) -> None:
    from incamera.virtual.camera import stop_camera

    stop_camera(context.store, name)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", default="axis-os-11-armv7hf", help="the virtual camera's (%(default)s)")
    parser.add_argument(
        "--place", choices=("share", "best"), default="share", help="where it is run from (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="measure so often, take the medians (%(default)s)")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=900, add_options=add_options))
