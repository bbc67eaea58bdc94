"""What the scripts of this folder share: figures and how they are shown, processes and what they use."""

from __future__ import annotations

import argparse
import json
import os
import platform
import pwd
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
INCAMERA = str(Path(sys.executable).with_name("incamera"))
_SCHEMA = 1
_NOT_OURS = ("INCAMERA_DEVICE", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One measured value. *goal* is the most it may be, *least* the least; *baseline* is from the same run."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    least: float | None = None
    baseline: str = ""

    @property
    def met(self) -> bool | None:
        if self.goal is not None:
            return self.value <= self.goal
        return self.value >= self.least if self.least is not None else None


class CannotMeasure(Exception):
    """This machine lacks something. Exit code 2."""


class Failed(Exception):
    """A program that is measured failed. Exit code 70."""


def main(
    measure: Callable[[argparse.Namespace], Sequence[Figure]],
    description: str | None,
    *,
    timeout: int,
    add_options: Callable[[argparse.ArgumentParser], None] = lambda _: None,
    more: Callable[[], dict[str, object]] = dict,
) -> int:
    """Parse the command line, measure within the time, print the figures. Returns the exit code.

    *more*: what the JSON document holds besides, asked for when all is measured.
    """
    parser = argparse.ArgumentParser(
        description=description, epilog="Exit code: 0 all goals met, 1 one is not, 2 cannot be measured here."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    parser.add_argument(
        "--timeout", type=int, default=timeout, metavar="S", help="give up after S seconds (%(default)s)"
    )
    add_options(parser)
    arguments = parser.parse_args()
    # An exception, whatever ends us, so that processes are stopped and folders removed.
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)
    signal.alarm(arguments.timeout)
    try:
        figures = measure(arguments)
    except _Interrupted as error:
        late = error.args[0] == signal.SIGALRM
        print(f"gave up after {arguments.timeout} s" if late else "ended by SIGTERM", file=sys.stderr)
        return 70
    except KeyboardInterrupt:
        return 130
    except (CannotMeasure, Failed) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, CannotMeasure) else 70
    finally:
        signal.alarm(0)
    if arguments.json:
        print(json.dumps(_document(figures) | more(), indent=2))
    else:
        _print_table(figures)
    return int(any(figure.met is False for figure in figures))


def say(text: str) -> None:
    """Tell whoever waits what is done now."""
    print(f"… {text}", file=sys.stderr, flush=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="incamera-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def environment(store: Path, **more: str) -> dict[str, str]:
    """Return our environment with another store, and *more*; byte-code is kept, as it is for users."""
    ours = {key: value for key, value in os.environ.items() if key not in _NOT_OURS}
    return ours | {"INCAMERA_STORE": str(store)} | more


def new_project(folder: Path) -> Path:
    """Make a new project, which asks for numpy, below *folder*."""
    run([INCAMERA, "new", "doorbell"], env=environment(folder / "store-of-new"), cwd=folder)
    return folder / "doorbell"


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    output: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.output)
        return document


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    check: bool = True,
    watch: Callable[[int], None] | None = None,
) -> Run:
    """Run *argv* to its end, with all its processes ended if we are interrupted. *watch* is told its process id."""
    group = pwd.getpwnam(user).pw_gid if user else None
    started = time.perf_counter()
    with subprocess.Popen(
        argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, process_group=0, user=user, group=group, extra_groups=[] if user else None,
    ) as child:  # fmt: skip
        try:
            if watch is not None:
                watch(child.pid)
            output, errors = child.communicate()
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    seconds = time.perf_counter() - started
    if check and child.returncode:
        tail = "\n".join((errors or output).splitlines()[-15:])
        raise Failed(f"{' '.join(argv)}: exit code {child.returncode}\n{tail}")
    return Run(seconds, output)


def medians(rounds: int, **measured: Callable[[], float]) -> dict[str, float]:
    """Measure each in turn, *rounds* times, so that a busy moment hits all of them alike. Returns the medians."""
    values: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(rounds):
        for name, measure in measured.items():
            values[name].append(measure())
    return {name: statistics.median(found) for name, found in values.items()}


@dataclass(slots=True)
class Memory:
    """What a process and its descendants hold together, in bytes: sampled, shared pages counted once."""

    peak: int = 0
    processes: int = 0

    def watch(self, pid: int) -> None:
        threading.Thread(target=self._sample, args=(pid,), daemon=True).start()

    def _sample(self, pid: int) -> None:
        while sizes := [size for member in _family(pid) if (size := _proportional_bytes(member)) is not None]:
            self.peak = max(self.peak, sum(sizes))
            self.processes = max(self.processes, len(sizes))
            time.sleep(0.01)


def _family(pid: int) -> list[int]:
    members = [pid]
    for task in Path("/proc").glob(f"{pid}/task/*/children"):
        with suppress(OSError):  # a thread that has ended since
            members += [member for child in task.read_text().split() for member in _family(int(child))]
    return members


def _proportional_bytes(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)


class _Interrupted(BaseException):
    pass


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise _Interrupted(number)


def _document(figures: Sequence[Figure]) -> dict[str, object]:
    machine = {"system": platform.platform(), "processors": os.cpu_count(), "python": platform.python_version()}
    return {
        "schema": _SCHEMA,
        "script": Path(sys.argv[0]).name,
        "machine": machine,
        "figures": [asdict(figure) | {"met": figure.met} for figure in figures],
    }


def _print_table(figures: Sequence[Figure]) -> None:
    rows = [("figure", "value", "goal", "met", "baseline, same run")]
    for figure in figures:
        limit = figure.goal if figure.goal is not None else figure.least
        sign = "≤" if figure.goal is not None else "≥"
        goal = "" if limit is None else f"{sign} {limit:g} {figure.unit}"
        met = {True: "yes", False: "NO", None: ""}[figure.met]
        rows.append((figure.name, f"{figure.value:.3g} {figure.unit}", goal, met, figure.baseline))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
