"""The files of a run's log, which `incamera logs` reads.

<store>/logs/<project>/<number>/run.json        what ran, when, where, and how it ended
<store>/logs/<project>/<number>/<n>.jsonl       part n of its lines, each [seconds since the start, stream, text]

Only the newest lines of a run are kept: when a part is full the next one begins, and all but the last two parts are
removed.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from incamera.disk import write_atomic
from incamera.errors import UsageError
from incamera.store import process_exists
from incamera_agent.wire.frames import load_json

KEPT_RUNS = 100
_PART_BYTES = 1_000_000
_MAX_LINE_CHARS = 8_192
_TERMINAL_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_POLL_SECONDS = 0.2
# No clock of a computer shows a later time, in seconds since 1970: the year 9000.
_LATEST = 221_845_392_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run whose log is kept.

    *began* and *ended* are in seconds since 1970. *ended* is None while the app runs, and also after `incamera` was
    killed before the app ended. *pid* is the process of `incamera` on this computer.
    """

    number: int
    command: str
    device: str
    began: float
    pid: int
    ended: float | None = None
    exit_code: int | None = None

    @property
    def running(self) -> bool:
        return self.ended is None and process_exists(self.pid)


@dataclass(frozen=True, slots=True)
class Line:
    """A line that a run printed.

    *time* is in seconds since 1970. *stream* is "stdout", "stderr", or "terminal" for a run in a terminal, which joins
    the two.
    """

    time: float
    stream: str
    text: str


def log_folder(root: Path, name: str, project: Path) -> Path:
    """Return the folder for the logs of the project *name* in the folder *project*; *root* is the store's folder.

    Two projects with the same name get two folders.
    """
    return root / "logs" / f"{name}-{hashlib.sha256(os.fsencode(project)).hexdigest()[:8]}"


