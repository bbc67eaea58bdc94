"""Debian's cross gcc beside zig from the package index: what each must fetch, and how long it takes, cold and warm.

Each gets an empty store, and fetches from your mirror and your package index. See docs/explanation/compilers.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from builds import fresh_requirements
from incamera import proc
from incamera.build.requirements import ensure_requirement_tree
from incamera.build.toolchain import ensure_toolchain
from incamera.context import Context, Step
from incamera.disk import disk_usage
from incamera.store import Store
from incamera.targets.target import Target
from incamera.toolchain.build_folder import BuildFolder, prepare
from incamera.toolchain.pep517 import build_wheel
from incamera.toolchain.plan import Compiler
from incamera.toolchain.wheel_build import WheelBuild
from measure import ROOT, Figure, environment, main, run, say, temporary_folder

if TYPE_CHECKING:
    from incamera.http import Progress

_MB = 1e6
_C = '#include <stdio.h>\nint twice(int x) { printf("%d", x); return 2 * x; }\n'
_CXX = (
    "#include <iostream>\n#include <vector>\nint f(int n) { std::vector<int> v(n); std::cout << n; return v.size(); }\n"
)


class QuietStep:
    name, seconds, cached, hidden = "", 0.0, False, False

    def note(self, text: str) -> None: ...

    @contextmanager
    def progress(self, total: int) -> Iterator[Progress]:
        yield lambda _: None

    @contextmanager
    def phase(self, doing: str, done: str, total: int = 0) -> Iterator[Progress]:
        yield lambda _: None


class QuietReporter:
    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        yield QuietStep()

    def info(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def error(self, error: Exception) -> None: ...
    def confirm(self, question: str) -> bool:
        return False

    def ask_secret(self, question: str) -> str | None:
        return None


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    if arguments.one:
        with temporary_folder() as folder:
            context = Context(Store(folder / "store"), QuietReporter())
            print(json.dumps(measure_one(context, folder, arguments)))
        sys.exit()
    found = {}
    for compiler in Compiler:
        say(f"{compiler} for {arguments.target}, from nothing")
        # A process of its own, so that neither finds an index that the other has read.
        argv = [sys.executable, __file__, "--one", compiler, "--target", arguments.target]
        argv += ["--rounds", str(arguments.rounds), *(["--project", arguments.project] if arguments.project else [])]
        with temporary_folder() as folder:
            found[compiler] = run(argv, env=environment(folder / "unused")).document
    gcc, zig = found[Compiler.gcc], found[Compiler.zig]
    return [
        Figure(name=f"gcc: {name}", value=value, unit=unit, baseline=f"zig: {zig[name][0]:.3g} {unit}")
        for name, (value, unit) in gcc.items()
    ]


def measure_one(context: Context, folder: Path, arguments: argparse.Namespace) -> dict[str, tuple[float, str]]:
    """Measure one compiler in an empty store."""
    target = Target.parse(arguments.target)
    started = time.perf_counter()
    toolchain = ensure_toolchain(context, target, Compiler.parse(arguments.one))
    fetched = time.perf_counter() - started
    blobs = disk_usage(context.store.root / "blobs")
    requirements = ensure_requirement_tree(context, toolchain.interpreter, ())
    scratch = folder / "build"
    scratch.mkdir()
    build = prepare(toolchain, requirements, scratch)
    (scratch / "c.c").write_text(_C)
    (scratch / "cxx.cpp").write_text(_CXX)

    def compile_c() -> None:
        _tool(build, "cc", "-O2", "-fPIC", "-c", "c.c", "-o", "c.o")

    def link_c() -> None:
        _tool(build, "cc", "-shared", "c.o", "-o", "c.so")

    def link_cxx() -> None:
        _tool(build, "c++", "-O2", "-fPIC", "-shared", "cxx.cpp", "-o", "cxx.so")

    found: dict[str, tuple[float, str]] = {
        "fetched, with interpreter and sysroot": (blobs / _MB, "MB"),
        "unpacked": (disk_usage(context.store.root / "trees") / _MB, "MB"),
        "fetch and unpack": (fetched, "s"),
    }
    first = _seconds(compile_c)
    found["nothing → first object"] = (fetched + first, "s")
    found["first C link"] = (_seconds(link_c), "s")
    found["first C++ module"] = (_seconds(link_cxx), "s")
    found["size of the C++ module"] = ((scratch / "cxx.so").stat().st_size / 1e3, "kB")
    compiled = []
    for _ in range(9):
        _change(scratch / "c.c")
        compiled.append(_seconds(compile_c))
    found["C file, warm"] = (statistics.median(compiled), "s")
    found["C link, warm"] = (statistics.median(_seconds(link_c) for _ in range(9)), "s")
    projects = [ROOT / "examples/numbers", *([Path(arguments.project)] if arguments.project else [])]
    for project in projects:

        def build_project(project: Path = project) -> None:
            requirements = fresh_requirements(context, target)
            build = WheelBuild(project=project, store=context.store, requirements=requirements)
            build_wheel(build, toolchain, folder / "wheels")

        found[f"{project.name} wheel, first"] = (_seconds(build_project), "s")
        again = [_seconds(build_project) for _ in range(arguments.rounds)]
        found[f"{project.name} wheel, warm"] = (statistics.median(again), "s")
    return found


def _tool(build: BuildFolder, name: str, *arguments: str) -> None:
    proc.run([build.root / "bin" / name, *arguments], purpose=name, env=build.environment, cwd=build.root)


def _seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _change(file: Path) -> None:
    """Make *file* another, so that no cache has the answer."""
    with file.open("a") as stream:
        stream.write(f"int changed_{stream.tell()};\n")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", default="armv7hf", help="what to build for (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="build wheels so often, take the medians (%(default)s)")
    parser.add_argument("--project", metavar="FOLDER", help="build this one too: Pillow's sdist, unpacked, say")
    parser.add_argument("--one", metavar="COMPILER", help=argparse.SUPPRESS)


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=1800, add_options=add_options))
