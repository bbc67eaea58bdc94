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


# faulthandler's line in front of a stack, and the frame from which on it is the agent's own.
_CRASH = re.compile(rb"\(most recent call first\):\r?\n")
_CRASH_BYTES = len(b"(most recent call first):\r\n")
_FRAME = b'  File "'
_OURS = re.compile(rb'  File "[^"]*/incamera_agent/forkserver/child\.py", line \d+ in ')


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


class CrashTrimmer:
    """An `OutputFilter` that leaves out the agent's frames where faulthandler prints the stack of a forked app.

    They are below those of the app. Nothing is held back but the unfinished lines of such a stack.
    """

    def __init__(self) -> None:
        self._pending = self._before = b""
        self._in_stack = False
        self._is_ours = False

    @property
    def has_pending(self) -> bool:
        """Whether a line is held back that may be a prompt. The rest of a frame comes, however slow the camera is."""
        pending = self._pending
        return bool(pending) and not (pending.startswith(_FRAME) or _FRAME.startswith(pending))

    def feed(self, data: bytes) -> bytes:
        data, self._pending = self._pending + data, b""
        shown, position = [], 0
        while position < len(data):
            if not self._in_stack:
                # The line in front may have come in pieces.
                known = self._before + data[position:]
                match = _CRASH.search(known)
                stop = position + match.end() - len(self._before) if match else len(data)
                shown.append(data[position:stop])
                self._in_stack, self._is_ours, position = match is not None, False, stop
                self._before = b"" if match else known[-_CRASH_BYTES:]
                continue
            end = data.find(b"\n", position) + 1
            line = data[position : end or len(data)]
            if not end and len(line) < _LONGEST:
                self._pending = line
                break
            shown.append(self._take(line))
            position += len(line)
        return b"".join(shown)

    def finish(self) -> bytes:
        pending, self._pending = self._pending, b""
        return self._take(pending)

    def _take(self, line: bytes) -> bytes:
        if not line.startswith(_FRAME):
            self._in_stack = False
        elif _OURS.match(line):
            self._is_ours = True
        return b"" if self._in_stack and self._is_ours else line


class FilterChain:
    """An `OutputFilter` made of two: what *first* lets through goes to *second*."""

    def __init__(self, first: OutputFilter, second: OutputFilter) -> None:
        self._first = first
        self._second = second

    @property
    def has_pending(self) -> bool:
        return self._first.has_pending or self._second.has_pending

    def feed(self, data: bytes) -> bytes:
        return self._second.feed(self._first.feed(data))

    def finish(self) -> bytes:
        return self._second.feed(self._first.finish()) + self._second.finish()
