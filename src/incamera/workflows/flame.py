"""top --flame: record where the app's time goes, by asking the app for its stacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.device.attach import list_attach_sockets
from incamera.errors import DeviceError, UsageError
from incamera.observe.processes import take_sample
from incamera.observe.roles import Role
from incamera.observe.stacks import record_stacks
from incamera.units import format_count
from incamera.workflows.top import belongs_to

if TYPE_CHECKING:
    from incamera.connect.connection import Connection
    from incamera.context import Context
    from incamera.device.attach import AttachSocket
    from incamera.observe.processes import Process, Sample
    from incamera.observe.stacks import Recording
    from incamera.project.settings import Project
    from incamera.transport.session import Session

# Samples a second. Each takes a few milliseconds of the app's time, because a thread of the app answers.
_RATE = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Flame:
    """What was recorded of a process. *summary* is one line for the user."""

    process: Process
    recording: Recording
    title: str
    summary: str


def record_flame(
    context: Context, connection: Connection, *, project: Project | None, pid: int | None, seconds: int
) -> Flame:
    """Record a process's stacks for so many seconds. Raises DeviceError, UsageError."""
    session = connection.session
    guard = connection.ensure_guard()
    before = take_sample(session, guard)
    process = choose_process(take_sample(session, guard), before, project=project, pid=pid, device=str(session.device))
    socket = require_attach_socket(session, guard, process)
    with context.reporter.step("flame") as step:
        recording = record_stacks(session, guard, socket, seconds=seconds, rate=_RATE)
        summary = (
            f"{format_count(recording.samples, 'sample')} of {process.command} (process {process.pid}) in {seconds} s: "
            "Python's frames only, waiting included"
        )
        step.note(summary)
    return Flame(process=process, recording=recording, title=f"{process.command} on {session.device}", summary=summary)


def choose_process(sample: Sample, before: Sample, *, project: Project | None, pid: int | None, device: str) -> Process:
    """Return the process *pid*. Without it, return the busiest app, of *project* if that runs. Raises UsageError."""
    if pid is not None:
        if found := next((process for process in sample.processes if process.pid == pid), None):
            return found
        raise UsageError(
            f"process {pid} on {device} was not started by incamera",
            hint="`incamera top --once` lists those that were",
        )
    apps = [process for process in sample.processes if process.role is Role.app]
    wanted = [process for process in apps if project is not None and belongs_to(process, project)] or apps
    if not wanted:
        raise UsageError(f"no app that incamera started runs on {device}", hint="start it with `incamera run`")
    usage = sample.usage_since(before)
    return max(wanted, key=lambda process: (usage[process.pid], process.ticks))


def require_attach_socket(session: Session, guard: str, process: Process) -> AttachSocket:
    """Return the attach socket of the app that *process* is. Raises DeviceError."""
    if process.role is Role.app:
        for socket in list_attach_sockets(session, guard):
            # The agent's run has the name of the app, any other run a folder of its own.
            if process.run in socket.path.split("/") or (process.app == socket.app and socket.of_agent):
                return socket
    raise DeviceError(
        f"{process.command} (process {process.pid}) on {session.device} cannot be asked for its stacks: "
        f"{_why_not(process)}",
        hint="only an app that `incamera run` or `incamera run --watch` started answers, not an app's child process",
    )


def _why_not(process: Process) -> str:
    if process.role is Role.child:
        return "the app started it"
    if process.role is Role.app:
        return "it opened no attach socket"
    return f"its role is {process.role}, not app"
