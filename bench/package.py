"""How large packages are, trimmed and whole, and how long `incamera package` takes.

Baselines of the same run: the package that is not trimmed, and GNU tar with gzip -9, as the vendor's tool packs, over
the same files. The packages that are timed are not trimmed. The bundles are built in the store that is set
(INCAMERA_STORE, else the user's own), which is not timed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import INCAMERA, CannotMeasure, Figure, Memory, main, run, say, temporary_folder

MEGABYTE = 1e6


@dataclass(frozen=True, kw_only=True)
class Case:
    """An app for a *target*. *packed* and *installed* are goals for its trimmed package, in MB.

    *is_slow*: it is measured with --opencv alone. *sources*: where packages come from, as in [tool.incamera.sources].
    """

    name: str
    target: str
    code: str
    dependencies: tuple[str, ...] = ()
    sources: str = ""
    is_slow: bool = False
    packed: float
    installed: float | None = None

    @property
    def title(self) -> str:
        return f"{self.name}, {self.target}"


CASES = (
    Case(name="hello-world", target="armv7hf", code='print("hello")\n', packed=8, installed=18),
    Case(
        name="numpy",
        target="armv7hf",
        code="import numpy\nprint(numpy.arange(9).sum())\n",
        dependencies=("numpy",),
        packed=14,
        installed=32,
    ),
    Case(
        name="numpy and OpenCV",
        target="armv7hf",
        code="import cv2\nimport numpy\nprint(cv2.blur(numpy.eye(9), (3, 3)).sum())\n",
        dependencies=("numpy", "opencv-python-headless"),
        is_slow=True,
        packed=26,
        installed=60,
    ),
    Case(
        name="Debian's numpy",
        target="aarch64",
        code="import numpy\nprint(numpy.arange(9).sum())\n",
        dependencies=("numpy",),
        sources='numpy = "deb"',
        packed=18,
    ),
)


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    figures: list[Figure] = []
    with temporary_folder() as folder:
        cases = [case for case in CASES if arguments.opencv or not case.is_slow]
        projects = [(case, _write_project(folder / f"{number}", case)) for number, case in enumerate(cases)]
        for case, project in projects:
            say(f"{case.title}: whole and trimmed")
            whole, trimmed = _package(project, case), _package(project, case, "--trim")
            figures += _sizes(case, whole, trimmed)
        case, project = projects[1]
        figures += _times(case, project, folder, arguments.rounds)
    return figures


def _write_project(folder: Path, case: Case) -> Path:
    folder.mkdir()
    (folder / "app.py").write_text(case.code)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "measured"\nversion = "1"\ndependencies = {json.dumps(case.dependencies)}\n\n'
        f'[tool.incamera]\nentry = "app.py"\n\n[tool.incamera.sources]\n{case.sources}\n'
    )
    return folder


def _command(case: Case, *options: str) -> list[str]:
    return [INCAMERA, "package", "--json", "--quiet", "--target", case.target, *options]


def _package(project: Path, case: Case, *options: str) -> dict[str, Any]:
    (made,) = run(_command(case, *options), cwd=project).document["packages"]
    return dict(made)


def _sizes(case: Case, whole: dict[str, Any], trimmed: dict[str, Any]) -> list[Figure]:
    return [
        Figure(
            name=f"{case.title}: trimmed package, {what}",
            value=trimmed[f"{what}_bytes"] / MEGABYTE,
            unit="MB",
            goal=goal,
            baseline=f"not trimmed: {whole[f'{what}_bytes'] / MEGABYTE:.1f} MB",
        )
        for what, goal in (("packed", case.packed), ("installed", case.installed))
    ]


def _times(case: Case, project: Path, folder: Path, rounds: int) -> list[Figure]:
    """Return how long a package takes: packed anew, since its files get another time, and with nothing changed."""
    packed, unchanged, baseline, memory = [], [], [], Memory()
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: {case.title}")
        epoch = str(1_600_000_000 + time.time_ns() // 1_000_000_000 % 100_000_000)
        command = ["env", f"SOURCE_DATE_EPOCH={epoch}", *_command(case)]
        packed.append(run(command, cwd=project).seconds)
        unchanged.append(run(command, cwd=project, watch=memory.watch).seconds)
        baseline.append(_gnu(Path(_package(project, case)["path"]), folder / "unpacked"))
    gnu = f"GNU tar and gzip -9 of the same files: {statistics.median(baseline):.1f} s"
    return [
        Figure(name=f"{case.title}: package", value=statistics.median(packed), unit="s", goal=6, baseline=gnu),
        Figure(
            name=f"{case.title}: package, nothing changed",
            value=statistics.median(unchanged),
            unit="s",
            goal=1,
            baseline=gnu,
        ),
        Figure(name="its memory", value=memory.peak / MEGABYTE, unit="MB", goal=200),
    ]


def _gnu(package: Path, folder: Path) -> float:
    """Return the seconds that the vendor's way takes for the files of *package*."""
    if shutil.which("gzip") is None or shutil.which("tar") is None:
        raise CannotMeasure("this computer has no tar or no gzip")
    if not folder.exists():
        with tarfile.open(package) as archive:
            archive.extractall(folder, filter="tar")
    began = time.perf_counter()
    with (folder.parent / "baseline.eap").open("wb") as out:
        command = ["tar", "--format=gnu", "--sort=name", "--use-compress-program=gzip --no-name -9", "-c", "."]
        subprocess.run(command, cwd=folder, stdout=out, check=True)
    return time.perf_counter() - began


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="measure so often, take the medians (%(default)s)")
    parser.add_argument("--opencv", action="store_true", help="also measure OpenCV: to build it takes most of an hour")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=1800, add_options=add_options))
