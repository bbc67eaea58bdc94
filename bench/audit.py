"""How long the audit of a bundle with numpy, scipy and OpenCV takes, and what it adds to a run that changed nothing.

The bundle is built in the store that is set (INCAMERA_STORE, else the user's own), not timed. binutils' readelf, which
only prints what an audit begins with, stands beside it as the baseline, where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.connect.choose import choose_device
from incamera.connect.connection import connected
from incamera.context import Context
from incamera.deployment.fit import require_fit
from incamera.elf import is_elf
from incamera.project.loading import load_project
from incamera.workflows.build import build_bundle
from measure import INCAMERA, Figure, main, medians, run, say, temporary_folder
from silent import SilentReporter

if TYPE_CHECKING:
    from incamera.runtime.bundle import Bundle

PACKAGES = ["numpy", "scipy", "opencv-python-headless"]


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    from incamera.targets.target import Target

    target = Target.parse(arguments.target)
    context = Context.open(SilentReporter())
    with temporary_folder() as folder:
        _write_project(folder)
        say(f"a bundle with {', '.join(PACKAGES)} for {target}, not timed")
        bundle = build_bundle(context, load_project(folder), target)
        files = [path for path in bundle.path.rglob("*") if path.is_file() and not path.is_symlink() and is_elf(path)]
        size = sum(path.stat().st_size for path in files)
        say(f"{arguments.rounds} rounds over {len(files)} files, {size / 1e6:.0f} MB")
        found = medians(
            arguments.rounds,
            audit=lambda: _audit(bundle),
            unread=lambda: _audit(bundle, evict=files),
            readelf=lambda: _readelf(files),
        )
        say("a virtual camera, and the audit before a run, with its verdict kept")
        kept = _overhead(context, bundle, arguments.rounds)
    baseline = f"readelf -dVsW of the same: {found['readelf']:.2f} s" if found["readelf"] else ""
    what = f"numpy + scipy + OpenCV, {len(files)} files, {size / 1e6:.0f} MB"
    return [
        Figure(name=f"audit, {what}", value=found["audit"], unit="s", goal=1.5, baseline=baseline),
        Figure(name="the same, nothing of it in memory", value=found["unread"], unit="s", goal=1.5, baseline=baseline),
        Figure(name="audit before a run, nothing changed", value=kept * 1000, unit="ms", goal=30),
    ]


def _write_project(folder: Path) -> None:
    (folder / "app.py").write_text("")
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "heavy"\nversion = "1"\ndependencies = {json.dumps(PACKAGES)}\n\n[tool.incamera]\n'
    )


def _audit(bundle: Bundle, evict: Sequence[Path] = ()) -> float:
    """Return how long the command takes, Python's start included; *evict*: files to be read from the disk again."""
    for path in evict:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    return run([INCAMERA, "audit", str(bundle.path), "--target", str(bundle.target)]).seconds


def _readelf(files: Sequence[Path]) -> float:
    if shutil.which("readelf") is None:
        return 0.0
    return run(["readelf", "-dVsW", *map(str, files)]).seconds


def _overhead(context: Context, bundle: Bundle, rounds: int) -> float:
    device = choose_device(context, None, target=bundle.target)
    seconds = []
    with connected(context, device) as connection:
        facts = connection.facts
        for _ in range(rounds + 1):
            began = time.perf_counter()
            table = connection.read_libraries(bundle.sonames)
            require_fit(context, bundle, facts, table, device=str(device))
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", default="aarch64", help="build for this target (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="measure so often, take the medians (%(default)s)")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=1800, add_options=add_options))
