"""The system log of a camera: its last lines, in memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime

_MOST_LINES = 5000
_MOST_BYTES = 2 << 20
_LONGEST_LINE = 2048


class SystemLog:
    """The log of the camera *host_name*. Threads may write to it."""

    def __init__(self, host_name: str) -> None:
        self.host_name = host_name
        # Each line, with the name of the app that has written it under whatever name.
        self._lines: deque[tuple[str, str]] = deque(maxlen=_MOST_LINES)
        self._bytes = 0
        self._lock = threading.Lock()

    def write(self, source: str, text: str, *, pid: int = 0, level: str = "INFO", app: str = "") -> None:
        """Write the lines of *text*, which *source* says, a part of *app*."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        who = f"{source}[{pid}]" if pid else source
        for line in text.split("\n") or [""]:
            entry = f"{time} {self.host_name} [ {level:<7} ] {who}: {_printable(line[:_LONGEST_LINE])}"
            with self._lock:
                if len(self._lines) == _MOST_LINES:
                    self._bytes -= len(self._lines[0][0])
                self._lines.append((entry, app))
                self._bytes += len(entry)
                while self._bytes > _MOST_BYTES:
                    self._bytes -= len(self._lines.popleft()[0])

    def load(self, lines: Iterable[str]) -> None:
        """Put *lines* in the place of those that there are."""
        with self._lock:
            self._lines.clear()
            self._lines.extend((line, "") for line in lines)
            self._bytes = sum(len(line) for line, _ in self._lines)

    def lines(self) -> list[str]:
        with self._lock:
            return [line for line, _ in self._lines]

    def show(self, app: str | None) -> str:
        """Return what systemlog.cgi answers: all lines, or those of *app*."""
        with self._lock:
            lines = [line for line, by in self._lines if app is None or by == app or _is_about(line, app)]
        head = "----- Contents of SYSTEM_LOG" + (f" for '{_printable(app)}'" if app else "") + " -----\n\n"
        return head + "".join(f"{line}\n" for line in lines)


def _is_about(line: str, app: str) -> bool:
    source, _, text = line.partition("] ")[2].partition(": ")
    return source.partition("[")[0] == app or f"sdk{app}.service" in text


def _printable(text: str) -> str:
    """Return *text* with control characters as rsyslog writes them: `#033`."""

    def shown(one: str) -> str:
        codes = one.encode("utf-8", "replace")
        return one if one.isprintable() or one == "\t" else "".join(f"#{code:03o}" for code in codes)

    return "".join(map(shown, text))
