"""Pillow's sdist to a wheel for the camera: cross-built, built under emulation, and built for this computer.

The same sdist, back end, settings and -dev packages for all three, with the toolchains fetched and warm. The build for
this computer runs in a root of the same packages as the emulated one, of this computer's architecture.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from builds import fresh_requirements
from compilers import QuietReporter
from incamera.build.emulation import ensure_emulated_root
from incamera.build.indexes import open_indexes
from incamera.build.toolchain import ensure_toolchain
from incamera.context import Context
from incamera.store import Store, find_store_path
from incamera.targets.architecture import ArchitectureFacts
from incamera.targets.host import Host, require_host
from incamera.targets.target import Target
from incamera.toolchain.emulation import build_wheel_emulated
from incamera.toolchain.options import BuildOptions
from incamera.toolchain.pep517 import build_wheel
from incamera.toolchain.plan import Compiler
from incamera.toolchain.sdist import unpack_sdist
from incamera.toolchain.wheel_build import WheelBuild
from incamera.wheels.fetch import fetch_files
from measure import CannotMeasure, Figure, main, say, temporary_folder

if TYPE_CHECKING:
    from incamera.targets.suite import Suite
    from incamera.toolchain.emulated_root import EmulatedRoot

_VERSION = "11.3.0"
_SHA256 = "3828ee7586cd0b2091b6209e5ad53e20d0649bbe87164a459d0676e035e8f523"
_DEV = ("libfreetype-dev", "libjpeg62-turbo-dev", "zlib1g-dev")
_OPTIONS = BuildOptions(settings={"platform-guessing": "disable", "xcb": "disable"})
# As much of a build as comes before the first file is compiled.
_SMALL = {
    "pyproject.toml": '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
    '[project]\nname = "small"\nversion = "1"\n',
    "setup.py": "from setuptools import Extension, setup\nsetup(ext_modules=[Extension('small', ['small.c'])])\n",
    "small.c": "#include <Python.h>\nstatic struct PyModuleDef module = {PyModuleDef_HEAD_INIT, \"small\", 0, -1, 0};\n"
    "PyMODINIT_FUNC PyInit_small(void) { return PyModule_Create(&module); }\n",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class HostArchitecture:
    facts: ArchitectureFacts


@dataclass(frozen=True, slots=True)
class HostTarget:
    """This computer, in the place of a camera: no target that incamera builds for, but one it can be compared with."""

    architecture: HostArchitecture
    python: str
    suite: Suite

    def __str__(self) -> str:
        return self.architecture.facts.wheel


def host_target(host: Host, like: Target) -> Target:
    elf = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}[host.machine]
    facts = ArchitectureFacts(
        debian=host.debian, wheel=host.machine, gnu=host.gnu, zig="", machines=(host.machine,), bits=64,
        elf_machine=elf, loader=host.loader, cflags=(), zig_cpu="",
    )  # fmt: skip
    return cast("Target", HostTarget(HostArchitecture(facts), like.python, like.suite))


@contextmanager
def open_context(arguments: argparse.Namespace) -> Iterator[Context]:
    """A store of the script's own, unless the user's, which is warm already, is asked for."""
    if arguments.store:
        yield Context(Store(find_store_path(os.environ)), QuietReporter())
        return
    with temporary_folder() as folder:
        yield Context(Store(folder / "store"), QuietReporter())


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    target = Target.parse(arguments.target)
    with open_context(arguments) as context, temporary_folder() as folder:
        say("fetch the sdist, the toolchain and the roots")
        source = fetch_pillow(context, folder / "pillow")
        small = folder / "small"
        small.mkdir()
        for name, text in _SMALL.items():
            (small / name).write_text(text)
        toolchain = ensure_toolchain(context, target, Compiler.gcc, _DEV)
        emulated = ensure_emulated_root(context, target, _DEV)
        native = ensure_emulated_root(context, host_target(require_host(), target), _DEV)

        requirements = fresh_requirements(context, target)

        def wheel_build(project: Path) -> WheelBuild:
            return WheelBuild(project=project, store=context.store, requirements=requirements, options=_OPTIONS)

        def cross(project: Path) -> Path:
            return build_wheel(wheel_build(project), toolchain, folder / "cross")

        def inside(root: EmulatedRoot) -> Callable[[Path], Path]:
            return lambda project: build_wheel_emulated(wheel_build(project), root, folder / str(root.target))

        say("warm all three with a small project")
        for build in (cross, inside(native), inside(emulated)):
            build(small)
        rounds: dict[str, list[Spent]] = {"cross": [], "host": []}
        for number in range(arguments.rounds):
            say(f"cross build and host build, {number + 1} of {arguments.rounds}")
            rounds["cross"].append(spend(cross, source))
            rounds["host"].append(spend(inside(native), source))
        found = {name: medians(values) for name, values in rounds.items()}
        say(f"emulated build; the cross build took {found['cross'].seconds:.1f} s")
        found["emulated"] = spend(inside(emulated), source)
    emulated_by_cross = found["emulated"].divided_by(found["cross"])
    cross_by_host = found["cross"].divided_by(found["host"])
    ran = f"Pillow {_VERSION} for {target}"
    return [
        Figure(name=f"{ran}, cross-built", value=found["cross"].seconds, unit="s"),
        Figure(name=f"{ran}, emulated", value=found["emulated"].seconds, unit="s"),
        Figure(name=f"Pillow {_VERSION} for this computer", value=found["host"].seconds, unit="s"),
        Figure(
            name="emulated ÷ cross-built",
            value=emulated_by_cross.seconds,
            unit="×",
            least=10,
            baseline=f"in processor time, {emulated_by_cross.processor:.1f} ×",
        ),
        Figure(
            name="cross-built ÷ for this computer",
            value=cross_by_host.seconds,
            unit="×",
            goal=1.5,
            baseline=f"in processor time, {cross_by_host.processor:.2f} ×",
        ),
    ]


def fetch_pillow(context: Context, folder: Path) -> Path:
    files = [file for file in open_indexes(context).find("pillow") if file.sha256 == _SHA256]
    if not files:
        raise CannotMeasure(f"your package index has no Pillow {_VERSION}, as an sdist with sha256 {_SHA256}")
    folder.mkdir()
    return unpack_sdist(fetch_files(files, context.http, context.store)[files[0]], folder)


@dataclass(frozen=True, slots=True)
class Spent:
    """*processor*: the time of all processors together, which other work on the computer changes less."""

    seconds: float
    processor: float

    def divided_by(self, other: Spent) -> Spent:
        return Spent(self.seconds / other.seconds, self.processor / other.processor)


def spend(build: Callable[[Path], Path], project: Path) -> Spent:
    started, before = time.perf_counter(), processor_time()
    build(project)
    return Spent(time.perf_counter() - started, processor_time() - before)


def processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def medians(values: Sequence[Spent]) -> Spent:
    return Spent(
        statistics.median(spent.seconds for spent in values), statistics.median(spent.processor for spent in values)
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", default="armv7hf", help="what to build for (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="cross and host builds; the medians count (%(default)s)")
    parser.add_argument("--store", action="store_true", help="use the store of INCAMERA_STORE, not an empty one")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=3600, add_options=add_options))
