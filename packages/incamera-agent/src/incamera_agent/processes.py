"""Processes and memory, read from /proc, which is all there is on every camera."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterable, List, Optional, Set

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Process:
    __slots__ = ("parent", "pid", "session", "start")

    def __init__(self, pid: int, parent: int, session: int, start: int) -> None:
        self.pid = pid
        self.parent = parent
        self.session = session
        self.start = start


def read_text(path: str) -> str:
    """Return what is in the file, nothing where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        parts = []
        while True:
            part = os.read(descriptor, 1 << 16)
            if not part:
                break
            parts.append(part)
        return b"".join(parts).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def find_process(pid: int) -> Optional[Process]:
    """Return the process, unless it has ended."""
    # The name may hold anything, blanks and brackets too: what counts stands behind the last bracket.
    fields = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in "ZX":
        return None
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]))


def list_processes() -> List[Process]:
    found = (find_process(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [process for process in found if process is not None]


def find_family(table: Iterable[Process], roots: Set[int], sessions: Set[int]) -> Set[int]:
    """Return *roots*, all in their *sessions*, and the children of either, whose children too, and so on."""
    table = list(table)
    family = {process.pid for process in table if process.pid in roots or process.session in sessions}
    more = True
    while more:
        added = {process.pid for process in table if process.parent in family} - family
        family |= added
        more = bool(added)
    return family


def send_signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            pass


def resident_bytes(pid: int) -> int:
    """Cheap: it is asked many times a second where there is a limit."""
    fields = read_text(f"/proc/{pid}/statm").split()
    return int(fields[1]) * PAGE_BYTES if len(fields) > 1 else 0


def fair_bytes(pid: int) -> int:
    """Return what a process uses, a page that several share counted in parts (PSS), where the kernel tells."""
    for line in read_text(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return resident_bytes(pid)


def free_bytes() -> int:
    return _kilobytes(read_text("/proc/meminfo"), "MemAvailable:")


def count_kernel_kills() -> Optional[int]:
    """Return how many processes the kernel has killed for lack of memory since it began, where it counts them."""
    for line in read_text("/proc/vmstat").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return None


def offer_to_kernel(score: int) -> None:
    """When memory runs out, the kernel shall take us rather than what belongs to the camera."""
    try:
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write(str(score))
    except OSError:
        pass


def open_descriptors() -> Dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the one that the list was read with
            continue
    return found


def close_all_but(kept: Set[int]) -> None:
    for descriptor in open_descriptors():
        if descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                pass


def _kilobytes(text: str, label: str) -> int:
    for line in text.splitlines():
        if line.startswith(label):
            return int(line.split()[1]) * 1024
    return 0
