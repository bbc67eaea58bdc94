"""Which files of a project changed, once no more changes come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from incamera.project.watching import looks_unfinished

# A change counts after so many seconds without another: editors save in steps.
QUIET_SECONDS = 0.08
# The same for a file that looks half saved.
UNFINISHED_SECONDS = 0.5
# A file that is written all the time must not hold up the others for longer.
LONGEST_SECONDS = 2.0
_MANY = 50


class Inbox:
    """The paths that changed. The thread that watches the project puts them in."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._wake: Callable[[], object] = lambda: None

    def put(self, paths: Iterable[str]) -> None:
        self._paths.update(paths)
        self._wake()

    def attach(self, wake: Callable[[], object]) -> None:
        """Have *wake* called, in the watching thread, whenever paths are put in."""
        self._wake = wake

    @property
    def is_full(self) -> bool:
        return bool(self._paths)

    def take(self) -> set[str]:
        """Return the paths, and empty the inbox."""
        paths, self._paths = self._paths, set()
        return paths


async def settle(inbox: Inbox, changed: asyncio.Event, project: Path) -> set[str]:
    """Return the paths that changed, once no more come. *changed* is set whenever *inbox* gets some."""
    first = time.monotonic()
    paths: set[str] = set()
    unfinished: set[str] = set()
    while True:
        changed.clear()
        new = inbox.take()
        paths |= new
        # An edit saves a few files. A checkout of a branch changes many, and reading each would take too long.
        suspects = (unfinished | new) if len(new) <= _MANY else set()
        unfinished = {path for path in suspects if looks_unfinished(project / path)}
        rest = first + LONGEST_SECONDS * (2 if unfinished else 1) - time.monotonic()
        if rest <= 0:
            return paths
        try:
            await asyncio.wait_for(changed.wait(), min(UNFINISHED_SECONDS if unfinished else QUIET_SECONDS, rest))
        except TimeoutError:
            return paths


def concerns_runtime(path: str, local: Iterable[str]) -> bool:
    """Tell whether a change of *path* may ask for another runtime.

    *local*: the paths of the project's local packages. All paths are relative to the project.
    """
    return path == "pyproject.toml" or path.startswith("pylock.") or path.endswith(".toml") or is_below(path, local)


def is_below(path: str, folders: Iterable[str]) -> bool:
    """Whether *path* is one of *folders*, or in one."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)
