"""What one step of a build may use: the defaults for this computer, and what the user's settings change of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_LEAST_TASKS = 4096


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
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        group = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
        for folder in (Path("/sys/fs/cgroup") / group.lstrip("/"), Path("/sys/fs/cgroup")):
            limit = folder / "memory.max"
            if limit.exists() and (text := limit.read_text().strip()) != "max":
                memory = min(memory, int(text))
    return memory
