"""How long `incamera lock` takes for all the packages of docs/reference/packages.md, and a second project with them.

Cold: no page of the package index, no metadata, no Debian index in the store. Warm: all of them are. Only downloading
the pages of those packages, one after the other in 8 connections, stands beside the cold one as its baseline.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from incamera.http import CONNECTIONS, Http
from incamera.simple_index import ACCEPT, find_index_urls
from measure import INCAMERA, Figure, environment, main, run, say, temporary_folder
from packages import PACKAGES

# What one architecture's index has and the other's has not.
_ONLY = {"tflite-runtime": "armv7l", "ai-edge-litert": "aarch64", "onnxruntime": "aarch64"}
ALL = [f'{name}; platform_machine == "{_ONLY[name]}"' if name in _ONLY else name for name in PACKAGES]
SMALL = ["numpy", "pyyaml", "websockets", "msgspec"]


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    with temporary_folder() as folder:
        project = _write(folder / "all", ALL, ["armv7hf", "aarch64"])
        cold, warm, download = [], [], []
        for number in range(arguments.rounds):
            say(f"round {number + 1} of {arguments.rounds}: cold, warm, only downloading the pages")
            store = folder / f"store-{number}"
            cold.append(_lock(project, store))
            warm.append(_lock(project, store))
            download.append(_download_pages())
            shutil.rmtree(store)
        say("two projects with the same packages, armv7hf")
        env = environment(folder / "store")
        first = _write(folder / "first", SMALL, ["armv7hf"])
        second = _write(folder / "second", SMALL, ["armv7hf"])
        run([INCAMERA, "lock"], env=env, cwd=first)
        whole = run([INCAMERA, "build"], env=env, cwd=first).seconds
        run([INCAMERA, "lock"], env=env, cwd=second)
        again = run([INCAMERA, "build"], env=env, cwd=second).seconds
    pages = f"only downloading {len(PACKAGES)} pages: {statistics.median(download):.2f} s"
    return [
        Figure(name="lock, both targets, cold", value=statistics.median(cold), unit="s", goal=30, baseline=pages),
        Figure(name="lock, both targets, warm", value=statistics.median(warm), unit="s", goal=10, baseline=pages),
        Figure(
            name="second project, from lock to bundle",
            value=again,
            unit="s",
            goal=1,
            baseline=f"the first one: {whole:.1f} s",
        ),
    ]


def _write(folder: Path, dependencies: Sequence[str], targets: Sequence[str]) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{folder.name}"\nversion = "1"\ndependencies = {list(dependencies)!r}\n'
        f"[tool.incamera]\ntargets = {list(targets)!r}\n"
    )
    (folder / "app.py").write_text(f'print("{folder.name}")\n')
    return folder


def _lock(project: Path, store: Path) -> float:
    for lock in project.glob("pylock.*.toml"):
        lock.unlink()
    return run([INCAMERA, "lock"], env=environment(store), cwd=project).seconds


def _download_pages() -> float:
    http = Http(os.environ)
    index = find_index_urls(os.environ)[-1].rstrip("/")
    started = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda name: http.get(f"{index}/{name.lower()}/", headers={"Accept": ACCEPT}), PACKAGES))
    return time.perf_counter() - started


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3, help="measure so often, take the medians (%(default)s)")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=1800, add_options=add_options))
