"""Limits of builds: what takes all memory, fills the disk, starts endless processes or never ends is stopped.

An ordinary user has no control groups, and the kernel's own limits hold for one process each. So a build is watched:
ten times a second, what its processes use is added up. The kernel's limits are set where they do no harm: for the size
of a file, and for the number of processes. They are not set for memory, since compilers, zig and emulators reserve far
more addresses than they use. Where memory runs out all the same, the kernel ends the build before anything else.
"""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from incamera import proc
from incamera.errors import ToolFailed
from incamera.units import format_bytes, format_count

_POLL_SECONDS = 0.1
# A longer time between two polls is one in which we did not run either: the computer slept, or the user pressed Ctrl-Z.
_LONGEST_STEP = 1.0
_DISK_SECONDS = 2.0
# Of a log, so many bytes from its beginning and from its end are kept.
_LOG_HEAD, _LOG_TAIL = 8 << 20, 8 << 20
_SHOWN_LINES = 25
_LEAST_TASKS = 4096
# What uses less of a processor, and does not wait for one or for a disk, does nothing. (On a computer with much else to
# do, a build may get very little.)
_LEAST_LOAD = 0.001
_WAITING = b"RD"
# How far the number of processes for the kernel lies above ours, so that we notice first.
_MARGIN = 1.25
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CHUNK = 1 << 16
# How many seconds are spent on ending a build's processes.
_LONGEST_END = 10.0


class LimitReached(ToolFailed):
    """A build was ended because it took more than it may."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one step of a build may use.

    `memory`: bytes, of all its processes. `disk`: bytes, in its folder. `files`: their number there. `tasks`: processes
    and threads at one time. `seconds`: how long it may run, `idle_seconds`: how long without using a processor.
    `output`: bytes printed.
    """

    memory: int
    disk: int = 50_000_000_000
    files: int = 2_000_000
    tasks: int = _LEAST_TASKS
    seconds: float = 24 * 3600
    idle_seconds: float = 1800
    output: int = 1_000_000_000


