"""A camera's system log: read it, and follow it without losing lines or showing one twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from incamera.vapix.client import Call, Client

_PATH = "axis-cgi/admin/systemlog.cgi"
_MOST_BYTES = 16 << 20
_LONGEST_LINE = 8192
# `2025-04-17T20:24:33.559+00:00 axis-00408c123456 [ INFO    ] hello[140843]: text`, or with the time of day alone.
_ENTRY = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\S{1,40}|\d\d:\d\d:\d\d\S{0,20})\s++(?:(?P<host>[\w.-]{1,100})\s++)??"
    r"\[\s*+(?P<level>[A-Z]{1,10})\s*+\]\s*+(?P<source>[^\s:\[]{1,200})(?:\[(?P<pid>\d{1,10})\])?+:\s?+(?P<text>.*)"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the log. *time* is as the camera writes it. All but *text* is "" in a line of another form."""

    time: str
    level: str
    source: str
    text: str
    pid: str = ""

    def __str__(self) -> str:
        who = f"{self.source}[{self.pid}]" if self.pid else self.source
        return f"{self.time} {self.level:<7} {who}: {self.text}" if self.time else self.text


def read_log(client: Client, app: str = "", *, seconds: float = 60.0) -> tuple[str, ...]:
    """Return the lines of the log that the camera keeps, of all or of one *app*; the oldest first.

    The camera has so many *seconds* to answer. Raises DeviceError.
    """
    query = {"appname": app} if app else {}
    call = Call(path=_PATH, what="show its log", query=query, limit=_MOST_BYTES, seconds=seconds)
    answer = client.call(call)
    return parse_lines(answer.body)


def parse_lines(data: bytes) -> tuple[str, ...]:
    """Return the lines of the log *data* without its heading; the oldest first."""
    lines = [line.rstrip("\r")[:_LONGEST_LINE] for line in data.decode("utf-8", "backslashreplace").split("\n")]
    lines = [line for line in lines if line and not _is_heading(line)]
    return tuple(reversed(lines) if _is_newest_first(lines) else lines)


def _is_heading(line: str) -> bool:
    return line.startswith("---") and "Contents of" in line


def _is_newest_first(lines: Sequence[str]) -> bool:
    """Return whether *lines* stand in the order of older firmware. The time of day alone does not tell."""
    times = [entry.time for line in (*lines[:3], *lines[-3:]) if "T" in (entry := parse_entry(line)).time]
    return len(times) > 1 and times[0] > times[-1]


def parse_entry(line: str) -> Entry:
    """Return the parts of a *line* of the log."""
    match = _ENTRY.fullmatch(line)
    if match is None:
        return Entry("", "", "", line)
    return Entry(match["time"], match["level"], match["source"], match["text"], match["pid"] or "")


@dataclass(frozen=True, slots=True)
class News:
    """What is new in the log. With *has_gap*, lines before these may have been lost: the log was read too late."""

    lines: tuple[str, ...]
    has_gap: bool = False


def find_news(before: Sequence[str], now: Sequence[str]) -> News:
    """Return what *now* has more than *before*: a log grows at its end, and its beginning may have been removed.

    Where none of the lines before is left, there is a gap. A first line that was cut off is left out.
    """
    for start in (0, 1):
        overlap = _overlap(before, now[start:])
        if overlap:
            return News(tuple(now[start + overlap :]))
    return News(tuple(now), has_gap=bool(before))


def _overlap(before: Sequence[str], now: Sequence[str]) -> int:
    """Return how many lines at the end of *before* are those at the beginning of *now*: as many as there can be.

    The time is in proportion to the number of lines (Knuth, Morris and Pratt).
    """
    if not now:
        return 0
    borders = [0] * len(now)
    length = 0
    for place in range(1, len(now)):
        while length and now[place] != now[length]:
            length = borders[length - 1]
        if now[place] == now[length]:
            length += 1
        borders[place] = length
    length = 0
    for line in before[-len(now) :]:
        while length and (length == len(now) or line != now[length]):
            length = borders[length - 1]
        if line == now[length]:
            length += 1
    return length
