"""Where the time goes when an app starts: Python's own import times, and marks, taken out of what it prints."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.device.tracebacks import Tap

_IMPORT = re.compile(rb"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)\s*")
_READY = re.compile(rb"incamera-startup: ready ([\d.]+)\s*")
_OURS = (b"import time:", b"incamera-startup:")
# Runs the words that follow it as `python3 WORDS` would, after it has told how old the process is.
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
    """What a run told of its start. Moments are of our clock (`time.monotonic`), None for what never came.

    *age* is how old the process was when the interpreter stood, by the camera's clock; *interpreter* are the modules
    that it imported until then, *imports* those of the app.
    """

    opened: float
    ready: float | None = None
    first_output: float | None = None
    age: float | None = None
    interpreter: list[Import] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    rows: list[tuple[int, str, float, float]] = field(default_factory=list)

    def take(self, line: bytes) -> None:
        """Take a line that is for us."""
        if match := _IMPORT.fullmatch(line):
            depth = len(match[3]) // 2
            self.rows.append((depth, match[4].decode("utf-8", "replace"), int(match[1]) / 1e6, int(match[2]) / 1e6))
        elif match := _READY.fullmatch(line):
            self.ready = time.monotonic()
            self.age = float(match[1])
            self.interpreter, self.rows = build_tree(self.rows), []

    def finish(self) -> None:
        self.imports, self.rows = build_tree(self.rows), []


def build_tree(rows: Sequence[tuple[int, str, float, float]]) -> list[Import]:
    """Return the imports of the top; Python tells of each after those that it imported itself, which lie deeper."""
    waiting: dict[int, list[Import]] = {}
    for depth, name, own, seconds in rows:
        children = tuple(waiting.pop(depth + 1, []))
        waiting.setdefault(depth, []).append(Import(name=name, own=own, seconds=seconds, children=children))
    # Where the app ended in the middle of an import, what that had imported stands alone.
    return [item for depth in sorted(waiting) for item in waiting[depth]]


class StartupTap:
    """Takes the lines that are for us out of the output, and passes the rest on to another tap."""

    def __init__(self, startup: Startup, inner: Tap, *, is_output: bool) -> None:
        self._startup = startup
        self._inner = inner
        self._is_output = is_output
        self._held = b""
        self._in_line = False  # its beginning has been shown already

    @property
    def is_holding(self) -> bool:
        return bool(self._held) or self._inner.is_holding

    def feed(self, data: bytes) -> bytes:
        *lines, rest = (self._held + data).split(b"\n")
        shown = []
        for line in lines:
            if line.startswith(_OURS) and not self._in_line:
                self._startup.take(line)
            else:
                shown.append(line + b"\n")
            self._in_line = False
        # The beginning of a line that may become one of ours waits for its end.
        waits = not self._in_line and any(rest.startswith(our) or our.startswith(rest) for our in _OURS)
        self._held = rest if waits else b""
        self._in_line = self._in_line or (bool(rest) and not waits)
        return self._pass_on(b"".join(shown) + (b"" if waits else rest))

    def finish(self) -> bytes:
        if self._held.startswith(_OURS):  # the rest of it is still to come
            return self._inner.finish()
        held, self._held = self._held, b""
        self._in_line = self._in_line or bool(held)
        return self._pass_on(held) + self._inner.finish()

    def _pass_on(self, data: bytes) -> bytes:
        if data and self._is_output and self._startup.first_output is None:
            self._startup.first_output = time.monotonic()
        return self._inner.feed(data) if data else b""
