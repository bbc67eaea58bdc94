"""What runs printed, kept on the host: `incamera logs` shows it again.

<store>/logs/<project>/<number>/run.json        what ran, when, where, and how it ended
<store>/logs/<project>/<number>/<n>.jsonl       its lines, each [seconds since the start, stream, text]

The newest of a run's lines are kept: when a part is full a new one begins, and all but two parts are removed.
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

KEPT_RUNS = 100
_PART_BYTES = 1_000_000
_LONGEST_LINE = 8_192
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run that is kept. *ended* is None while it goes on, and where its end was never seen."""

    number: int
    command: str
    device: str
    began: float
    pid: int
    ended: float | None = None
    exit_code: int | None = None

    @property
    def goes_on(self) -> bool:
        return self.ended is None and process_exists(self.pid)


@dataclass(frozen=True, slots=True)
class Line:
    """*time* in seconds since 1970; *stream* is "stdout", "stderr", or "terminal" where the two were one."""

    time: float
    stream: str
    text: str


def log_folder(root: Path, name: str, project: Path) -> Path:
    """Return where the runs of a project are kept, *root* being the store's; another project may have the same name."""
    return root / "logs" / f"{name}-{hashlib.sha256(os.fsencode(project)).hexdigest()[:8]}"


class RunLog:
    """Writes down one run: `feed` it what is printed, `close` it at the end. For one thread at a time."""

    def __init__(self, folder: Path, *, command: str, device: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        numbers = _numbers(folder)
        number = max(numbers, default=0) + 1
        while True:  # two runs may begin at once
            try:
                (folder / str(number)).mkdir(mode=0o700)
                break
            except FileExistsError:
                number += 1
        self._folder = folder / str(number)
        self.run = Run(number=number, command=command, device=device, began=time.time(), pid=os.getpid())
        self._rest: dict[str, str] = {}
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._binary: set[str] = set()
        self._part = 0
        self._size = 0
        self._stream: IO[str] | None = None
        self._write_run()
        self._open_part()
        for old in numbers[: max(0, len(numbers) + 1 - KEPT_RUNS)]:
            record = _load_run(folder, old)
            if record is None or not record.goes_on:
                shutil.rmtree(folder / str(old), ignore_errors=True)

    def feed(self, stream: str, data: bytes) -> None:
        """Take what came on *stream*, in pieces of any size."""
        if b"\0" in data:  # a picture, say, on its way to another program
            if stream not in self._binary:
                self._binary.add(stream)
                self._write(stream, ["(from here on also bytes that are no text, which are not kept)"])
            return
        if stream not in self._decoders:
            self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        text = self._rest.get(stream, "") + self._decoders[stream].decode(data)
        *lines, rest = text.split("\n")
        while len(rest) > _LONGEST_LINE:
            lines.append(rest[:_LONGEST_LINE])
            rest = rest[_LONGEST_LINE:]
        self._rest[stream] = rest
        self._write(stream, lines)

    def close(self, exit_code: int | None) -> None:
        if self._stream is None:
            return
        for stream, rest in self._rest.items():
            if rest:
                self._write(stream, [rest])
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
            # What a terminal would show in the end: colours are no text, and what a return was printed over is gone.
            text = _ESCAPE.sub("", line.rstrip("\r")).rpartition("\r")[2][: 2 * _LONGEST_LINE]
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


def list_runs(folder: Path) -> list[Run]:
    """Return the runs that are kept in *folder*, the newest first."""
    runs = (_load_run(folder, number) for number in reversed(_numbers(folder)))
    return [run for run in runs if run is not None]


def _numbers(folder: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(folder) if name.isdigit())  # noqa: PTH208 - names alone
    except OSError:
        return []


def _load_run(folder: Path, number: int) -> Run | None:
    try:
        return Run(**json.loads((folder / str(number) / "run.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError):  # another process removes it just now, or a disk was full
        return None


def require_run(folder: Path, number: int | None) -> Run:
    """Return the run with that number, else the newest. Raises UsageError."""
    runs = list_runs(folder)
    if not runs:
        raise UsageError("no run of this project is kept", hint="`incamera run` makes one")
    if number is None:
        return runs[0]
    if found := next((run for run in runs if run.number == number), None):
        return found
    raise UsageError(
        f"there is no run {number}",
        hint=f"there are {runs[-1].number} to {runs[0].number}, {KEPT_RUNS} at most; `incamera logs --list` shows them",
    )


def read_lines(folder: Path, run: Run, *, follow: bool = False) -> Iterator[Line]:
    """Yield the lines of *run*; with *follow* also those to come, until it ends."""
    home = folder / str(run.number)
    parts = _parts(home)
    part, position = (parts[0] if parts else 1), 0
    while True:
        # Looked at before reading: what is written before the end is read after it.
        record = _load_run(folder, run.number) if follow else None
        goes_on = record is not None and record.goes_on
        fresh, position = _read_from(home / f"{part}.jsonl", position)
        for row in fresh:
            yield Line(run.began + row[0], row[1], row[2])
        later = [number for number in _parts(home) if number > part]
        if later:
            part, position = later[0], 0
        elif not goes_on:
            return
        elif not fresh:
            time.sleep(_POLL_SECONDS)


def _parts(home: Path) -> list[int]:
    return sorted(int(path.stem) for path in home.glob("*.jsonl"))


def _read_from(path: Path, position: int) -> tuple[list[Any], int]:
    """Return the whole lines of *path* after *position*, and where they end."""
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
            rows.append(json.loads(line))
    return rows, position + len(whole)
