"""Frames of acap.video on this computer, against a C program, both over the stand-in of the camera's video library.

Frames a second are measured at a camera's rate. What Python adds to a frame is measured in processor time, so that it
does not depend on what else the computer does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from incamera.sdk.headers import render_headers
from incamera.sdk.tables import load_libraries
from incamera.virtual import stand_ins
from measure import INCAMERA, ROOT, CannotMeasure, Figure, main, medians, run, say, temporary_folder

PROGRAMS = Path(__file__).parent / "video_programs"
RATE, FRAMES = 30.0, 150
# Many more frames a second than can be taken: no time is spent waiting.
FAST, MANY = 20000.0, 3000


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    folder = Path(stand_ins.__file__).parent / "bin" / platform.machine()
    if not folder.exists() or shutil.which("cc") is None:
        raise CannotMeasure("needs a C compiler, and a stand-in for this computer's processor")
    library = max(folder.iterdir()) / "libvdostream.so.1"
    with temporary_folder() as work:
        say("building both programs")
        c_program, environment = build(work, library)

        def c(*words: object) -> Any:
            return ask([str(c_program), *map(str, words)], environment)

        def python(*words: object) -> Any:
            return ask([sys.executable, str(PROGRAMS / "capture.py"), *map(str, words)], environment)

        figures = [*rates(c, python), *costs(c, python, arguments.rounds), *frames_kept(python)]
        figures += [*ages(python), *imports(environment)]
    return [*figures, *(imports_in_camera(arguments.camera, arguments.rounds) if arguments.camera else ())]


def build(work: Path, library: Path) -> tuple[Path, dict[str, str]]:
    """Build the C program and acap below *work*; return the program, and the environment for both."""
    for name, text in render_headers(load_libraries()["vdo"]).items():
        (work / name).write_text(text, "utf-8")
    glib = Path(stand_ins.__file__).parent / "glib"
    program = work / "capture"
    flags = ["-O3", "-march=native", "-I", str(glib), "-I", str(work), "-Wl,--allow-shlib-undefined"]
    run(["cc", *flags, str(PROGRAMS / "capture.c"), str(library), "-o", str(program)])
    paths = {"LD_LIBRARY_PATH": str(library.parent), "PYTHONPATH": str(build_acap(work))}
    return program, {**os.environ, **paths}


def build_acap(work: Path) -> Path:
    """Build acap below *work*, and return the folder to import it from."""
    package = work / "acap"
    shutil.copytree(ROOT / "packages/acap", package, ignore=shutil.ignore_patterns("*.c", "*.so"))
    run([sys.executable, "setup.py", "-q", "build", "--build-lib", str(work / "lib")], cwd=package)
    return work / "lib"


def ask(words: list[str], environment: dict[str, str]) -> Any:
    return json.loads(run(words, env=environment).output)


Program = Callable[..., Any]


def rates(c: Program, python: Program) -> list[Figure]:
    say(f"the mean of {FRAMES} frames at {RATE:g} a second, in C and in Python")
    in_c, in_python = c(FRAMES, RATE, "mean"), python("loop", FRAMES, RATE, "mean")
    rate_c, rate_python = ((FRAMES - 1) / seconds for seconds, *_ in (in_c, in_python))
    return [
        Figure(
            name="frames a second, of the C program's",
            value=100 * rate_python / rate_c,
            unit="%",
            least=95,
            baseline=f"C: {rate_c:.1f}/s, {in_c[1]} missed, {in_c[2]:.0f} µs of the processor a frame; "
            f"Python: {rate_python:.1f}/s, {in_python[1]} missed, {in_python[2]:.0f} µs",
        )
    ]


def costs(c: Program, python: Program, rounds: int) -> list[Figure]:
    say(f"{MANY} frames as fast as they can be taken, {rounds} times")
    found = medians(
        rounds,
        c=lambda: float(c(MANY, FAST, "none")[2]),
        loop=lambda: float(python("loop", MANY, FAST, "none")[2]),
        asynchronous=lambda: float(python("async", MANY, FAST)[2]),
    )
    baseline = f"C: {found['c']:.1f} µs"
    return [
        Figure(
            name="Python's part of a frame", value=found["loop"] - found["c"], unit="µs", goal=25, baseline=baseline
        ),
        Figure(name="with asyncio", value=found["asynchronous"] - found["c"], unit="µs", goal=80, baseline=baseline),
    ]


def frames_kept(python: Program) -> list[Figure]:
    say("10 000 frames, a new stream every 1000")
    grown, descriptors, held, rebuilt = python("memory", 10_000, FAST)
    return [
        Figure(name="arrays outside of the camera's memory", value=float(not python("address")), unit="", goal=0),
        Figure(name="memory that 8000 frames more took", value=grown / 1e6, unit="MB", goal=1),
        Figure(
            name="buffers and descriptors not returned", value=held + descriptors, unit="", goal=0,
            baseline=f"{rebuilt} streams rebuilt",
        ),
    ]  # fmt: skip


def ages(python: Program) -> list[Figure]:
    say("a program that is ten times too slow")
    found = python("age", 30, RATE, 10)
    return [
        Figure(
            name="frame times that the oldest frame of a program ten times too slow has waited",
            value=max(found), unit="", goal=2, baseline=f"median {sorted(found)[len(found) // 2]:.1f}",
        )
    ]  # fmt: skip


def imports(environment: dict[str, str]) -> list[Figure]:
    say("imports of acap.video and acap.events")
    kept = {**environment, "PYTHONDONTWRITEBYTECODE": ""}  # byte-code is written the first time

    def milliseconds(code: str) -> float:
        """Return the processor's milliseconds for a Python that runs *code*."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], env={**os.environ, **kept}, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    figures = []
    for name, goal, base, code in (
        ("video", 15, "import numpy", "import numpy, acap.video, acap._video as v; v.open_library()"),
        ("events", 20, "pass", "import acap.events, acap._events"),
    ):
        pairs = [(milliseconds(base), milliseconds(code)) for _ in range(11)]
        alone, both = (min(column) for column in zip(*pairs, strict=True))
        said = f"{'numpy' if name == 'video' else 'bare Python'}: {alone:.0f} ms"
        figures.append(Figure(name=f"import of acap.{name}", value=both - alone, unit="ms", goal=goal, baseline=said))
    return figures


def imports_in_camera(profile: str, rounds: int) -> list[Figure]:
    """Measure the imports in a virtual camera. They have no goal there: an emulator's processor is none of a camera."""
    say(f"imports in {profile}")
    name = f"bench-{os.getpid()}"
    run([INCAMERA, "virtual", "start", profile, "--name", name])
    try:
        program = str(PROGRAMS / "imports.py")
        # --cold: a fork of the agent would have imported numpy already.
        output = run([INCAMERA, "run", "-q", "--cold", "--device", name, program, str(rounds)]).output
    finally:
        run([INCAMERA, "virtual", "stop", name])
    return [
        Figure(
            name=f"import of acap.{module}, {profile}", value=both, unit="ms",
            baseline=f"import numpy: {alone:.0f} ms" if module == "video" else "bare Python",
        )
        for module, alone, both in json.loads(output.splitlines()[-1])
    ]  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="measure N times (%(default)s)")
    parser.add_argument("--camera", metavar="PROFILE", help="measure imports in this virtual camera, too")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=900, add_options=add_options))
