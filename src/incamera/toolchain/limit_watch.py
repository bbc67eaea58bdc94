"""Compares what a build uses with its limits: time, memory, processes, the disk, and what it prints."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.toolchain.process_tree import own_bytes, process_state, resident_bytes, walk
from incamera.units import format_bytes, format_count

if TYPE_CHECKING:
    from incamera.toolchain.limits import Limits

POLL_SECONDS = 0.1
# A longer time between two polls is one in which we did not run either: the computer slept, or the user pressed Ctrl-Z.
_LONGEST_STEP = 1.0
_DISK_SECONDS = 2.0
# What uses less of a processor, and does not wait for one or for a disk, does nothing. (On a computer with much else to
# do, a build may get very little.)
_LEAST_LOAD = 0.001
_WAITING = b"RD"


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit that a build has reached: `what` it did, and what the user can do."""

    what: str
    hint: str


def _hint(key: str, value: str) -> str:
    return f"if its build needs more, allow it: [tool.incamera.build-limits] {key} = {value}"


class LimitWatch:
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

    def check(self, printed: int) -> Reached | None:
        """Return the limit that has been reached; None when there is none. *printed* is in bytes."""
        limits = self._limits
        if printed > limits.output:
            return Reached(f"it printed more than {format_bytes(limits.output)}", "let its build print less")
        now = time.monotonic()
        if now < self._next:
            return None
        step = min(now - self._last, _LONGEST_STEP)
        self._last, self._next = now, now + POLL_SECONDS
        tasks = 0
        processes = []
        for pid, count in walk(self._pid):
            processes.append(pid)
            tasks += count
            if tasks > limits.tasks:
                return Reached(
                    f"it started more processes and threads than {limits.tasks}",
                    "let its build start fewer at one time",
                )
        return self._check_time(processes, step) or self._check_memory(processes, now) or self._check_disk(now)

    def check_largest_file(self) -> Reached | None:
        """Return the limit of the disk when the kernel has refused to let a file grow beyond it."""
        *_, largest = _measure(self._folder)
        return self._reached_disk() if largest >= self._limits.disk else None

    def _check_time(self, processes: Sequence[int], step: float) -> Reached | None:
        limits = self._limits
        self._ran += step
        if self._ran > limits.seconds:
            hours = limits.seconds / 3600
            return Reached(f"it took longer than {format_count(hours, 'hour')}", _hint("hours", f"{2 * hours:.3g}"))
        states = [process_state(pid) for pid in processes]
        spent = sum(seconds for _, seconds in states)
        used, self._processor_seconds = max(0.0, spent - self._processor_seconds), spent
        if any(letter in _WAITING for letter, _ in states):
            self._idle = 0.0
        self._idle = max(0.0, self._idle + step - used / _LEAST_LOAD)
        if self._idle > limits.idle_seconds:
            minutes = format_count(limits.idle_seconds / 60, "minute")
            return Reached(
                f"it did nothing for {minutes}",
                "its log may say what it waits for. " + _hint("hours", "1"),
            )
        return None

    def _check_memory(self, processes: Sequence[int], now: float) -> Reached | None:
        limit = self._limits.memory
        if now < self._next_memory or sum(map(resident_bytes, processes)) <= limit:
            return None
        # What processes share has been counted for each. To divide it takes the kernel longer.
        if sum(map(own_bytes, processes)) <= limit:
            self._next_memory = now + 1
            return None
        size = format_bytes(limit)
        return Reached(
            f"it used more than {size} of memory",
            _hint("memory", f'"{format_bytes(2 * limit)}"'),
        )

    def _check_disk(self, now: float) -> Reached | None:
        free = _free_bytes(self._folder)
        if free < self._reserve:
            return Reached(
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
            return Reached(f"it wrote more than {most}", "let its build write fewer")
        return None

    def _reached_disk(self) -> Reached:
        limit = self._limits.disk
        return Reached(f"it wrote more than {format_bytes(limit)}", _hint("disk", f'"{format_bytes(2 * limit)}"'))


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