class RunLog:
    """Writes the log of one run: `feed` it what the run prints, `close` it at the end. Not thread-safe."""

    def __init__(self, folder: Path, *, command: str, device: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        numbers = _numbers(folder)
        number = max(numbers, default=0) + 1
        while True:  # another run may begin now and take the number
            try:
                (folder / str(number)).mkdir(mode=0o700)
                break
            except FileExistsError:
                number += 1
        self._folder = folder / str(number)
        self.run = Run(number=number, command=command, device=device, began=time.time(), pid=os.getpid())
        self._incomplete_lines: dict[str, str] = {}
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._binary_streams: set[str] = set()
        self._part = 0
        self._size = 0
        self._stream: IO[str] | None = None
        self._write_run()
        self._open_part()
        for old in numbers[: max(0, len(numbers) + 1 - KEPT_RUNS)]:
            record = _load_run(folder, old)
            if record is None or not record.running:
                shutil.rmtree(folder / str(old), ignore_errors=True)

    def feed(self, stream: str, data: bytes) -> None:
        """Write the whole lines in *data*, and keep the rest of it for the next call; *data* may end anywhere.

        *data* with a null byte is left out, since it is not text but, say, an image for another program. A line of the
        log says so once.
        """
        if b"\0" in data:
            if stream not in self._binary_streams:
                self._binary_streams.add(stream)
                self._write(stream, ["(binary output, from here on, is left out of this log)"])
            return
        if stream not in self._decoders:
            self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        text = self._incomplete_lines.get(stream, "") + self._decoders[stream].decode(data)
        *lines, incomplete = text.split("\n")
        while len(incomplete) > _MAX_LINE_CHARS:
            lines.append(incomplete[:_MAX_LINE_CHARS])
            incomplete = incomplete[_MAX_LINE_CHARS:]
        self._incomplete_lines[stream] = incomplete
        self._write(stream, lines)

    def close(self, exit_code: int | None) -> None:
        """Write the last lines and the end of the run; *exit_code* None means that it is not known."""
        if self._stream is None:
            return
        for stream, incomplete in self._incomplete_lines.items():
            if incomplete:
                self._write(stream, [incomplete])
        self._stream.close()
        self._stream = None
        self.run = replace(self.run, ended=time.time(), exit_code=exit_code)
        self._write_run()

    def _write(self, stream: str, lines: Sequence[str]) -> None:
        if self._stream is None or not lines:
            return
        now = round(time.time() - self.run.began, 3)
        rows = []
        for line in lines:
            # Keep what a terminal shows last: no escape sequences, and only what follows the last carriage return.
            text = _TERMINAL_ESCAPE.sub("", line.rstrip("\r")).rpartition("\r")[2][: 2 * _MAX_LINE_CHARS]
            rows.append(json.dumps([now, stream, text]) + "\n")
        # A full disk must not end the run.
        with suppress(OSError):
            self._size += self._stream.write("".join(rows))
            self._stream.flush()
            if self._size > _PART_BYTES:
                self._stream.close()
                self._open_part()

    def _open_part(self) -> None:
        self._part += 1
        self._size = 0
        self._stream = (self._folder / f"{self._part}.jsonl").open("w", encoding="utf-8")
        if self._part > 2:
            (self._folder / f"{self._part - 2}.jsonl").unlink(missing_ok=True)

    def _write_run(self) -> None:
        with suppress(OSError):
            write_atomic(self._folder / "run.json", json.dumps(asdict(self.run)).encode())


def list_runs(folder: Path, device: str | None = None) -> list[Run]:
    """Return the runs whose logs are in *folder*, the newest first; with *device*, those there."""
    runs = (_load_run(folder, number) for number in reversed(_numbers(folder)))
    return [run for run in runs if run is not None and device in (None, run.device)]


def _numbers(folder: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(folder) if name.isdigit())  # noqa: PTH208 - only names are used
    except OSError:
        return []


def _load_run(folder: Path, number: int) -> Run | None:
    try:
        run = Run(**load_json((folder / str(number) / "run.json").read_bytes()))
    except (OSError, ValueError, TypeError):  # another process is removing it, or a full disk cut it short
        return None
    return run if _is_sound(run) else None


def _is_sound(run: Run) -> bool:
    """Return whether all fields of *run*, which was read from a file, have the types that they must have."""
    return (
        all(type(number) is int for number in (run.number, run.pid))
        and all(isinstance(text, str) for text in (run.command, run.device))
        and _is_time(run.began)
        and (run.ended is None or _is_time(run.ended))
        and (run.exit_code is None or type(run.exit_code) is int)
    )


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < _LATEST  # type: ignore[operator]


def require_run(folder: Path, number: int | None, device: str | None = None) -> Run:
    """Return the run with *number*; None means the newest, on *device* if that is given.

    Raises UsageError when there is none.
    """
    runs = list_runs(folder, device)
    if not runs and device is not None and list_runs(folder):
        raise UsageError(
            f"there is no log of a run of this project on {device}", hint="`incamera logs --list` shows all runs"
        )
    if not runs:
        raise UsageError("there is no log of this project yet", hint="`incamera run` runs the app and keeps a log")
    if number is None:
        return runs[0]
    if found := next((run for run in runs if run.number == number), None):
        return found
    raise UsageError(
        f"there is no log of run {number}",
        hint=f"the logs of the last {KEPT_RUNS} runs are kept, here {runs[-1].number} to {runs[0].number}; "
        "`incamera logs --list` shows them",
    )


def read_lines(folder: Path, run: Run, *, follow: bool = False) -> Iterator[Line]:
    """Yield the lines of *run* that are written; with *follow*, wait for more of them until the run ends."""
    run_folder = folder / str(run.number)
    parts = _parts(run_folder)
    part, position = (parts[0] if parts else 1), 0
    while True:
        # The state comes before the lines: a run that has ended by then writes nothing after them.
        record = _load_run(folder, run.number) if follow else None
        running = record is not None and record.running
        rows, position = _read_rows(run_folder / f"{part}.jsonl", position)
        for row in rows:
            yield Line(run.began + row[0], row[1], row[2])
        later = [number for number in _parts(run_folder) if number > part]
        if later:
            part, position = later[0], 0
        elif not running:
            return
        elif not rows:
            time.sleep(_POLL_SECONDS)


def _parts(run_folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in run_folder.glob("*.jsonl"))


def _read_rows(path: Path, position: int) -> tuple[list[Any], int]:
    """Return what the whole lines of *path* after *position* hold, and the position where they end."""
    try:
        with path.open("rb") as stream:
            stream.seek(position)
            data = stream.read()
    except OSError:
        return [], position
    whole = data[: data.rfind(b"\n") + 1]
    rows = []
    for line in whole.splitlines():
        with suppress(ValueError):
            row = load_json(line)
            if isinstance(row, list) and len(row) == 3 and _is_time(row[0]) and {type(row[1]), type(row[2])} == {str}:
                rows.append(row)
    return rows, position + len(whole)
