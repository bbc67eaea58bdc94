"""Events of a camera: those that the stand-in of axevent writes into its files, and states of the camera itself."""

from __future__ import annotations

import math
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from incamera.axis_os.parameters import decode

FOLDER = Path("/run/incamera-events")
MOUNTS = Path("/proc/self/mounts")
# The disks of a camera, and where they are mounted.
DISKS = {name: f"/var/spool/storage/{name}" for name in ("SD_DISK", "NetworkShare")}

Value = bool | int | float | str

# Files are written by any program of the camera. 18 digits: microseconds until the year 33658.
_TIME = re.compile(r"[0-9]{1,18}")
_TOPIC_PART = re.compile(r"topic([0-9]{1,3})")
_NEXT = re.compile(r"next\t([0-9]{1,9})")
_MOST_BYTES = 1 << 20
_MOST_STATES = 500


@dataclass(frozen=True, slots=True)
class Event:
    """An event that was sent, or the state of a declared one. *time*: seconds since 1970.

    *sources* and *keys* are those of its data that say what the event is about, as far as it is marked.
    """

    time: float
    declaration: str
    topic: str
    is_state: bool
    data: Mapping[str, Value | None]
    sources: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()


def parse_event(line: str) -> Event | None:
    """Return the event of a line of the log or of a declaration; None for another line."""
    time, _, rest = line.rstrip("\n").partition("\t")
    parts = rest.split("\t")
    if len(parts) < 2 or not _TIME.fullmatch(time) or parts[1] not in ("state", "pulse"):
        return None
    topic: list[tuple[int, str, str]] = []
    data: dict[str, Value | None] = {}
    sources, keys = set(), set()
    for part in parts[2:]:
        fields = part.split(";")
        if len(fields) != 7:
            continue
        key, space, letter, marks, value = fields[:5]
        found = _value(letter, value)
        part_of_topic = _TOPIC_PART.fullmatch(key)
        if part_of_topic and isinstance(found, str):
            topic.append((int(part_of_topic[1]), space, found))
            continue
        name = decode(key) if space == "~" else f"{space}:{decode(key)}"
        data[name] = found
        if marks.startswith("s"):
            sources.add(name)
        elif not marks.startswith("d"):
            keys.add(name)
    kind = parts[1] == "state"
    return Event(int(time) / 1e6, parts[0], _show(sorted(topic)), kind, data, frozenset(sources), frozenset(keys))


def _show(parts: list[tuple[int, str, str]]) -> str:
    shown, before = [], ""
    for _, space, part in parts:
        shown.append(part if space == before else f"{space}:{part}")
        before = space
    return "/".join(shown)


def _value(letter: str, text: str) -> Value | None:
    if text == "~":
        return None
    try:
        match letter:
            case "b":
                return text != "0"
            case "i":
                return int(text)
            case "d":
                number = float(text)
                # JSON has neither infinity nor NaN.
                return number if math.isfinite(number) else None
    except ValueError:
        return None
    return decode(text)


class Feed:
    """The events from now on. *folder* is that of the stand-in, *mounts* the kernel's list of mounted disks."""

    def __init__(self, folder: Path = FOLDER, mounts: Path = MOUNTS) -> None:
        self._folder = folder
        self._mounts = mounts
        self._disks = self._find_disks()
        self._left = b""
        self._log = self._open("log")
        if self._log is not None:
            os.lseek(self._log, 0, os.SEEK_END)

    def close(self) -> None:
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def states(self) -> list[Event]:
        """Return the states that there are: those of the camera, and the declared ones of programs that run."""
        found = [Event(time.time(), "", "tns1:Device/tnsaxis:Status/SystemReady", True, {"ready": True})]
        found += [_disruption(disk, is_there) for disk, is_there in self._disks.items()]
        with suppress(OSError):
            folder = self._folder / "declared"
            names = [] if folder.is_symlink() else [path.name for path in folder.iterdir()]
            for name in sorted(names)[:_MOST_STATES]:
                if name.startswith("camera") or Path("/proc", name.partition(".")[0]).is_dir():
                    event = parse_event(self._read(f"declared/{name}"))
                    found += [event] if event and event.is_state else []
        return found

    def read(self) -> Iterator[Event]:
        """Yield the events since the last call."""
        disks = self._find_disks()
        for disk, is_there in disks.items():
            if is_there != self._disks[disk]:
                yield _disruption(disk, is_there)
        self._disks = disks
        if self._log is None:
            self._log = self._open("log")
        while self._log is not None and (data := os.read(self._log, _MOST_BYTES)):
            *lines, self._left = (self._left + data)[-_MOST_BYTES:].split(b"\n")
            for line in lines:
                text = line.decode("utf-8", "replace")
                if match := _NEXT.fullmatch(text):  # the log is full, and another was begun
                    self.close()
                    following = self._open(f"log.{int(match[1]) + 1}")
                    self._log = self._open("log") if following is None else following
                    break
                if event := parse_event(text):
                    yield event

    def _find_disks(self) -> dict[str, bool]:
        with suppress(OSError):
            mounted = {line.split(" ")[1] for line in self._mounts.read_text("utf-8", "replace").splitlines()}
            return {disk: path in mounted for disk, path in DISKS.items()}
        return dict.fromkeys(DISKS, False)

    def _open(self, name: str) -> int | None:
        """Open a file of the folder, to which programs without root can write."""
        if self._folder.is_symlink():
            return None
        try:
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        return descriptor

    def _read(self, name: str) -> str:
        descriptor = self._open(name)
        if descriptor is None:
            return ""
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(_MOST_BYTES).decode("utf-8", "replace")


def _disruption(disk: str, is_there: bool) -> Event:
    data: dict[str, Value | None] = {"disk_id": disk, "disruption": not is_there}
    return Event(time.time(), "", "tnsaxis:Storage/Disruption", True, data, frozenset(["disk_id"]))
