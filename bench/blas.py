"""numpy's dot in the virtual camera: with the BLAS that a bundle brings, and with the reference BLAS.

Both run in the same camera, in turn. The reference stands in for Debian's numpy by being loaded before anything else;
a wheel of numpy has its BLAS inside, so that the reference is measured with Debian's numpy there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from incamera.build.deb_trees import ensure_deb_tree
from incamera.console import Console
from incamera.context import Context
from incamera.targets.architecture import Architecture
from incamera.targets.packages import DebSet
from incamera.targets.profile import default_profile
from incamera.targets.target import Target
from measure import INCAMERA, Figure, environment, main, run, say, temporary_folder

_APP = """\
import json, os, sys, time
from pathlib import Path

reference = Path(__file__).with_name("reference")
if reference.exists() and "LD_PRELOAD" not in os.environ:
    libraries = " ".join(str(reference / name) for name in ("liblapack.so.3", "libblas.so.3"))
    os.environ["LD_PRELOAD"] = libraries
    os.execv(sys.executable, [sys.executable, *sys.argv])

import numpy

size, rounds = int(sys.argv[1]), int(sys.argv[2])
random = numpy.random.default_rng(0)
times = {}
for kind in ("f4", "f8"):
    one, other = (random.random((size, size)).astype(kind) for _ in range(2))
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        product = one @ other
        found.append(time.perf_counter() - started)
    times[kind] = min(found)
    assert abs(product[3, 5] - sum(map(float, one[3] * other[:, 5]))) < 1e-2 * size
libraries = sorted({line.split("/")[-1] for line in open("/proc/self/maps").read().split("\\n") if "blas" in line})
print(json.dumps({"times": times, "libraries": libraries, "numpy": numpy.__version__}))
"""


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    figures = []
    context = Context.open(Console(quiet=True))
    with temporary_folder() as folder:
        for name in arguments.architecture or list(Architecture):
            architecture = Architecture.parse(name)
            profile = default_profile(architecture).name
            ours = _write(folder / f"ours-{name}", architecture, "")
            theirs = _write(folder / f"reference-{name}", architecture, '[tool.incamera.sources]\nnumpy = "deb"\n')
            _add_reference(context, theirs, Target(architecture))
            env = environment(context.store.root)
            say(f"{profile}: {arguments.size} × {arguments.size}, {arguments.rounds} rounds")
            words = ["run", "--device", profile, "--", str(arguments.size), str(arguments.rounds)]
            fast = json.loads(run([INCAMERA, *words], env=env, cwd=ours).output)
            slow = json.loads(run([INCAMERA, *words], env=env, cwd=theirs).output)
            figures += [
                Figure(
                    name=f"{name}: dot {kind}, reference ÷ bundle",
                    value=slow["times"][kind] / fast["times"][kind],
                    unit="×",
                    least=2,
                    baseline=f"{slow['times'][kind]:.2f} s numpy {slow['numpy']}, {', '.join(slow['libraries'])}; "
                    f"{fast['times'][kind]:.2f} s numpy {fast['numpy']}, {', '.join(fast['libraries'])}",
                )
                for kind in ("f4", "f8")
            ]
    return figures


def _write(folder: Path, architecture: Architecture, settings: str) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{folder.name}"\nversion = "1"\ndependencies = ["numpy"]\n'
        f'[tool.incamera]\ntargets = ["{architecture}"]\n{settings}'
    )
    (folder / "app.py").write_text(_APP)
    return folder


def _add_reference(context: Context, project: Path, target: Target) -> None:
    facts = target.architecture.facts
    debs = DebSet(
        suite=target.suite.name,
        architecture=facts.debian,
        roots=("libblas3", "liblapack3"),
        leave_out=frozenset({"libc6", "libgcc-s1", "libgfortran5"}),
    )
    tree = ensure_deb_tree(context, "reference-blas", debs)
    (project / "reference").mkdir()
    for name, kind in (("libblas.so.3", "blas"), ("liblapack.so.3", "lapack")):
        shutil.copy(tree / "usr/lib" / facts.gnu / kind / name, project / "reference" / name)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--architecture", action="append", help="only this one (may be repeated)")
    parser.add_argument("--size", type=int, default=1000, help="of the matrices (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="multiply so often, take the best (%(default)s)")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=3600, add_options=add_options))
