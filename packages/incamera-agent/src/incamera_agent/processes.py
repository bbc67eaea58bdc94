"""Processes and memory, read from /proc: every camera has it, and few have more."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, List, Optional, Set

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# When memory runs out, the kernel kills the app first: before the agent, and before the camera's own processes.
APP_OOM_SCORE = 800
# Not every kernel does (CONFIG_PROC_CHILDREN).
KERNEL_LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


class Process:
    """A process as in /proc/PID/stat; *start* is when it started, in clock ticks since the kernel did."""

    __slots__ = ("parent", "pid", "session", "start")

    def __init__(self, pid: int, parent: int, session: int, start: int) -> None:
        self.pid = pid
        self.parent = parent
        self.session = session
        self.start = start


def read_text(path: str, *, limit: int = 1 << 24) -> str:
    """Return the first *limit* bytes of a file, or an empty text when it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        parts = []
        while limit > 0:
            part = os.read(descriptor, min(limit, 1 << 16))
            if not part:
                break
            parts.append(part)
            limit -= len(part)
        return b"".join(parts).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def find_process(pid: int) -> Optional[Process]:
    """Return the process, or None when it has ended."""
    fields = _read_stat(pid)
    if not fields or fields[0] in "ZX":
        return None
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]))


def is_child(pid: int) -> bool:
    """Return whether *pid* is a child of this process, one that has ended but was not waited for included."""
    fields = _read_stat(pid)
    return bool(fields) and int(fields[1]) == os.getpid()


def _read_stat(pid: int) -> List[str]:
    """Return the fields of /proc/PID/stat from the state on, none when there is no such process."""
    # The name in brackets may itself hold blanks and brackets: the other fields are behind the last bracket.
    fields = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields if len(fields) >= 20 else []


def list_processes() -> List[Process]:
    found = (find_process(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [process for process in found if process is not None]


def find_descendants(table: Iterable[Process], roots: Set[int], sessions: Set[int]) -> Set[int]:
    """Return *roots*, all processes in *sessions*, and the descendants of both."""
    table = list(table)
    found = {process.pid for process in table if process.pid in roots or process.session in sessions}
    more = True
    while more:
        added = {process.pid for process in table if process.parent in found} - found
        found |= added
        more = bool(added)
    return found


def list_children(pid: int) -> Set[int]:
    """Return the children of all threads of *pid*, those that have ended but were not waited for included.

    Only where KERNEL_LISTS_CHILDREN.
    """
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return set()
    # When a child ends meanwhile, the kernel may leave out another one (proc_pid_task_tid_children(5)): read it twice.
    texts = [read_text(f"/proc/{pid}/task/{thread}/children") for thread in [*threads, *threads]]
    return {int(number) for text in texts for number in text.split()}


def walk_descendants(roots: Iterable[int]) -> Set[int]:
    """Return *roots* and their descendants, without those that have ended. Only where KERNEL_LISTS_CHILDREN.

    A camera has dozens of processes, most of them the kernel's. To look at each, as `find_descendants` needs it, takes
    tens of milliseconds; this looks at those of the app only.
    """
    found: Set[int] = set()
    seen: Set[int] = set()
    left = list(roots)
    while left:
        pid = left.pop()
        if pid not in seen:
            seen.add(pid)
            if find_process(pid) is not None:
                found.add(pid)
            left += list_children(pid)
    return found


def send_signal(pids: Iterable[int], number: int) -> None:
    """Send signal *number* to each process that still exists."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            pass


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory, shared pages included; 0 when it has ended. Cheap enough for 20 Hz."""
    fields = read_text(f"/proc/{pid}/statm").split()
    return int(fields[1]) * PAGE_BYTES if len(fields) > 1 else 0


def proportional_bytes(pid: int) -> int:
    """Return a process's memory, each shared page divided by the number of its users (PSS).

    Where the kernel does not report that, return its resident memory.
    """
    for line in read_text(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return resident_bytes(pid)


def available_bytes() -> int:
    """Return how much memory the camera has left, 0 when the kernel does not report it."""
    for line in read_text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def count_oom_kills() -> Optional[int]:
    """Return how many processes the kernel has killed for lack of memory since it started, None if it does not say."""
    for line in read_text("/proc/vmstat").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return None


def set_oom_score(score: int) -> None:
    """Set how early the kernel kills this process when memory runs out: from 0 to 1000, which is first."""
    try:
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write(str(score))
    except OSError:
        pass


def close_all_but(kept: Set[int]) -> None:
    """Close every open descriptor that is not in *kept*."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:  # the one that the folder was read with
                pass
