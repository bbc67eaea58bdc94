"""acap.inference on this computer, against a C program: a frame is converted and run through the example's network.

Both use the stand-ins of the camera's libraries, which do the same work in the program's own process. What Python adds
is measured in processor time, so that it does not depend on what else the computer does.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from incamera.sdk.headers import render_headers
from incamera.sdk.tables import load_libraries
from incamera.virtual import stand_ins
from measure import ROOT, CannotMeasure, Figure, main, medians, run, say, temporary_folder
from video import PROGRAMS, ask, build_acap

MODEL = ROOT / "examples/detector/shapes.tflite"


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    folder = Path(stand_ins.__file__).parent / "bin" / platform.machine()
    if not folder.exists() or shutil.which("cc") is None:
        raise CannotMeasure("needs a C compiler, and a stand-in for this computer's processor")
    libraries = max(folder.iterdir())
    with temporary_folder() as work:
        say("building both programs")
        program = build(work, libraries)
        environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries), "PYTHONPATH": str(build_acap(work))}
        words = [str(arguments.frames), str(MODEL)]
        say(f"{arguments.frames} frames, {arguments.rounds} times")
        found = medians(
            arguments.rounds,
            c=lambda: float(ask([str(program), *words], environment)[0]),
            python=lambda: float(ask([sys.executable, str(PROGRAMS / "infer.py"), *words], environment)[0]),
        )
    return [
        Figure(
            name="model.run(frame), with the conversion: Python's part",
            value=found["python"] - found["c"],
            unit="µs",
            goal=200,
            baseline=f"C: {found['c']:.0f} µs",
        )
    ]


def build(work: Path, libraries: Path) -> Path:
    """Build the C program below *work*, and return it."""
    for name in ("vdo", "larod"):
        for header, text in render_headers(load_libraries()[name]).items():
            (work / header).write_text(text, "utf-8")
    glib = Path(stand_ins.__file__).parent / "glib"
    program = work / "infer"
    flags = ["-O3", "-march=native", "-I", str(glib), "-I", str(work), "-Wl,--allow-shlib-undefined"]
    sonames = ("libvdostream.so.1", "liblarod.so.1")
    sources = [str(PROGRAMS / "infer.c"), *(str(libraries / soname) for soname in sonames)]
    run(["cc", *flags, *sources, "-o", str(program)])
    return program


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="measure N times (%(default)s)")
    parser.add_argument("--frames", type=int, default=300, metavar="N", help="N frames each time (%(default)s)")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=900, add_options=add_options))
