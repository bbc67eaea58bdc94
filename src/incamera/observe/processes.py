"""The processes of our runs on a device: who they are, and what they use.

The guard gives each run a mark in its environment (INCAMERA_RUN), which children inherit. The guard itself is known by
its path. All is read from /proc with what every camera's shell has, by one command that may go on for as long as it is
wanted.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import DeviceError
from incamera.guard.supervise import RUN_FOLDER
from incamera.observe.roles import Role, find_role, is_guard
from incamera.runtime.launcher.protocol import RUN_VARIABLE
from incamera.transport.protocols import Script
from incamera_agent.wire.protocol import MODULE, Option

if TYPE_CHECKING:
    from incamera.transport.protocols import Channel, Transport
    from incamera.transport.session import Session

_MARK = f"{RUN_VARIABLE}="
# `grep -l` reads all environments in one process. Sections begin with a line "= NAME PID": no line of /proc does.
_LOOK_TEXT = r"""
echo "= sample -"; cat /proc/uptime; grep -E '^(MemTotal|MemAvailable|MemFree):' /proc/meminfo
for p in $({ grep -la 'MARK' /proc/[0-9]*/environ; grep -la 'GUARD' /proc/[0-9]*/cmdline; } 2>/dev/null |
cut -d/ -f3 | sort -un); do
[ -r /proc/$p/environ ] || continue
echo "= stat $p"; cat /proc/$p/stat
echo "= run $p"; tr '\0' '\n' < /proc/$p/environ | grep '^MARK'
echo "= words $p"; tr '\0\n' '\n ' < /proc/$p/cmdline
echo "= folder $p"; readlink /proc/$p/cwd
echo "= memory $p"; grep -E '^(VmRSS|VmHWM|Threads):' /proc/$p/status; grep -E '^Pss:' /proc/$p/smaps_rollup
set -- /proc/$p/fd/*; echo "files: $#"
done 2>/dev/null
echo "= end -"
""".replace("MARK", _MARK).replace("GUARD", r"^/[^ ]*/incamera-guard-")
_LOOK = Script("look", _LOOK_TEXT)
_WATCH = Script("watch", f'every=$1; while :; do {_LOOK_TEXT}\nsleep "$every" || exit; done')
# $1: how often to look whether they have ended, $2...: signals, each with the process that gets it.
_END = Script(
    "end",
    r"""
tries=$1; shift; pids=
for ask; do kill -$ask 2>/dev/null; pids="$pids ${ask#* }"; done
kill -CONT $pids 2>/dev/null
n=0; while [ $n -lt $tries ] && kill -0 $pids 2>/dev/null; do
usleep 200000 2>/dev/null || sleep 1; n=$((n+1)); done
kill -KILL $pids 2>/dev/null; sleep 1
for p in $pids; do [ -d /proc/$p ] && ! grep -q "^State:.Z" /proc/$p/status && echo $p; done; true
""",
)
# Linux counts processor time in these, whatever the processor (USER_HZ).
_TICKS_PER_SECOND = 100
_LOADER = re.compile(r"(?:.*/)?ld-linux[^/]*\.so\.\d+")
_APP = re.compile(r"/incamera/([^/]+)/[^/]+/app(?:/|$)|/incamera-(?:agent|debug)/([^/]+)/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One process of ours. Sizes in bytes; *proportional* counts shared pages in parts (PSS), None where unknown.

    *ticks* is the processor time it has had, in hundredths of a second; *interpreter* the path of `bin/python3` in its
    bundle, where it is Python.
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
    """What one look at the device showed. *uptime* is its own clock; *free* and *total* are its RAM, in bytes."""

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


def take_sample(session: Session) -> Sample:
    """Look once. Raises DeviceError."""
    text = session.require(_LOOK.program(), purpose="look at its processes").decode("utf-8", "replace")
    return parse_sample(text, str(session.device))


async def watch(transport: Transport, *, every: float) -> AsyncGenerator[Sample, None]:
    """Yield a sample every so many seconds, until the reader has enough."""
    # The shell ends with its channel: its next `echo` finds nobody.
    channel = await transport.start(_WATCH.program(f"{every:g}"))
    try:
        while text := await _read_sample(channel):
            yield parse_sample(text, str(transport.device))
    finally:
        await channel.close()


async def _read_sample(channel: Channel) -> str:
    lines = []
    while line := await channel.read_line():
        lines.append(line)
        if line == b"= end -\n":
            return b"".join(lines).decode("utf-8", "replace")
    return ""


def end_runs(session: Session, processes: Sequence[Process], *, grace: float = 3.0) -> Sequence[int]:
    """End these processes: SIGTERM, after *grace* seconds SIGKILL. Returns those that are left even so.

    An agent is asked in its own way, so that its host knows that it shall not begin again.
    """
    if not processes:
        return []
    # The agent first, so that what becomes of the others is no news to it.
    ordered = sorted(processes, key=lambda process: process.role is not Role.agent)
    asks = [f"{'USR1' if process.role is Role.agent else 'TERM'} {process.pid}" for process in ordered]
    program = _END.program(str(max(1, int(grace / 0.2))), *asks)
    return [int(line) for line in session.require(program, purpose="end processes").split()]


def parse_sample(text: str, device: str) -> Sample:
    """Raises DeviceError when it is not what the script above prints."""
    sections: dict[str, dict[str, list[str]]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("= ") and len(words := line.split()) == 3:
            current = sections.setdefault(words[2], {}).setdefault(words[1], [])
        else:
            current.append(line)
    try:
        general = sections.pop("-")["sample"]
        sizes = _numbers(general[1:])
        # A process may end while it is looked at: what is not whole is gone.
        found = [_parse_process(int(pid), parts) for pid, parts in sections.items()]
        return Sample(
            uptime=float(general[0].split()[0]),
            free=sizes.get("MemAvailable", sizes.get("MemFree", 0)) * 1024,
            total=sizes["MemTotal"] * 1024,
            processes=tuple(settle_roles([process for process in found if process is not None])),
        )
    except (KeyError, IndexError, ValueError) as error:
        raise DeviceError(f"cannot look at the processes of {device}: it answers {text[:80]!r}") from error


def _parse_process(pid: int, parts: Mapping[str, Sequence[str]]) -> Process | None:
    try:
        # The name in the middle may hold anything, brackets too.
        fields = parts["stat"][0].rpartition(")")[2].split()
        memory = _numbers(parts["memory"])
        words, interpreter = python_words(strip_end(parts["words"]))
        role = find_role(words)
        folder = parts["folder"][0] if parts["folder"] else ""
        if fields[0] in "ZX":
            return None
        return Process(
            pid=pid,
            parent=int(fields[1]),
            role=role,
            run=_run_of(parts["run"], words),
            app=_app_of(folder, words) if role.of_run else "",
            words=tuple(_short(words)),
            interpreter=interpreter,
            state=fields[0],
            ticks=int(fields[11]) + int(fields[12]),
            began=int(fields[19]) / _TICKS_PER_SECOND,
            threads=memory.get("Threads", int(fields[17])),
            resident=memory.get("VmRSS", 0) * 1024,
            proportional=memory["Pss"] * 1024 if "Pss" in memory else None,
            peak=memory.get("VmHWM", 0) * 1024,
            files=memory.get("files", 0),
        )
    except (KeyError, IndexError, ValueError):
        return None


def python_words(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Return a command line without the loader that starts a bundle's Python, and the path of that Python."""
    if not words or not _LOADER.fullmatch(words[0]) or "--argv0" not in words:
        return list(words), None
    position = words.index("--argv0")
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


def _run_of(marks: Sequence[str], words: Sequence[str]) -> str:
    """Return the run's name: out of its mark, or of what its guard is told to hold."""
    if marks:
        return marks[0].removeprefix(_MARK)
    return next((word[len("/tmp/") :] for word in words if word.startswith(RUN_FOLDER)), "")


def _app_of(folder: str, words: Sequence[str]) -> str:
    if MODULE in words and Option.APP in words[:-1]:
        return words[words.index(Option.APP) + 1]
    for text in (folder, *words):
        if match := _APP.search(text):
            return match[1] or match[2]
    return ""


def _numbers(lines: Iterable[str]) -> dict[str, int]:
    """Parse lines like `VmRSS:  5704 kB`."""
    numbers = {}
    for line in lines:
        name, colon, rest = line.partition(":")
        if colon and rest.split() and rest.split()[0].isdigit():
            numbers[name] = int(rest.split()[0])
    return numbers


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
