"""Where in C code an app has crashed: what the agent prints of it, and the line of the source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from incamera.units import escape_controls

# As `crash.c` prints it: a file, and an offset in it; then the same of the code that called it.
_PLACE = rb"(/[^\r\n]{1,4095}?)\+0x([0-9a-f]{1,16})"
_TOLD = re.compile(rb"C code (?:called from|at) %s(?:, called from %s)?\r?\n" % (_PLACE, _PLACE))
_BEGIN = b"C code "
# A line of two paths, each as long as a path can be.
_LONGEST_LINE = 1 << 14
# What the toolchain calls the folder in which a project is built.
_BUILT_IN = "/incamera/project/"
# Of what an app has printed last, so much is looked at. Python's stack follows the line.
_LONGEST = 1 << 15


@dataclass(frozen=True, slots=True)
class SentFiles:
    """The files of this computer that were sent to a camera.

    *find* returns the one that a path in the camera was sent from, None for any other path. *find_debug* returns the
    folders with debug information that the camera does not have.
    """

    find: Callable[[str], Path | None]
    find_debug: Callable[[], Iterable[Path]]


def sent_files(store: Path, bundle: Path) -> SentFiles:
    """Return the files of the bundle in the folder *bundle*; its binaries were built by the store in *store*."""

    def find(path: str) -> Path | None:
        from incamera.runtime.bundle import find_in_bundle  # lazy: few runs crash

        return find_in_bundle(bundle, path)

    def find_debug() -> Iterable[Path]:
        from incamera.elf.debug import DEBUG_FOLDER  # lazy: few runs crash

        return store.glob(f"trees/*wheels/*/{DEBUG_FOLDER}")

    return SentFiles(find, find_debug)


class Tail:
    """The last bytes that an app has printed on one stream."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        self._data = (self._data + data)[-_LONGEST:]

    def describe_crash(self, sent: SentFiles, project: Path) -> str:
        """Return where in C code the app in the folder *project* has crashed; "" where that is not known."""
        told = list(_TOLD.finditer(self._data))
        return _describe(_places(told[-1]), sent, project) if told else ""


class PlaceNamer:
    """An `OutputFilter` that adds the line of the source to what the agent prints of a crash.

    The app's end tells it, too, but not when the crash was in a process that the app had started.
    """

    def __init__(self, sent: SentFiles, project: Path) -> None:
        self._sent = sent
        self._project = project
        self._pending = b""

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def feed(self, data: bytes) -> bytes:
        data, self._pending = self._pending + data, b""
        start = data.rfind(_BEGIN, data.rfind(b"\n") + 1)
        if start >= 0 and len(data) - start < _LONGEST_LINE:
            data, self._pending = data[:start], data[start:]
        return _TOLD.sub(self._name, data) if _BEGIN in data else data

    def finish(self) -> bytes:
        pending, self._pending = self._pending, b""
        return pending

    def _name(self, told: re.Match[bytes]) -> bytes:
        place = _describe(_places(told), self._sent, self._project)
        line = told[0].rstrip(b"\r\n")
        end = told[0][len(line) :]
        return line + f" ({place.removeprefix('in ')})".encode("utf-8", "surrogateescape") + end if place else told[0]


def _places(told: re.Match[bytes]) -> list[tuple[str, int]]:
    groups = told.groups()
    return [
        (group.decode("utf-8", "surrogateescape"), int(offset, 16))
        for group, offset in (groups[:2], groups[2:])
        if group is not None
    ]


def _describe(places: Sequence[tuple[str, int]], sent: SentFiles, project: Path) -> str:
    """Return the first of *places* whose line is known, else the first that is a file of the bundle."""
    from incamera.elf.debug import find_debug_file  # lazy: few runs crash
    from incamera.elf.lines import find_line

    files = [(file, offset) for path, offset in places if (file := sent.find(path)) is not None]
    for file, offset in files:
        try:
            line = find_line(file, offset, find_debug_file(file, sent.find_debug()))
        except (ValueError, OSError):
            continue
        if line is not None:
            return f"in {escape_controls(_own_path(line.file, project))}, line {line.line}"
    return f"in C code of {escape_controls(files[0][0].name)}" if files else ""


def _own_path(path: str, project: Path) -> str:
    """Return *path* relative to *project* if the build had it from there: builds happen in copies of the project.

    A file that the build has made, as Cython does, is not in *project*. Cython names a `.pyx` file from its package on,
    and the package may be in `src`.
    """
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        for own in ("/".join(parts[start:]), "/".join(["src", *parts[start:]])):
            if (project / own).is_file():
                return own
    return path.removeprefix(_BUILT_IN)
