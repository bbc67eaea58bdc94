"""What an edit session is about, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.edit.live_app import LiveApp


class Outcome(StrEnum):
    ended = "ended"
    stale = "stale"
    """The app needs another runtime, or other settings of the session."""


@dataclass(frozen=True, kw_only=True)
class Edited:
    """What is run, and what the session asks of its surroundings.

    *find_staleness* says whether the deployed bundle is no more what the settings ask for: a reason or None, or raises
    InCameraError. *arguments* is called for each start: the entry may be another then. *open_output* begins the log of
    a run that happens in the live folder.
    """

    app: str
    root: str
    project: Path
    live: LiveApp
    imports: tuple[str, ...]
    arguments: Callable[[], list[str]]
    find_staleness: Callable[[], str | None]
    open_output: Callable[[str], Any]
    memory_limit: int | None
    user: str
    command: str
    take_over: bool

    def find_missing(self, files: Mapping[str, object]) -> str | None:
        """Return the file that the app begins with, if *files* lack it."""
        first = next(iter(self.arguments()), "")
        return first if first.endswith(".py") and first not in files else None
