"""How long one waits for `incamera` when there is nothing to do: `build` with nothing changed, and `--version`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from measure import INCAMERA, Figure, environment, main, medians, new_project, run, say, temporary_folder


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    with temporary_folder() as folder:
        project = new_project(folder)
        env = environment(folder / "store")
        say("a first build, not timed")
        run([INCAMERA, "build"], env=env, cwd=project)
        say(f"{arguments.rounds} rounds")
        found = medians(
            arguments.rounds,
            python=lambda: run([sys.executable, "-c", "pass"], env=env, cwd=project).seconds,
            version=lambda: run([INCAMERA, "--version"], env=env, cwd=project).seconds,
            build=lambda: run([INCAMERA, "build"], env=env, cwd=project).seconds,
        )
    python = f"python -c pass: {found['python'] * 1000:.1f} ms"
    return [
        Figure(name="build, nothing changed", value=found["build"], unit="s", goal=0.5, baseline=python),
        Figure(
            name="--version ÷ python -c pass",
            value=found["version"] / found["python"],
            unit="×",
            goal=3,
            baseline=f"{found['version'] * 1000:.1f} ms; {python}",
        ),
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=25, help="measure so often, take the medians (%(default)s)")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=600, add_options=add_options))
