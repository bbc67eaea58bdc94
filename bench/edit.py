"""An edit in a virtual camera: from saving it to the app's first line of output, by `run --watch` and by `run`.

The app imports numpy and goes on until it is stopped, as apps do. Baseline, in the same run and camera: `incamera run
--cold` after the same edit, and the app started cold in the camera, without us. Then `incamera run` with what the
command before it has kept: after an edit, without one, and `incamera python -c pass`. Then many edits in a row with
`run --watch`, and what grew by them; then a change of one file among two thousand.

The store that is set (INCAMERA_STORE, else the user's own) is used; what fills it is not timed.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self, TypeVar

from incamera.connect.choose import choose_device
from incamera.connect.connection import connected
from incamera.console import Console
from incamera.context import Context
from incamera.store import Store, find_store_path
from incamera.transport.protocols import Program
from measure import INCAMERA, Failed, Figure, main, run, say, temporary_folder

T = TypeVar("T")

PROFILE = "axis-os-11-armv7hf"
_APP = """import time
import numpy as np

print("edit {number}", np.arange(3).sum(), flush=True)
while True:
    time.sleep(0.05)
"""
_SENT = re.compile(r"app\.py: sent in ([\d.]+) s, (?:re)?started in ([\d.]+) s")
_PATIENCE_SECONDS = 90.0
# Before and after many edits: what there is in the camera, by name.
_COUNTS = {
    "processes in the camera": "ls -d /proc/[0-9]* | wc -l",
    "mounts in the camera": "wc -l < /proc/mounts",
    "files in the camera": "find /tmp /run /usr/local/packages -xdev 2>/dev/null | wc -l",
    "kB used of the camera's memory": "awk '/MemTotal/{t=$2} /MemAvailable/{print t-$2}' /proc/meminfo",
}


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    name = f"bench-edit-{os.getpid()}"
    run([INCAMERA, "virtual", "start", arguments.profile, "--name", name])
    try:
        with temporary_folder() as folder:
            return measure_in(folder, name, arguments)
    finally:
        run([INCAMERA, "virtual", "stop", name])


def measure_in(folder: Path, device: str, arguments: argparse.Namespace) -> Sequence[Figure]:
    project = folder / "edited"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "edited"\nversion = "1"\ndependencies = ["numpy"]\n')
    save(project, 0)
    say("build and deploy")
    run([INCAMERA, "deploy", "-C", str(project), "--device", device])
    say("the known way round: `incamera run --cold` after an edit, and a cold start in the camera")
    plain = statistics.median(time_plain_run(project, device, number, "--cold") for number in range(-3, 0))
    cold = statistics.median(time_cold_start(project, device) for _ in range(3))
    figures = time_held_runs(project, device, arguments.rounds, baseline=f"{plain:.1f} s with `incamera run --cold`")
    save(project, -1)
    with Watch(project, device) as watch:
        watch.await_line("edit -1")
        say(f"{arguments.rounds} edits, one after the other")
        edits = [time_edit(watch, project, number) for number in range(1, arguments.rounds + 1)]
        baseline = f"{plain:.1f} s with `incamera run`; the app's cold start alone takes {cold:.1f} s"
        total, ours = (statistics.median(column) for column in zip(*edits, strict=True))
        figures += [
            Figure(name="edit → first line", value=total, unit="s", goal=1, baseline=baseline),
            Figure(name="of it ours (saved → last byte sent)", value=ours, unit="s", goal=0.4),
            Figure(name="edit → first line, slowest", value=max(edit[0] for edit in edits), unit="s"),
        ]
        say(f"edit → first line {total:.2f} s, {ours:.2f} s of it ours; {baseline}")
        say(f"{arguments.edits} edits in a row: what grows?")
        before = count(watch, device)
        for number in range(1001, 1001 + arguments.edits):
            time_edit(watch, project, number)
        after = count(watch, device)
        for what, was in before.items():
            # Memory is never quite the same twice.
            goal = 1024 if what.startswith("kB") else 0
            figures.append(
                Figure(name=f"growth of {what}", value=after[what] - was, unit="", goal=goal, baseline=f"{was} before")
            )
        say("; ".join(f"{figure.name} {figure.value:g}" for figure in figures if figure.name.startswith("growth")))
        say("one file of two thousand")
        for number in range(2000):
            path = project / f"part{number % 40}" / f"module{number}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"NUMBER = {number}\n" * 20)
        save(project, 5000)
        watch.await_line("edit 5000 ", patience=300)  # the camera compiles all of them
        watch.drain()
        syncs = [time_edit(watch, project, number) for number in range(5001, 5001 + arguments.rounds)]
        quiet = 0.08  # what the loop waits for, lest a file is half written
        value = statistics.median(edit[1] for edit in syncs) - quiet
        few = f"{ours - quiet:.3g} s with one file"
        figures.append(Figure(name="sync of 1 file in 2000", value=value, unit="s", goal=0.2, baseline=few))
    return figures


def save(project: Path, number: int) -> float:
    (project / "app.py").write_text(_APP.format(number=number))
    return time.time()


def time_edit(watch: Watch, project: Path, number: int) -> tuple[float, float]:
    """Return the seconds from saving to the app's first line, and those until our last byte had been sent."""
    saved = save(project, number)
    seen = watch.await_line(f"edit {number} ") - saved
    sent = watch.await_match(_SENT)
    return seen, float(sent[1])


