"""The app that an edit session keeps up to date, and what the session asks of its caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from incamera.edit.changes import concerns_runtime

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.edit.live_app import LiveApp


@dataclass(frozen=True, kw_only=True)
class EditedApp:
    """The app that an edit session keeps up to date, and what the session asks of its caller.

    `root` is the folder on the device from which the bundle runs, `project` the project's folder here. `imports` are
    loaded by the fork server. `local` are the paths of the project's local packages, relative to it. `arguments` is
    called for each start, since the entry may change. `find_staleness` returns why the deployed bundle no longer fits
    the settings, None if it does, or raises InCameraError; `make_replacement` then makes the bundle to deploy next, or
    raises InCameraError. `leave_out` returns how the user leaves a file out of the app. `open_output` opens the log of
    a run; its argument is the live folder on the device. `memory_limit` is in bytes. `environment` is that of each run.
    `user` and `command` are shown to others who want the same app.
    """

    app: str
    root: str
    project: Path
    live: LiveApp
    imports: tuple[str, ...]
    local: tuple[str, ...]
    arguments: Callable[[], list[str]]
    find_staleness: Callable[[], str | None]
    make_replacement: Callable[[], object]
    leave_out: Callable[[str], str]
    open_output: Callable[[str], Any]
    memory_limit: int | None
    user: str
    command: str
    take_over: bool
    script: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def is_setting(self, path: str) -> bool:
        """Whether a change of *path* may ask for another runtime. A script has its settings in itself."""
        return concerns_runtime(path, self.local) or path == self.script

    def find_missing_entry(self, files: Mapping[str, object]) -> str | None:
        """Return the file that starts the app if *files* lack it."""
        first = next(iter(self.arguments()), "")
        return first if first.endswith(".py") and first.removeprefix("./") not in files else None
