"""How long `incamera lock` takes for all the packages of docs/reference/packages.md, and a second project with them.

Cold: no page of the package index, no metadata, no Debian index in the store. Warm: all of them are. Only downloading
the pages of those packages, one after the other in 8 connections, stands beside the cold one as its baseline. Beside
the warm ones stands what `uv pip compile` takes for the same packages on aarch64, from the same index: that on PATH, or
one that is installed into a temporary environment. CPU is what the process uses, and what it starts.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from incamera.http import CONNECTIONS, Http
from incamera.simple_index import ACCEPT, find_index_urls
from measure import INCAMERA, Failed, Figure, environment, main, run, say, temporary_folder
from packages import PACKAGES

# What one architecture's index has and the other's has not.
_ONLY = {"tflite-runtime": "armv7l", "ai-edge-litert": "aarch64", "onnxruntime": "aarch64"}
ALL = [f'{name}; platform_machine == "{_ONLY[name]}"' if name in _ONLY else name for name in PACKAGES]
SMALL = ["numpy", "pyyaml", "websockets", "msgspec"]


@dataclass(frozen=True, slots=True)
class Cost:
    seconds: float
    cpu: float


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    with temporary_folder() as folder:
        project = _write(folder / "all", ALL, ["armv7hf", "aarch64"])
        uv = _find_uv(folder)
        cold, warm, upgraded, download, others = [], [], [], [], []
        for number in range(arguments.rounds):
            say(f"round {number + 1} of {arguments.rounds}: cold, warm, one upgraded, only downloading the pages, uv")
            store = folder / f"store-{number}"
            cold.append(_lock(project, store))
            warm.append(_lock(project, store))
            upgraded.append(_lock(project, store, "--upgrade", "tqdm"))
            download.append(_download_pages())
            shutil.rmtree(store)
            if uv is not None:
                others.append(_compile(uv, folder, cold=number == 0))
        say("two projects with the same packages, armv7hf")
        env = environment(folder / "store")
        first = _write(folder / "first", SMALL, ["armv7hf"])
        second = _write(folder / "second", SMALL, ["armv7hf"])
        run([INCAMERA, "lock"], env=env, cwd=first)
        whole = run([INCAMERA, "build"], env=env, cwd=first).seconds
        run([INCAMERA, "lock"], env=env, cwd=second)
        again = run([INCAMERA, "build"], env=env, cwd=second).seconds
    pages = f"only downloading {len(PACKAGES)} pages: {statistics.median(download):.2f} s"
    uvs = f"; uv, aarch64 alone: {_median(others).seconds:.2f} s, CPU {_median(others).cpu:.2f} s" if others else ""

    def figure(name: str, costs: Sequence[Cost], goal: float, baseline: str) -> Figure:
        cost = _median(costs)
        return Figure(name=name, value=cost.seconds, unit="s", goal=goal, baseline=f"CPU {cost.cpu:.2f} s{baseline}")

    return [
        figure("lock, both targets, cold", cold, 30, f"; {pages}"),
        figure("lock, both targets, warm", warm, 1, uvs),
        figure("lock, both targets, one package upgraded", upgraded, 0.5, uvs),
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


def _lock(project: Path, store: Path, *upgrade: str) -> Cost:
    for lock in project.glob("pylock.*.toml") if not upgrade else ():
        lock.unlink()
    return _timed([INCAMERA, "lock", *upgrade], environment(store), project)


def _timed(argv: Sequence[str], env: Mapping[str, str], folder: Path) -> Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = run(argv, env=env, cwd=folder).seconds
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(cost.seconds for cost in costs), statistics.median(cost.cpu for cost in costs))


def _find_uv(folder: Path) -> str | None:
    """Return the path of uv: on PATH, else in a new environment in *folder*; None when it cannot be had."""
    if found := shutil.which("uv"):
        return found
    say("installing uv into a temporary environment")
    try:
        run([sys.executable, "-m", "venv", str(folder / "uv")])
        run([str(folder / "uv/bin/python"), "-m", "pip", "install", "--quiet", "uv"])
    except Failed as error:
        say(f"no uv to compare with: {error}")
        return None
    return str(folder / "uv/bin/uv")


def _compile(uv: str, folder: Path, *, cold: bool) -> Cost:
    """Return what uv takes to resolve the packages for aarch64, all pages cached; *cold*: they are fetched first."""
    (folder / "requirements.in").write_text("\n".join(ALL) + "\n")
    env = environment(folder / "store", UV_CACHE_DIR=str(folder / "uv-cache"))
    options = ["--python-platform", "aarch64-manylinux2014", "--python-version", "3.11", "--generate-hashes"]
    options += ["--index-url", find_index_urls(os.environ)[-1], "--quiet", "--no-config", "-o", os.devnull]
    argv = [uv, "pip", "compile", "requirements.in", *options]
    if cold:
        _timed(argv, env, folder)
    return _timed(argv, env, folder)


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