def time_held_runs(project: Path, device: str, rounds: int, *, baseline: str) -> list[Figure]:
    """Return the figures of commands that use what the one before them has kept."""
    say("`incamera run` again and again, with what it keeps")
    first = time_plain_run(project, device, 100)
    edited = [time_plain_run(project, device, 101 + number) for number in range(rounds)]
    same = [time_plain_run(project, device, None) for _ in range(rounds)]
    words = ["python", "-C", str(project), "--device", device, "-c", "pass"]
    bare = [run([INCAMERA, *words]).seconds for _ in range(rounds)]
    run([INCAMERA, "connections", "close", device])
    figures = [
        Figure(name="`run` that keeps all for the next → first line", value=first, unit="s", baseline=baseline),
        Figure(
            name="next `run`, one file edited", value=statistics.median(edited), unit="s", goal=0.8, baseline=baseline
        ),
        Figure(name="next `run`, nothing edited", value=statistics.median(same), unit="s", goal=0.6),
        Figure(name="next `python -c pass`", value=statistics.median(bare), unit="s", goal=0.5),
    ]
    say("; ".join(f"{figure.name} {figure.value:.2f} s" for figure in figures))
    return figures


def time_plain_run(project: Path, device: str, number: int | None, *options: str) -> float:
    """Return the seconds from saving edit *number*, or from Enter without one, to the app's first line."""
    saved = time.time() if number is None else save(project, number)
    with started(["run", "-C", str(project), "--device", device, *options]) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("edit " if number is None else f"edit {number} "):
                return time.time() - saved
    raise Failed("`incamera run` printed nothing")


def time_cold_start(project: Path, device: str) -> float:
    """Return how long Python and numpy take in the camera until the first line, told by the camera itself."""
    code = "import time; began = float(open('/proc/self/stat').read().rpartition(')')[2].split()[19]) / 100"
    code += "; import numpy; print(float(open('/proc/uptime').read().split()[0]) - began)"
    return float(run([INCAMERA, "python", "-C", str(project), "--device", device, "--cold", "-c", code]).output)


def count(watch: Watch, device: str) -> dict[str, int]:
    time.sleep(2)  # what has just ended is being cleared away
    context = Context(Store(find_store_path(os.environ)), Console(quiet=True))
    with connected(context, choose_device(context, device)) as connection:
        session = connection.session
        output = session.require(
            Program(("sh", "-c", "; ".join(_COUNTS.values()))), purpose="count what there is"
        ).decode()
    counts = dict(zip(_COUNTS, map(int, output.split()), strict=True))
    host = Path("/proc", str(watch.child.pid))
    counts["open files here"] = len(list((host / "fd").iterdir()))
    counts["threads here"] = len(list((host / "task").iterdir()))
    return counts


@contextmanager
def started(words: Sequence[str], stderr: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [INCAMERA, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, process_group=0
    ) as child:
        try:
            yield child
        finally:
            os.killpg(child.pid, signal.SIGINT)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)


class Watch:
    """`incamera run --watch` with what it prints, line by line, and when."""

    def __init__(self, project: Path, device: str) -> None:
        self._lines: list[tuple[float, str]] = []
        self._came = threading.Condition()
        self._started = started(["run", "--watch", "-C", str(project), "--device", device], stderr=subprocess.PIPE)

    def __enter__(self) -> Self:
        self.child = self._started.__enter__()
        for stream in (self.child.stdout, self.child.stderr):
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._started.__exit__(None, None, None)

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._came:
                self._lines.append((time.time(), line))
                self._came.notify_all()

    def await_line(self, text: str, *, patience: float = _PATIENCE_SECONDS) -> float:
        """Return when a line with *text* came; it is not found again."""
        return self._await(lambda line: True if text in line else None, patience)[0]

    def drain(self) -> None:
        """Forget what was printed, once nothing more comes."""
        count = -1
        while count != len(self._lines):
            count = len(self._lines)
            time.sleep(3)
        with self._came:
            self._lines.clear()

    def await_match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        return self._await(pattern.search)[1]

    def _await(self, find: Callable[[str], T | None], patience: float = _PATIENCE_SECONDS) -> tuple[float, T]:
        deadline = time.monotonic() + patience
        with self._came:
            while True:
                for index, (came, line) in enumerate(self._lines):
                    if (found := find(line)) is not None:
                        del self._lines[index]
                        return came, found
                if self.child.poll() is not None or not self._came.wait(deadline - time.monotonic()):
                    raise Failed("".join(line for _, line in self._lines[-15:]))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", default=PROFILE, help="the virtual camera's (%(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="measure so often, take the medians (%(default)s)")
    parser.add_argument("--edits", type=int, default=200, help="edits in a row (%(default)s)")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=1200, add_options=add_options))
