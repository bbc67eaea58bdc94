"""Where in C code an app has crashed: what the agent prints of it, and the line of the source."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from incamera.units import escape_controls

# As `crash.c` prints it: a file, and an offset in it; then the same of the code that called it.
_PLACE = rb"(/[^\r\n]{1,4095}?)\+0x([0-9a-f]{1,16})"
_TOLD = re.compile(rb"C code (?:called from|at) %s(?:, called from %s)?\r?\n" % (_PLACE, _PLACE))
# Of what an app has printed last, so much is looked at. Python's stack follows the line.
_LONGEST = 1 << 15

FindFile = Callable[[str], Path | None]
"""Returns the file of this computer that a path in the camera was sent from, None for any other path."""


def finder_in(bundle: Path) -> FindFile:
    """Return what finds the files of the bundle in the folder *bundle*."""

    def find(path: str) -> Path | None:
        from incamera.runtime.bundle import find_in_bundle  # lazy: few runs crash

        return find_in_bundle(bundle, path)

    return find


class Tail:
    """The last bytes that an app has printed on one stream."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        self._data = (self._data + data)[-_LONGEST:]

    def describe_crash(self, find_file: FindFile, project: Path) -> str:
        """Return where in C code the app in the folder *project* has crashed; "" where that is not known."""
        told = list(_TOLD.finditer(self._data))
        if not told:
            return ""
        groups = told[-1].groups()
        places = [
            (group.decode("utf-8", "surrogateescape"), int(offset, 16))
            for group, offset in (groups[:2], groups[2:])
            if group is not None
        ]
        return _describe(places, find_file, project)


def _describe(places: Sequence[tuple[str, int]], find_file: FindFile, project: Path) -> str:
    """Return the first of *places* whose line is known, else the first that is a file of the bundle."""
    from incamera.elf.lines import find_line  # lazy: few runs crash

    files = [(path, file, offset) for path, offset in places if (file := find_file(path)) is not None]
    for _, file, offset in files:
        try:
            line = find_line(file, offset)
        except (ValueError, OSError):
            continue
        if line is not None:
            return f"in {escape_controls(_own_path(line.file, project))}, line {line.line}"
    return f"in C code of {escape_controls(files[0][1].name)}" if files else ""


def _own_path(path: str, project: Path) -> str:
    """Return *path* relative to *project* if the build had it from there: builds happen in copies of the project."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        own = "/".join(parts[start:])
        if (project / own).is_file():
            return own
    return path
