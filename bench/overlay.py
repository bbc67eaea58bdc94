"""From a frame's capture to a picture with the box for it: the latency, and how many pictures there are a second.

The program takes a raw frame, shows a box, and takes the next JPEG picture of the same scene. It runs on this computer
and in virtual cameras, over the stand-ins of the camera's libraries, which draw and encode in the program's process.
Each picture is decoded here: one without its box is a fault.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from chart import Bar, draw_chart
from incamera.virtual import stand_ins
from measure import INCAMERA, CannotMeasure, Failed, Figure, main, run, say, temporary_folder
from video import PROGRAMS, build_acap

FRAMES, RATE = 40, 10
PROFILES = ("axis-os-11-armv7hf", "axis-os-11-aarch64")
HERE = "this computer"


@dataclass(frozen=True, slots=True)
class Found:
    """What a run has shown: milliseconds from capture to picture, and pictures a second."""

    place: str
    median: float
    slowest: float
    rate: float


FOUND: list[Found] = []


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    words = [str(FRAMES), str(RATE)]
    program = str(PROGRAMS / "overlay.py")
    with temporary_folder() as work:
        say(f"{HERE}: building acap")
        FOUND.append(judge(HERE, run([sys.executable, program, *words], env=host_environment(work)).output))
    for profile in arguments.profile or PROFILES:
        name = f"bench-{os.getpid()}"
        say(f"{profile}: {FRAMES} frames")
        run([INCAMERA, "virtual", "start", profile, "--name", name])
        try:
            output = run([INCAMERA, "run", "-q", "--device", name, program, *words]).output
        finally:
            run([INCAMERA, "virtual", "stop", name])
        FOUND.append(judge(profile, output))
    if arguments.chart:
        arguments.chart.write_text(draw(), "utf-8")
    return [
        Figure(
            name=f"from capture to a picture with the box, {found.place} (median)",
            value=found.median,
            unit="ms",
            baseline=f"slowest {found.slowest:.0f} ms; {found.rate:.1f} pictures a second of {RATE}",
        )
        for found in FOUND
    ]


def host_environment(work: Path) -> dict[str, str]:
    folder = Path(stand_ins.__file__).parent / "bin" / platform.machine()
    if not folder.exists():
        raise CannotMeasure("there is no stand-in for this computer's processor")
    paths = {"LD_LIBRARY_PATH": str(max(folder.iterdir())), "PYTHONPATH": str(build_acap(work))}
    return {**os.environ, **paths}


def judge(place: str, output: str) -> Found:
    """Return the times of a run. Raises Failed when a picture lacks its box."""
    told = json.loads(output.splitlines()[-1])
    for number, (_, _, picture) in enumerate(told):
        sides = green(base64.b64decode(picture))
        if sides.index(max(sides)) != number % 2 or max(sides) < 500:
            raise Failed(f"{place}: the picture {number} has no box where the frame's is: {sides}")
    told = told[5:]  # the first ones wait for what is loaded and drawn once
    latencies = [1000 * seconds for seconds, *_ in told]
    rate = (len(told) - 1) / (told[-1][1] - told[0][1])
    return Found(place, statistics.median(latencies), max(latencies), rate)


def green(data: bytes) -> list[int]:
    """Return how many pixels of a picture are green, in its left half and in its right one."""
    file: Any = av.open(io.BytesIO(data))
    with file:
        pixels = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    is_green = (pixels[..., 1] > pixels[..., 0] + 80) & (pixels[..., 1] > pixels[..., 2] + 80)
    return [int(is_green[:, :320].sum()), int(is_green[:, 320:].sum())]


def draw() -> str:
    def bars(name: str, unit: str) -> list[Bar]:
        return [
            Bar(found.place, getattr(found, name), f"{getattr(found, name):.{unit == '/s':d}f} {unit}")
            for found in FOUND
        ]

    return draw_chart(
        f"From a frame's capture to a picture with its box, 640×360, {RATE} frames a second",
        [
            ("milliseconds, median", bars("median", "ms")),
            ("milliseconds, slowest", bars("slowest", "ms")),
            ("pictures a second", bars("rate", "/s")),
        ],
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", action="append", help="measure in this virtual camera only (may be repeated)")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw a chart (docs/images/overlay.svg)")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=1200, add_options=add_options))
