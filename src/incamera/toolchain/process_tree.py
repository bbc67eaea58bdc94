"""A process and its descendants: which there are, what they use, and how all of them are ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# How many seconds are spent on ending a build's processes.
_LONGEST_END = 10.0


def end_tree(pid: int) -> None:
    """Kill the process *pid* and its descendants; those in a namespace of their own end with its first process."""
    stopped: set[int] = set()
    end = time.monotonic() + _LONGEST_END
    while time.monotonic() < end:
        # A process that is stopped starts no others. None may end before all are: its children would not be found.
        found = {other for other, _ in walk(pid)}
        if found <= stopped:
            break
        _signal(found - stopped, signal.SIGSTOP)
        stopped |= found
    _signal(stopped, signal.SIGKILL)


def _signal(processes: Iterable[int], number: int) -> None:
    for pid in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def walk(pid: int) -> Iterator[tuple[int, int]]:
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


def process_state(pid: int) -> tuple[bytes, float]:
    """Return the state of the process *pid* as a letter, and the processor time of it and its ended children."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0], sum(map(int, fields[11:15])) / _TICKS
    except (OSError, ValueError, IndexError):
        return b"X", 0.0


def resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def own_bytes(pid: int) -> int:
    """Return the memory of the process *pid*, and its part of what it shares with others."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(b"Pss:")) * 1024
    except (OSError, ValueError, IndexError):
        return resident_bytes(pid)
