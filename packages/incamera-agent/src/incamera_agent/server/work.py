"""The folder in which apps work. Its path stays: it has links to the files of the bundle, or of the live folder.

The guard makes the links (launcher/work_folder.c), for the agent as for an app that is started without one.
"""

from __future__ import annotations

import os
import sys

from incamera_agent.wire.protocol import WORK_APP, find_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Optional


class WorkFolder:
    """The working folder *path*/app. The agent was started in it, and it shows the bundle's files."""

    def __init__(self, path: str) -> None:
        self.folder = os.path.join(path, WORK_APP)
        self.source = find_files(self.folder)
        """The folder whose files it is to show."""
        self._path = path
        self._is_stale = False

    def show(self) -> None:
        """Have the folder show the files of `source`, unless it does. Raises OSError."""
        if find_files(self.folder) == self.source and not self._is_stale and os.path.isdir(self.folder):
            return
        guard = os.path.join(os.path.dirname(sys.executable), "incamera-guard")
        pid = os.posix_spawn(guard, [guard, "show", self.source, self._path], os.environ)
        _pid, status = os.waitpid(pid, 0)
        if status:
            raise OSError(0, "its working folder cannot be made", self.folder)
        self._is_stale = False

    def note(self, put: Iterable[str], deleted: Iterable[str]) -> None:
        """Note which files have come and gone, so that `show` changes their links."""
        if not self._is_stale:
            self._is_stale = not all(map(self._has_link, put)) or any(map(self._has_link, deleted))

    def _has_link(self, path: str) -> bool:
        place = os.path.join(self.folder, path)
        compiled = not path.endswith(".py") or os.path.islink(os.path.join(os.path.dirname(place), "__pycache__"))
        return os.path.islink(place) and compiled


def find_work_folder(path: Optional[str]) -> Optional[WorkFolder]:
    """Return the working folder *path*, None where the agent was not started in it: the guard could not make it."""
    try:
        work = WorkFolder(path) if path else None
        return work if work is not None and os.path.samefile(".", work.folder) else None
    except OSError:
        return None
