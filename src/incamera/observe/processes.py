"""The processes of our runs on a device: which app they belong to, in which role, and what they use.

The guard there lists them: it puts the run's name into the environment of each run, which child processes inherit.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.guard import verbs
from incamera.observe.roles import Role, find_role, is_guard
from incamera.runtime.launcher.protocol import RUN_FOLDER, WORK_FOLDERS
from incamera_agent.wire.protocol import MODULE, Option

if TYPE_CHECKING:
    from incamera.runtime.launcher import protocol
    from incamera.transport.protocols import Transport
    from incamera.transport.session import Session

# Linux counts processor time in these, whatever the processor (USER_HZ).
_TICKS_PER_SECOND = 100
_LOADER = re.compile(r"(?:.*/)?ld-linux[^/]*\.so\.\d+")
_APP = re.compile(
    rf"/incamera(?:-u\d+)?/(?:{re.escape(WORK_FOLDERS)}/([^/]+)|([^/]+)/[^/]+)/app(?:/|$)"
    r"|/incamera-(?:agent|debug)(?:-u\d+)?/([^/]+)/"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process of a run, or a guard. Sizes in bytes; *proportional* counts shared pages in parts (PSS), None: unknown.

    *ticks* is the processor time that it has used, in hundredths of a second; *began* is in seconds since the device
    started; *interpreter* is the path of `bin/python3` in its bundle, None where it is not Python.
    """

    pid: int
    parent: int
    role: Role
    run: str
    app: str
    words: tuple[str, ...]
    interpreter: str | None
    state: str
    ticks: int
    began: float
    threads: int
    resident: int
    proportional: int | None
    peak: int
    files: int

    @property
    def command(self) -> str:
        return shlex.join(self.words)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What ran on the device at one moment. *uptime* is in seconds; *free* and *total* are its RAM in bytes."""

    uptime: float
    free: int
    total: int
    processes: tuple[Process, ...]

    def usage_since(self, earlier: Sample | None) -> Mapping[int, float]:
        """Return the processor use of each process in per cent of one processor, between both samples.

        Without an *earlier* one, since the process began.
        """
        before = {process.pid: process.ticks for process in earlier.processes} if earlier else {}
        usage = {}
        for process in self.processes:
            seconds = self.uptime - (earlier.uptime if earlier and process.pid in before else process.began)
            ticks = process.ticks - before.get(process.pid, 0)
            usage[process.pid] = 100 * ticks / _TICKS_PER_SECOND / seconds if seconds > 0 else 0.0
        return usage


def take_sample(session: Session, guard: str) -> Sample:
    """Return what runs on the device now; *guard* is the guard's path there. Raises DeviceError, ConnectionLost."""
    return describe_sample(verbs.list_processes(session, guard))


async def watch(transport: Transport, guard: str, *, every: float) -> AsyncGenerator[Sample, None]:
    """Yield a sample every so many seconds, until the caller closes the generator."""
    answers = verbs.watch_processes(transport, guard, every=every)
    try:
        async for answer in answers:
            yield describe_sample(answer)
    finally:
        await answers.aclose()


def end_runs(session: Session, guard: str, processes: Sequence[Process], *, grace: float = 3.0) -> Sequence[int]:
    """End these processes: SIGTERM, after *grace* seconds SIGKILL. Returns those that are left even then.

    An agent gets a signal of its own, first, so that its host knows that the app must not be started again.
    """
    if not processes:
        return []
    agents = [process.pid for process in processes if process.role is Role.agent]
    with_agent = {process.run for process in processes if process.role is Role.agent}
    # A fork server ends with its agent. If it ended first, the agent would have to kill the app.
    ended = [p.pid for p in processes if p.role is not Role.fork_server or p.run not in with_agent]
    return verbs.end_processes(session, guard, ended, agents=agents, grace=grace)


def describe_sample(answer: protocol.Sample) -> Sample:
    """Return the sample that the guard answered with: its processes with their roles, the apps first."""
    # A process that has ended is listed until its parent has waited for it.
    running = [process for process in answer.processes if process.state not in "ZX"]
    return Sample(
        uptime=answer.uptime / 1000,
        free=answer.free,
        total=answer.total,
        processes=tuple(settle_roles([_describe(process) for process in running])),
    )


def _describe(process: protocol.Process) -> Process:
    words, interpreter = python_words(strip_end(process.arguments))
    role = find_role(words)
    return Process(
        pid=process.pid,
        parent=process.parent,
        role=role,
        run=process.run or _supervised_run(words),
        app=_app_of(process.folder, words) if role.of_run else "",
        words=tuple(_short(words)),
        interpreter=interpreter,
        state=process.state,
        ticks=process.ticks,
        began=process.began / _TICKS_PER_SECOND,
        threads=process.threads,
        resident=process.resident or 0,
        proportional=process.proportional,
        peak=process.peak or 0,
        files=process.files,
    )


def python_words(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Return a command line without the loader that starts a bundle's Python, and the path of that Python."""
    if not words or not _LOADER.fullmatch(words[0]) or "--argv0" not in words:
        return list(words), None
    position = words.index("--argv0")
    if position + 1 == len(words):
        return list(words), None
    interpreter = words[position + 1]
    return [interpreter.rpartition("/")[2], *words[position + 3 :]], interpreter


def strip_end(words: Sequence[str]) -> Sequence[str]:
    """Return *words* without the empty ones at the end: a process that changed its words leaves them."""
    count = len(words)
    while count and not words[count - 1]:
        count -= 1
    return words[:count]


def _short(words: Sequence[str]) -> Sequence[str]:
    """Where our own programs lie tells a user nothing."""
    if words and is_guard(words[0]):
        return [words[0].rpartition("/")[2].rpartition("-")[0], *words[1:]]
    return words


def _supervised_run(words: Sequence[str]) -> str:
    """Return the name of the run that a guard supervises, out of its arguments, or an empty string."""
    return next((word[len("/tmp/") :] for word in words if word.startswith(RUN_FOLDER)), "")


def _app_of(folder: str, words: Sequence[str]) -> str:
    if MODULE in words and Option.APP in words[:-1]:
        return words[words.index(Option.APP) + 1]
    for text in (folder, *words):
        if match := _APP.search(text):
            return match[1] or match[2] or match[3]
    return ""


def settle_roles(processes: Sequence[Process]) -> list[Process]:
    """Return *processes* with the children of apps known as such, each with its app; the apps first."""
    first: dict[str, Process] = {}
    apps: dict[str, str] = {}
    for process in sorted(processes, key=lambda process: (process.began, process.pid)):
        if process.role is Role.app:
            first.setdefault(process.run, process)
        if process.app:
            apps.setdefault(process.run, process.app)
    settled = [
        dataclasses.replace(
            process,
            role=Role.child if process.role is Role.app and first[process.run] is not process else process.role,
            app=process.app or apps.get(process.run, ""),
        )
        for process in processes
    ]
    order = list(Role)
    return sorted(settled, key=lambda process: (process.app == "", process.app, order.index(process.role), process.pid))
