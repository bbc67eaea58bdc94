"""Empty store to numpy bundle, beside only downloading the same bytes; its memory; the bundle's size.

A mirror on loopback, filled from yours in an untimed first build, serves both the build and the plain download, as fast
as it can and again at a limited rate; then both fetch from your mirror itself. With --emulated, the known way too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from loopback import LoopbackMirror, loopback_mirror
from measure import (
    INCAMERA,
    ROOT,
    Failed,
    Figure,
    Memory,
    environment,
    main,
    medians,
    new_project,
    run,
    say,
    temporary_folder,
)

_CONNECTIONS = 8
_MB = 1e6


class Bench:
    def __init__(self, folder: Path, project: Path, mirror: LoopbackMirror, target: str) -> None:
        self.folder = folder
        self.project = project
        self.mirror = mirror
        self.target = target
        self.tree_bytes = 0

    def build(self, *, direct: bool = False, memory: Memory | None = None) -> float:
        """Build with an empty store. Returns the seconds that the process took."""
        # Emptied only at the end: ext4 is slow to make files where many have just been removed.
        store = Path(tempfile.mkdtemp(dir=self.folder))
        for lock in self.project.glob("pylock.*"):
            lock.unlink()
        settings = {} if direct else self.mirror.settings
        argv = [INCAMERA, "build", "--json", "--target", self.target]
        done = run(argv, env=environment(store, **settings), cwd=self.project, watch=memory.watch if memory else None)
        self.tree_bytes = int(done.document["tree_bytes"])
        return done.seconds

    def download(self, connections: int, *, direct: bool = False) -> float:
        """Only download what the build fetches, the biggest first. Returns the seconds."""
        paths = sorted(self.mirror.asked, key=lambda path: -self.mirror.asked[path])
        urls = [self.mirror.upstream_url(path) if direct else self.mirror.address + path for path in paths]
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        argv = [sys.executable, str(ROOT / "bench/download.py"), str(folder), "--connections", str(connections)]
        started = time.perf_counter()
        done = subprocess.run(argv, input="\n".join(urls), capture_output=True, text=True, timeout=600)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise Failed(f"cannot download: {done.stderr}")
        return seconds

    def compare(self, name: str, rounds: int, *, direct: bool = False) -> tuple[float, Figure]:
        say(f"{self.target}: build and plain downloads, {name}")
        found = medians(
            rounds,
            build=lambda: self.build(direct=direct),
            parallel=lambda: self.download(_CONNECTIONS, direct=direct),
            one=lambda: self.download(1, direct=direct),
        )
        baseline = (
            f"{found['build']:.2f} s; downloading alone {found['parallel']:.2f} s"
            f" ({_CONNECTIONS} connections), {found['one']:.2f} s (one)"
        )
        ratio = found["build"] / found["parallel"]
        return found["build"], Figure(
            name=f"empty store to bundle ÷ downloading, {name}", value=ratio, unit="×", goal=2, baseline=baseline
        )


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    figures: list[Figure] = []
    with temporary_folder() as folder:
        (folder / "cache").mkdir()
        project = new_project(folder)
        with loopback_mirror(folder / "cache") as mirror:
            for target in arguments.target or ["armv7hf", "aarch64"]:
                figures += _measure_target(Bench(folder, project, mirror, target), arguments)
    return figures


def _measure_target(bench: Bench, arguments: argparse.Namespace) -> list[Figure]:
    mirror, target = bench.mirror, bench.target
    mirror.forget()
    say(f"{target}: a first build fills the mirror on loopback")
    bench.build()
    fetched = sum(mirror.asked.values())
    figures = [Figure(name=f"{target}: fetched, {len(mirror.asked)} files", value=fetched / _MB, unit="MB")]
    memory = Memory()
    bench.build(memory=memory)
    figures += [
        Figure(name=f"{target}: bundle, unpacked", value=bench.tree_bytes / _MB, unit="MB", goal=50),
        Figure(
            name=f"{target}: memory of build",
            value=memory.peak / _MB,
            unit="MB",
            goal=400,
            baseline=f"{memory.processes} processes, shared pages counted once",
        ),
    ]
    full, figure = bench.compare("loopback", arguments.rounds)
    figures.append(figure)
    mirror.mbit = arguments.mbit
    figures.append(bench.compare(f"{arguments.mbit:g} Mbit/s", arguments.rounds)[1])
    mirror.mbit = None
    direct, figure = bench.compare("your mirror", arguments.rounds, direct=True)
    figures.append(figure)
    if arguments.emulated:
        figures += _compare_emulated(target, build=full, direct=direct)
    return figures


def _compare_emulated(target: str, *, build: float, direct: float) -> list[Figure]:
    say(f"{target}: the known way, emulated; this takes minutes")
    document = run([sys.executable, str(ROOT / "bench/emulated.py"), "--json", "--target", target]).document
    seconds = {figure["name"]: float(figure["value"]) for figure in document["figures"]}
    whole, computing = seconds["the known way, whole"], seconds["the known way, downloads left out"]
    return [
        Figure(
            name="emulated ÷ empty store to bundle, both from your mirror",
            value=whole / direct,
            unit="×",
            least=30,
            baseline=f"{whole:.0f} s emulated",
        ),
        Figure(
            name="the same, downloads left out of both (loopback)",
            value=computing / build,
            unit="×",
            least=30,
            baseline=f"{computing:.0f} s emulated",
        ),
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", action="append", help="build for this target only (may be repeated)")
    parser.add_argument("--rounds", type=int, default=3, help="measure so often, take the medians (%(default)s)")
    parser.add_argument("--mbit", type=float, default=100, help="the limited rate, in Mbit/s (%(default)s)")
    parser.add_argument("--emulated", action="store_true", help="the known way too: minutes, as root")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=3600, add_options=add_options))
