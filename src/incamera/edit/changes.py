"""What changed in a project, once it has come to rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from incamera.project.watching import looks_unfinished

# Nothing may have changed for so long before a change counts: editors save in steps.
QUIET_SECONDS = 0.08
# What looks as if it were in the middle of being saved gets so much longer.
UNFINISHED_SECONDS = 0.5
# A file that is written all the time must not keep the others waiting.
LONGEST_SECONDS = 2.0
_MANY = 50


class Inbox:
    """The paths that changed, as they are told of by another thread."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._wake: Callable[[], object] = lambda: None

    def put(self, paths: Iterable[str]) -> None:
        self._paths.update(paths)
        self._wake()

    def attach(self, wake: Callable[[], object]) -> None:
        """Have *wake* called, in the other thread, whenever something comes."""
        self._wake = wake

    @property
    def is_full(self) -> bool:
        return bool(self._paths)

    def take(self) -> set[str]:
        paths, self._paths = self._paths, set()
        return paths


async def settle(inbox: Inbox, changed: asyncio.Event, project: Path) -> set[str]:
    """Return the paths that changed, once nothing more comes: *changed* is set whenever *inbox* gets something."""
    first = time.monotonic()
    paths: set[str] = set()
    unfinished: set[str] = set()
    while True:
        changed.clear()
        new = inbox.take()
        paths |= new
        # Somebody who edits saves a few files; where a branch is checked out, looking into each would take too long.
        suspects = (unfinished | new) if len(new) <= _MANY else set()
        unfinished = {path for path in suspects if looks_unfinished(project / path)}
        rest = first + LONGEST_SECONDS * (2 if unfinished else 1) - time.monotonic()
        if rest <= 0:
            return paths
        try:
            await asyncio.wait_for(changed.wait(), min(UNFINISHED_SECONDS if unfinished else QUIET_SECONDS, rest))
        except TimeoutError:
            return paths


def is_setting(path: str) -> bool:
    """Whether *path* may say that another runtime is wanted."""
    return path == "pyproject.toml" or path.startswith("pylock.") or path.endswith(".toml")
