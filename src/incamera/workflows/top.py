"""top, ps, stop: list the runs on a device, measure what they use, and end them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from incamera.connect.choose import choose_device, require_running
from incamera.connect.connection import connected
from incamera.errors import DeviceError
from incamera.observe.processes import end_runs, take_sample, watch
from incamera.project.variant import VARIANTS, variant_name

if TYPE_CHECKING:
    from collections.abc import Generator

    from incamera.connect.connection import Connection
    from incamera.context import Context
    from incamera.observe.processes import Process, Sample
    from incamera.project.settings import Project


@contextmanager
def device_connection(
    context: Context, device: str | None, project: Project | None, *, start: bool = False
) -> Iterator[Connection]:
    """Connect to the device that a command is about, for as long as the block lasts.

    With *start*, a virtual camera is started where one is meant and none runs. Raises UsageError otherwise.
    """
    choose = choose_device if start else require_running
    with connected(context, choose(context, device, project=project)) as connection:
        yield connection


def watch_device(connection: Connection, *, every: float) -> Generator[Sample, None, None]:
    """Yield a sample of the device's processes every *every* seconds, without end. Raises DeviceError."""
    session = connection.session
    samples = watch(session.transport, connection.ensure_guard(), every=every)
    try:
        while True:
            try:
                yield session.call(samples.__anext__())
            except StopAsyncIteration:
                raise DeviceError(f"{session.device} has stopped reporting its processes") from None
    finally:
        session.call(samples.aclose())


def stop_runs(connection: Connection, project: Project | None) -> Sequence[Process]:
    """End every run of *project*'s app, or of all apps. Returns the processes that were ended. Raises DeviceError."""
    session, guard = connection.session, connection.ensure_guard()
    running = take_sample(session, guard).processes
    # Guards end by themselves when the run that they belong to ends.
    ended = [
        process for process in running if process.role.of_run and (project is None or belongs_to(process, project))
    ]
    if left := end_runs(session, guard, ended):
        raise DeviceError(f"{session.device} cannot end the processes {', '.join(map(str, left))}")
    return ended


def belongs_to(process: Process, project: Project) -> bool:
    return process.app in (project.name, *(variant_name(project, variant) for variant in VARIANTS))
