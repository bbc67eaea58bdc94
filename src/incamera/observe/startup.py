"""Where an app's start spends its time: import times that Python prints, and marks of ours, taken out of the output."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.device.tracebacks import OutputFilter

_IMPORT = re.compile(rb"import time:\s+(\d{1,12}) \|\s+(\d{1,12}) \| ( *)(\S+)\s*")
_READY = re.compile(rb"incamera-startup: ready (\d{1,12}(?:\.\d{1,9})?)\s*")
# An app could print such lines, too, as many and as long as it likes.
_LONGEST_LINE = 4096
_MOST_ROWS = 100_000
_DEEPEST = 100
_OURS = (b"import time:", b"incamera-startup:")
# Runs the arguments that follow it as `python3 ARGUMENTS` would, after it has printed the age of the process.
BOOT = r"""
def boot():
    import os, sys, time
    with open("/proc/self/stat") as stream:
        began = int(stream.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    words = sys.argv[1:]
    space = {"__name__": "__main__", "__builtins__": __builtins__}
    code = None
    if words[0] == "-c":
        code, sys.argv = words[1], ["-c", *words[2:]]
    elif words[0] != "-m":
        space["__file__"] = path = os.path.abspath(words[0])
        sys.argv, sys.path[0] = words, os.path.dirname(os.path.realpath(path))
        with open(path, "rb") as stream:
            code = compile(stream.read(), path, "exec")
    sys.stderr.write(f"incamera-startup: ready {age:.4f}\n")
    sys.stderr.flush()
    if code is None:
        import runpy
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"].__dict__
    main.clear()
    main.update(space)
    exec(code, main)
boot()
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One module: the seconds of its own, with those of what it imported first, and what that was."""

    name: str
    own: float
    seconds: float
    children: tuple[Import, ...]


@dataclass(slots=True)
class Startup:
    """What a run printed about its start. Times are of this computer (`time.monotonic`), None for what never happened.

    *age* is how old the process was, in seconds, when the interpreter was ready. *interpreter* are the modules
    imported until then, *imports* those of the app.
    """

    opened: float
    ready: float | None = None
    first_output: float | None = None
    age: float | None = None
    interpreter: list[Import] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    rows: list[tuple[int, str, float, float]] = field(default_factory=list)

    def take(self, line: bytes) -> None:
        """Add what one of our lines says."""
        if match := _IMPORT.fullmatch(line):
            depth = min(len(match[3]) // 2, _DEEPEST)
            if len(self.rows) < _MOST_ROWS:
                self.rows.append((depth, match[4].decode("utf-8", "replace"), int(match[1]) / 1e6, int(match[2]) / 1e6))
        elif match := _READY.fullmatch(line):
            self.ready = time.monotonic()
            self.age = float(match[1])
            self.interpreter, self.rows = build_tree(self.rows), []

    def finish(self) -> None:
        """Make the app's imports a tree; no more lines come."""
        self.imports, self.rows = build_tree(self.rows), []


def build_tree(rows: Sequence[tuple[int, str, float, float]]) -> list[Import]:
    """Return the imports at the top. Python prints a module after those that it imports, which are deeper."""
    waiting: dict[int, list[Import]] = {}
    for depth, name, own, seconds in rows:
        children = tuple(waiting.pop(depth + 1, []))
        waiting.setdefault(depth, []).append(Import(name=name, own=own, seconds=seconds, children=children))
    # Where the app ended during an import, the modules imported by it have no parent.
    return [item for depth in sorted(waiting) for item in waiting[depth]]


class StartupFilter:
    """An `OutputFilter` that takes our lines out of the output, and passes the rest on to another filter."""

    def __init__(self, startup: Startup, inner: OutputFilter, *, is_output: bool) -> None:
        self._startup = startup
        self._inner = inner
        self._is_output = is_output
        self._pending = b""
        self._in_line = False  # the beginning of the line has been shown

    @property
    def has_pending(self) -> bool:
        return bool(self._pending) or self._inner.has_pending

    def feed(self, data: bytes) -> bytes:
        *lines, rest = (self._pending + data).split(b"\n")
        shown = []
        for line in lines:
            if line.startswith(_OURS) and not self._in_line:
                self._startup.take(line)
            else:
                shown.append(line + b"\n")
            self._in_line = False
        # The beginning of a line that may become one of ours waits for its end.
        waits = not self._in_line and any(rest.startswith(our) or our.startswith(rest) for our in _OURS)
        waits = waits and len(rest) <= _LONGEST_LINE
        self._pending = rest if waits else b""
        self._in_line = self._in_line or (bool(rest) and not waits)
        return self._pass_on(b"".join(shown) + (b"" if waits else rest))

    def finish(self) -> bytes:
        if self._pending.startswith(_OURS):  # the rest of it is still to come
            return self._inner.finish()
        held, self._pending = self._pending, b""
        self._in_line = self._in_line or bool(held)
        return self._pass_on(held) + self._inner.finish()

    def _pass_on(self, data: bytes) -> bytes:
        if data and self._is_output and self._startup.first_output is None:
            self._startup.first_output = time.monotonic()
        return self._inner.feed(data) if data else b""
