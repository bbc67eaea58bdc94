"""top --flame: where the app's time goes, seen from outside by py-spy, else told by the app itself."""

from __future__ import annotations

import tomllib
import zipfile
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, FetchError, UsageError
from incamera.observe.flame_graph import draw_flame
from incamera.workflows.top import belongs_to

if TYPE_CHECKING:
    from collections import Counter

    from incamera.connect.connection import Connection
    from incamera.context import Context
    from incamera.device.attach import Door
    from incamera.device.facts import DeviceFacts
    from incamera.observe.processes import Process, Sample
    from incamera.observe.stacks import Stack
    from incamera.project.settings import Project
    from incamera.targets.architecture import Architecture
    from incamera.transport.session import Session


class Sampler(StrEnum):
    """Who can look into a process."""

    spy = "py-spy"
    app = "app"


_SPY_RATE = 50
# Each time costs the app a few milliseconds: a thread of it answers.
_APP_RATE = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Flame:
    """*graph* is an SVG; *samples* says how many stacks it is made of."""

    process: Process
    graph: bytes
    sampler: Sampler
    samples: int


def record_flame(
    context: Context, connection: Connection, *, project: Project | None, pid: int | None, seconds: int
) -> Flame:
    """Watch a process for so many seconds. Raises DeviceError, FetchError, UsageError."""
    from incamera.observe.processes import take_sample

    session, facts = connection.session, connection.facts
    before = take_sample(session)
    process = choose_process(
        take_sample(session), before, project=project, pid=pid, root=facts.root, device=str(session.device)
    )
    sampler, stacks, told = _watch(context, connection, process, seconds)
    if not stacks:
        context.reporter.warn(f"{process.command} was never seen at work: the graph is empty")
    graph = draw_flame(stacks, f"{process.command} on {session.device}", told)
    return Flame(process=process, graph=graph, sampler=sampler, samples=stacks.total())


def _watch(
    context: Context, connection: Connection, process: Process, seconds: int
) -> tuple[Sampler, Counter[Stack], str]:
    """Return who watched, what was seen, and a line that tells so. As root py-spy does it, if it can."""
    from incamera.observe.stacks import ask_for_stacks

    session, facts, architecture = connection.session, connection.facts, connection.require_architecture()
    who = f"{process.command} (process {process.pid})"
    if facts.root:
        try:
            spy = ensure_spy(context, architecture)
            with context.reporter.step("flame") as step:
                stacks = _ask_spy(session, spy, process, seconds)
                told = f"py-spy watched {who} for {seconds} s: {stacks.total()} samples"
                step.note(told)
            return Sampler.spy, stacks, told
        except (DeviceError, FetchError) as error:
            door = _find_door(session, process)
            if door is None:
                raise
            context.reporter.warn(f"{error}: the app itself is asked instead")
    else:
        door = require_door(session, facts, process)
    guard = connection.ensure_guard()
    with context.reporter.step("flame") as step:
        stacks = ask_for_stacks(session, guard, door, seconds=seconds, rate=_APP_RATE)
        told = (
            f"{who} told its stacks for {seconds} s: {stacks.total()} samples, Python's frames only, waiting counts too"
        )
        step.note(told)
    return Sampler.app, stacks, told


def choose_process(
    sample: Sample, before: Sample, *, project: Project | None, pid: int | None, root: bool, device: str
) -> Process:
    """Return the process called for, else the busiest of the apps': of *project*, if that runs. Raises UsageError.

    Without *root* only an app itself can be asked, not what it has begun.
    """
    from incamera.observe.roles import Role

    pythons = [process for process in sample.processes if process.interpreter is not None]
    if pid is not None:
        if found := next((process for process in pythons if process.pid == pid), None):
            return found
        raise UsageError(f"process {pid} on {device} is not one of our Python's", hint="`incamera ps` lists them")
    apps = [process for process in pythons if process.role is Role.app or (root and process.role.of_app)]
    wanted = [process for process in apps if project is not None and belongs_to(process, project)] or apps
    if not wanted:
        raise UsageError(f"no app runs on {device} through this tool", hint="start it with `incamera run`")
    usage = sample.usage_since(before)
    return max(wanted, key=lambda process: (usage[process.pid], process.ticks))


def require_door(session: Session, facts: DeviceFacts, process: Process) -> Door:
    """Return where *process* itself can be asked what it does. Raises DeviceError."""
    if (door := _find_door(session, process)) is not None:
        return door
    raise DeviceError(
        f"nobody can look into {process.command} (process {process.pid}) on {session.device}: "
        f"py-spy needs root there, and you are {facts.user}",
        hint="an app that was started with `incamera run` is asked itself",
    )


def _find_door(session: Session, process: Process) -> Door | None:
    from incamera.device.attach import list_doors
    from incamera.observe.roles import Role

    if process.role is not Role.app:
        return None
    # The agent's run has the name of the app, any other run a folder of its own.
    return next(
        (
            door
            for door in list_doors(session)
            if process.run in door.path.split("/") or (process.app == door.app and "/incamera-agent/" in door.path)
        ),
        None,
    )


def _ask_spy(session: Session, spy: Path, process: Process, seconds: int) -> Counter[Stack]:
    from incamera.observe.py_spy import ensure_tool, watch_stacks

    assert process.interpreter is not None
    # Where its interpreter lies, programs can be executed.
    path = ensure_tool(session, spy, "py-spy", process.interpreter.partition("/incamera")[0])
    return watch_stacks(session, path, process, seconds=seconds, rate=_SPY_RATE)


def ensure_spy(context: Context, architecture: Architecture) -> Path:
    """Return py-spy for cameras of that architecture, out of its own wheel, whose hash we know."""
    from packaging.version import Version

    from incamera.build.sdists import open_indexes
    from incamera.wheels.fetch import fetch_files

    data = tomllib.loads(resources.files("incamera.observe").joinpath("data/tools.toml").read_text("utf-8"))["py-spy"]
    sha256 = data["sha256"][architecture]

    def build(tree: Path) -> None:
        indexes = open_indexes(context)
        files = indexes.find("py-spy", version=Version(data["version"]))
        file = next((file for file in files if file.sha256 == sha256), None)
        if file is None:
            raise FetchError(
                f"no index has py-spy {data['version']} for {architecture}",
                hint="pip's settings, PIP_INDEX_URL among them, say which indexes are asked",
            )
        blob = fetch_files([file], context.http, context.store, indexes=indexes)[file]
        with zipfile.ZipFile(blob) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/scripts/py-spy"))
            (tree / "py-spy").write_bytes(archive.read(name))

    tree, _ = context.store.ensure_tree("tools", f"py-spy-{sha256[:24]}", build)
    return tree / "py-spy"