def default_limits(settings: Mapping[str, float] | None = None) -> Limits:
    """Return the limits for this computer. *settings*, the user's, may have memory and disk in bytes, and hours."""
    settings = settings or {}
    limits: dict[str, float] = {"memory": _memory_of_computer() * 3 // 4}
    limits["tasks"] = max(_LEAST_TASKS, 128 * (os.cpu_count() or 1))
    limits |= {key: settings[key] for key in ("memory", "disk") if key in settings}
    if "hours" in settings:
        limits |= {"seconds": settings["hours"] * 3600, "idle_seconds": settings["hours"] * 3600}
    return Limits(**limits)  # type: ignore[arg-type]


@cache
def _memory_of_computer() -> int:
    """Return how many bytes of memory there are, or how many our control group may use."""
    memory = os.sysconf("SC_PHYS_PAGES") * _PAGE
    with suppress(OSError, ValueError):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        group = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
        for folder in (Path("/sys/fs/cgroup") / group.lstrip("/"), Path("/sys/fs/cgroup")):
            limit = folder / "memory.max"
            if limit.exists() and (text := limit.read_text().strip()) != "max":
                memory = min(memory, int(text))
    return memory


def run_limited(
    argv: Sequence[str],
    *,
    purpose: str,
    env: Mapping[str, str],
    folders: tuple[Path, Path],
    log: Path,
    limits: Limits,
    hint: str | None = None,
) -> None:
    """Run a build's command *argv* to its end, and write what it prints to *log*, of which the middle may be left out.

    *folders*: where it runs, and the one that it may fill. Raises ToolFailed when it fails, LimitReached when it
    reaches one of *limits*: no process of it is left then.
    """
    cwd, folder = folders
    with (
        _Log(log, argv) as output,
        proc.running(
            argv, purpose=purpose, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as child,
    ):
        _limit(child.pid, limits)
        watch = _Watch(child.pid, folder, limits)
        try:
            reached = _follow(child, output, watch)
        except BaseException:
            _end_tree(child.pid)
            raise
        if reached is not None:
            _end_tree(child.pid)
            raise LimitReached(f"cannot {purpose}: {reached.what}", hint=reached.hint)
        if child.returncode == 0:
            return
        if reached := watch.check_largest_file():
            raise LimitReached(f"cannot {purpose}: {reached.what}", hint=reached.hint)
        raise proc.failure(purpose, str(argv[0]), child.returncode, hint=hint, output=output.end())


def _limit(pid: int, limits: Limits) -> None:
    """Set the kernel's limits for the process *pid*, which passes them on to those that it starts."""
    wanted = {
        resource.RLIMIT_FSIZE: limits.disk,
        resource.RLIMIT_CORE: 0,
        # The kernel counts all processes of the user; since Linux 5.14, in a user namespace those in there.
        resource.RLIMIT_NPROC: _count_own_tasks() + int(limits.tasks * _MARGIN),
    }
    for name, value in wanted.items():
        with suppress(OSError, ValueError):  # it has ended already
            _, hard = resource.prlimit(pid, name)
            least = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, name, (least, least))
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


def _count_own_tasks() -> int:
    count, own = 0, os.getuid()
    for entry in os.scandir("/proc"):
        with suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == own:
                count += len(os.listdir(f"/proc/{entry.name}/task"))  # noqa: PTH208
    return count


def _follow(child: subprocess.Popen[bytes], output: _Log, watch: _Watch) -> _Reached | None:
    """Read what *child* prints until it has ended. Returns which limit it has reached before."""
    assert child.stdout is not None
    descriptor = child.stdout.fileno()
    os.set_blocking(descriptor, False)
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        is_open = True
        while True:
            has_ended = child.poll() is not None
            if is_open and selector.select(0 if has_ended else _POLL_SECONDS):
                data = os.read(descriptor, _CHUNK)
                output.write(data)
                is_open = bool(data)
            elif has_ended:  # a process that it has left behind may hold its output open
                return None
            elif not is_open:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(_POLL_SECONDS)
            if reached := watch.check(output.size):
                return reached


@dataclass(frozen=True, slots=True)
class _Reached:
    """A limit that a build has reached: `what` it did, and what the user can do."""

    what: str
    hint: str


def _hint(key: str, value: str) -> str:
    return f"if its build needs more, allow it: [tool.incamera.build-limits] {key} = {value}"


class _Watch:
    """Compares what a process and its descendants use with *limits*."""

    def __init__(self, pid: int, folder: Path, limits: Limits) -> None:
        self._pid = pid
        self._folder = folder
        self._limits = limits
        now = time.monotonic()
        self._last = self._next = now
        self._ran = self._idle = self._processor_seconds = 0.0
        self._next_disk = now + _DISK_SECONDS
        self._next_memory = now
        self._size, self._free = 0, _free_bytes(folder)
        self._reserve = min(500_000_000, self._free // 10)

    def check(self, printed: int) -> _Reached | None:
        """Return the limit that has been reached; None when there is none. *printed* is in bytes."""
        limits = self._limits
        if printed > limits.output:
            return _Reached(f"it printed more than {format_bytes(limits.output)}", "let its build print less")
        now = time.monotonic()
        if now < self._next:
            return None
        step = min(now - self._last, _LONGEST_STEP)
        self._last, self._next = now, now + _POLL_SECONDS
        tasks = 0
        processes = []
        for pid, count in _walk(self._pid):
            processes.append(pid)
            tasks += count
            if tasks > limits.tasks:
                return _Reached(
                    f"it started more processes and threads than {limits.tasks}",
                    "let its build start fewer at one time",
                )
        return self._check_time(processes, step) or self._check_memory(processes, now) or self._check_disk(now)

    def check_largest_file(self) -> _Reached | None:
        """Return the limit of the disk when the kernel has refused to let a file grow beyond it."""
        *_, largest = _measure(self._folder)
        return self._reached_disk() if largest >= self._limits.disk else None

    def _check_time(self, processes: Sequence[int], step: float) -> _Reached | None:
        limits = self._limits
        self._ran += step
        if self._ran > limits.seconds:
            hours = limits.seconds / 3600
            return _Reached(f"it took longer than {format_count(hours, 'hour')}", _hint("hours", f"{2 * hours:.3g}"))
        states = [_state(pid) for pid in processes]
        spent = sum(seconds for _, seconds in states)
        used, self._processor_seconds = max(0.0, spent - self._processor_seconds), spent
        if any(letter in _WAITING for letter, _ in states):
            self._idle = 0.0
        self._idle = max(0.0, self._idle + step - used / _LEAST_LOAD)
        if self._idle > limits.idle_seconds:
            minutes = format_count(limits.idle_seconds / 60, "minute")
            return _Reached(
                f"it did nothing for {minutes}",
                "its log may say what it waits for. " + _hint("hours", "1"),
            )
        return None

    def _check_memory(self, processes: Sequence[int], now: float) -> _Reached | None:
        limit = self._limits.memory
        if now < self._next_memory or sum(map(_resident_bytes, processes)) <= limit:
            return None
        # What processes share has been counted for each. To divide it takes the kernel longer.
        if sum(map(_own_bytes, processes)) <= limit:
            self._next_memory = now + 1
            return None
        size = format_bytes(limit)
        return _Reached(
            f"it used more than {size} of memory",
            _hint("memory", f'"{format_bytes(2 * limit)}"'),
        )

    def _check_disk(self, now: float) -> _Reached | None:
        free = _free_bytes(self._folder)
        if free < self._reserve:
            return _Reached(
                f"it filled the disk: {format_bytes(free)} are left",
                "`incamera store clean` and removing other files make room, and INCAMERA_STORE names another disk",
            )
        may_be_full = self._size + self._free - free > self._limits.disk
        if now < self._next_disk and not may_be_full:
            return None
        self._size, files, _ = _measure(self._folder)
        self._free = free
        # A large folder takes long to measure.
        self._next_disk = now + max(_DISK_SECONDS, 20 * (time.monotonic() - now))
        if self._size > self._limits.disk:
            return self._reached_disk()
        if files > self._limits.files:
            most = format_count(self._limits.files, "file")
            return _Reached(f"it wrote more than {most}", "let its build write fewer")
        return None

    def _reached_disk(self) -> _Reached:
        limit = self._limits.disk
        return _Reached(f"it wrote more than {format_bytes(limit)}", _hint("disk", f'"{format_bytes(2 * limit)}"'))


class _Log:
    """A file that gets what a build prints: the beginning and the end of it, if that is much."""

    def __init__(self, path: Path, argv: Sequence[str]) -> None:
        self.size = 0
        self._path = path
        self._first = proc.format_command(argv)
        self._head = 0
        self._tail: deque[bytes] = deque()
        self._kept = 0
        self._stream: IO[bytes]

    def __enter__(self) -> Self:
        self._stream = self._path.open("wb")
        self._stream.write(self._first)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left_out = self.size - self._head - self._kept
        with self._stream:
            if left_out:
                self._stream.write(f"\n… {format_bytes(left_out)} are left out here …\n".encode())
            self._stream.writelines(self._tail)

    def write(self, data: bytes) -> None:
        self.size += len(data)
        room = _LOG_HEAD - self._head
        self._head += self._stream.write(data[:room])
        if data := data[room:]:
            self._tail.append(data)
            self._kept += len(data)
            while self._kept - len(self._tail[0]) > _LOG_TAIL:
                self._kept -= len(self._tail.popleft())

    def end(self) -> bytes:
        """Return the last lines."""
        if not self._tail:
            self._stream.flush()
            with self._path.open("rb") as stream:
                stream.seek(max(len(self._first), stream.seek(0, os.SEEK_END) - _CHUNK))
                data = stream.read()
        else:
            data = b"".join(self._tail)[-_CHUNK:]
        return b"\n".join(data.splitlines()[-_SHOWN_LINES:])


def _end_tree(pid: int) -> None:
    """Kill the process *pid* and its descendants; those in a namespace of their own end with its first process."""
    stopped: set[int] = set()
    end = time.monotonic() + _LONGEST_END
    while time.monotonic() < end:
        # A process that is stopped starts no others. None may end before all are: its children would not be found.
        found = {other for other, _ in _walk(pid)}
        if found <= stopped:
            break
        _signal(found - stopped, signal.SIGSTOP)
        stopped |= found
    _signal(stopped, signal.SIGKILL)


def _signal(processes: Iterable[int], number: int) -> None:
    for pid in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _walk(pid: int) -> Iterator[tuple[int, int]]:
    """Yield the process *pid* and its descendants, each with its number of threads."""
    waiting = [pid]
    while waiting:
        found = waiting.pop()
        threads = 0
        with suppress(OSError):  # it has ended in the meantime
            for thread in os.listdir(f"/proc/{found}/task"):  # noqa: PTH208
                threads += 1
                with suppress(OSError):
                    children = Path(f"/proc/{found}/task/{thread}/children").read_text()
                    waiting += map(int, children.split())
        yield found, threads


def _state(pid: int) -> tuple[bytes, float]:
    """Return the state of the process *pid* as a letter, and the processor time of it and its ended children."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0], sum(map(int, fields[11:15])) / _TICKS
    except (OSError, ValueError, IndexError):
        return b"X", 0.0


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def _own_bytes(pid: int) -> int:
    """Return the memory of the process *pid*, and its part of what it shares with others."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(b"Pss:")) * 1024
    except (OSError, ValueError, IndexError):
        return _resident_bytes(pid)


def _free_bytes(folder: Path) -> int:
    try:
        status = os.statvfs(folder)
    except OSError:
        return 1 << 62
    return status.f_bavail * status.f_frsize


def _measure(folder: Path) -> tuple[int, int, int]:
    """Return the bytes that the files below *folder* take on the disk, their number, and the size of the largest."""
    size = count = largest = 0
    waiting = [str(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):  # it has been removed in the meantime
                    status = entry.stat(follow_symlinks=False)
                    count += 1
                    size += status.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        largest = max(largest, status.st_size)
    return size, count, largest
