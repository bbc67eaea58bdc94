"""Rewrite the app's output: a path on the device becomes the path of the same file on this computer.

So a traceback names the file that the user edits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# What ends a path in a traceback (`File "…", line 3`), in pdb (`> …(3)main()`) and in a warning (`…:3: UserWarning`).
_END = re.compile(rb"[\"'():,<>\x1b\r\n]")
# No path is longer, so no more than this is ever held back.
_LONGEST = 4096


class OutputFilter(Protocol):
    """A filter for output on its way to the user."""

    @property
    def has_pending(self) -> bool:
        """Whether some output is held back."""

    def feed(self, data: bytes) -> bytes:
        """Return what can be shown of all output so far; the rest is held back."""

    def finish(self) -> bytes:
        """Return what is held back, because no more output comes, or not soon."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPaths:
    """The folders of the app's files: *folders* on the device, *sources* on the host, searched in this order."""

    folders: tuple[str, ...]
    sources: tuple[Path, ...]

    def find(self, path: str) -> Path | None:
        """Return the host's file for *path* on the device, None where there is none."""
        for folder in self.folders:
            if path.startswith(folder + "/"):
                return self.find_relative(path[len(folder) + 1 :])
        return None

    def find_relative(self, path: str) -> Path | None:
        """Return the host's file for a path relative to the app's folder, None where there is none."""
        if not path or path.startswith("/") or ".." in path.split("/"):
            return None
        try:
            return next((source / path for source in self.sources if (source / path).is_file()), None)
        except (OSError, ValueError):  # no file's name can be so long, or have such a character
            return None


def host_paths(project: Path, folders: Sequence[str], *, has_build_system: bool) -> HostPaths:
    """Return where to look for the app's files. A wheel leaves out the folder that they are in at home, often `src`."""
    sources = (project, project / "src", project / "lib", project / "python") if has_build_system else (project,)
    return HostPaths(folders=tuple(dict.fromkeys(folder for folder in folders if folder)), sources=sources)


class PathRewriter:
    """An `OutputFilter` that replaces the device's paths with the host's. A path is held back until its end comes."""

    def __init__(self, paths: HostPaths) -> None:
        self._paths = paths
        self._prefixes = tuple(folder.encode("utf-8", "surrogateescape") + b"/" for folder in paths.folders)
        self._search = re.compile(b"|".join(re.escape(prefix) for prefix in self._prefixes))
        self._pending = b""

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def feed(self, data: bytes) -> bytes:
        return self._rewrite(self._pending + data, last=False)

    def finish(self) -> bytes:
        return self._rewrite(self._pending, last=True)

    def _rewrite(self, data: bytes, *, last: bool) -> bytes:
        shown, position = [], 0
        while match := self._search.search(data, position):
            end = _END.search(data, match.end(), match.start() + _LONGEST)
            if end is None and not last and len(data) - match.start() < _LONGEST:
                shown.append(data[position : match.start()])
                self._pending = data[match.start() :]
                return b"".join(shown)
            stop = end.start() if end else min(len(data), match.start() + _LONGEST)
            path = data[match.start() : stop]
            shown += [data[position : match.start()], self._translate(path)]
            position = stop
        rest = data[position:]
        keep = 0 if last else self._beginning_at_end(rest)
        self._pending = rest[len(rest) - keep :]
        shown.append(rest[: len(rest) - keep])
        return b"".join(shown)

    def _translate(self, path: bytes) -> bytes:
        # A file's name may hold spaces; where it doesn't, what follows a space is other text.
        for candidate in (path, path.split()[0]):
            if found := self._paths.find(candidate.decode("utf-8", "surrogateescape")):
                return str(found).encode("utf-8", "surrogateescape") + path[len(candidate) :]
        return path

    def _beginning_at_end(self, data: bytes) -> int:
        """Return how many bytes at the end of *data* may be the beginning of one of the app's paths."""
        most = min(len(data), max(len(prefix) for prefix in self._prefixes))
        for count in range(most, 0, -1):
            if any(prefix.startswith(data[-count:]) for prefix in self._prefixes):
                return count
        return 0
