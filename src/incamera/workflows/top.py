"""top, ps, stop: the runs on a device, what they use, and their end."""

from __future__ import annotations

import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, FetchError, UsageError
from incamera.workflows.devices import choose_device, connected, probe_device, require_architecture
from incamera.workflows.variant import VARIANTS, variant_name

if TYPE_CHECKING:
    from collections.abc import Generator

    from incamera.device.processes import Process, Sample
    from incamera.device.session import Session
    from incamera.project.settings import Project
    from incamera.targets.architecture import Architecture
    from incamera.workflows.context import Context


@contextmanager
def device_session(context: Context, device: str | None, project: Project | None) -> Iterator[Session]:
    with connected(context, choose_device(context, device, project=project)) as session:
        yield session


def watch_device(session: Session, *, every: float) -> Generator[Sample, None, None]:
    """Yield a sample of the device's processes every so many seconds, as long as the caller likes."""
    from incamera.device.processes import watch

    samples = watch(session.transport, every=every)
    try:
        while True:
            try:
                yield session.call(samples.__anext__())
            except StopAsyncIteration:
                raise DeviceError(f"{session.device} tells no more of its processes") from None
    finally:
        session.call(samples.aclose())


def stop_runs(session: Session, project: Project | None) -> Sequence[Process]:
    """End every run of *project*'s app, or of all apps. Returns the processes that were ended. Raises DeviceError."""
    from incamera.device.processes import end_runs, take_sample

    running = take_sample(session).processes
    # What the guard began in it is of the same run, wherever it works.
    runs = {process.run for process in running if project is None or belongs_to(process, project)}
    ended = [process for process in running if process.run in runs]
    if left := end_runs(session, ended):
        raise DeviceError(f"{session.device} cannot end the processes {', '.join(map(str, left))}")
    return ended


def belongs_to(process: Process, project: Project) -> bool:
    return process.app in (project.name, *(variant_name(project, variant) for variant in VARIANTS))


def record_flame(
    context: Context, session: Session, *, project: Project | None, pid: int | None, seconds: int
) -> tuple[Process, bytes]:
    """Return the process that was watched for so many seconds, and its flame graph, an SVG."""
    from incamera.device.flame import ensure_tool
    from incamera.device.flame import record_flame as record
    from incamera.device.processes import take_sample

    before = take_sample(session)
    process = choose_process(take_sample(session), before, project=project, pid=pid, device=str(session.device))
    architecture = require_architecture(probe_device(context, session), session.device)
    spy = ensure_spy(context, architecture)
    with context.reporter.step("flame") as step:
        assert process.interpreter is not None
        # Where its interpreter lies, programs can be executed.
        place = process.interpreter.partition("/incamera")[0]
        path = ensure_tool(session, spy, "py-spy", place)
        graph = record(session, path, process, seconds=seconds)
        step.note(f"py-spy watched {process.command} (process {process.pid}) for {seconds} s")
    return process, graph


def choose_process(sample: Sample, before: Sample, *, project: Project | None, pid: int | None, device: str) -> Process:
    """Return the process called for, else the busiest Python one: of *project*, if that runs. Raises UsageError."""
    pythons = [process for process in sample.processes if process.interpreter is not None]
    if pid is not None:
        if found := next((process for process in pythons if process.pid == pid), None):
            return found
        raise UsageError(f"process {pid} on {device} is not one of our Python's", hint="`incamera ps` lists them")
    wanted = [process for process in pythons if project is not None and belongs_to(process, project)] or pythons
    if not wanted:
        raise UsageError(f"nothing of ours runs on {device}", hint="start it with `incamera run`")
    usage = sample.usage_since(before)
    return max(wanted, key=lambda process: (usage[process.pid], process.ticks))


def ensure_spy(context: Context, architecture: Architecture) -> Path:
    """Return py-spy for cameras of that architecture, out of its own wheel, whose hash we know."""
    from packaging.version import Version

    from incamera.wheels.fetch import fetch_files
    from incamera.workflows.packages import open_indexes

    data = tomllib.loads(resources.files("incamera.workflows").joinpath("data/tools.toml").read_text("utf-8"))["py-spy"]
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
