"""Virtual cameras with root over SSH, by profile: `incamera virtual start`, an idle camera, and the end of a pause.

A start is timed from the start of the process until it has ended and an SSH banner has been read; with a saved state,
beside the cold boot that made it. Idle is a camera that nobody has used since its start: the processor time and memory
of QEMU and the supervisor. A pause ends with a connection, timed until its SSH banner has been read.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.context import Context
from incamera.store import Store
from incamera.targets.profile import load_profiles, require_profile
from incamera.virtual.camera import Extras, require_camera, stop_camera
from incamera.virtual.start import start_virtual
from measure import INCAMERA, CannotMeasure, Failed, Figure, environment, main, medians, run, say, temporary_folder
from silent import SilentReporter

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

_SETTLE_SECONDS = 5
_IDLE_SECONDS = 30


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    figures = []
    with temporary_folder() as folder:
        env = environment(folder / "store")
        known = [name for name, profile in load_profiles().items() if profile.has_root_login]
        for profile in arguments.profile or known:
            if profile not in known:
                raise CannotMeasure(f"no profile is called {profile}; there are {', '.join(known)}")
            say(f"{profile}: fetch, boot, save the state")
            cold = start_and_stop(profile, env, resumed=False)
            say(f"{profile}: resume, {arguments.rounds} times")
            resume = partial(start_and_stop, profile, env, resumed=True)
            warm = medians(arguments.rounds, start=resume)["start"]
            baseline = f"{cold:.1f} s without one (fetched, booted, saved)"
            figures.append(Figure(name=f"virtual start {profile}", value=warm, unit="s", goal=2, baseline=baseline))
            say(f"{profile}: watch it idle for {_IDLE_SECONDS} s, then pause it")
            figures += measure_idle(profile, folder / "store", arguments.rounds)
    return figures


def measure_idle(profile: str, store: Path, rounds: int) -> list[Figure]:
    context = Context(Store(store), SilentReporter())
    start = partial(
        start_virtual, context, require_profile(profile), name=f"bench-{os.getpid()}", owner_pid=os.getpid()
    )
    camera = start(extras=Extras(pause_after=_SETTLE_SECONDS + _IDLE_SECONDS + 2))
    try:
        time.sleep(_SETTLE_SECONDS)
        before = processor_seconds(camera)
        time.sleep(_IDLE_SECONDS)
        idle = (processor_seconds(camera) - before) / _IDLE_SECONDS * 100
        memory = sum(resident_bytes(process) for process in (camera.qemu_pid, camera.pid)) / 1e6
        wait_for_pause(context, camera)
        before = processor_seconds(camera)
        time.sleep(_IDLE_SECONDS)
        paused = (processor_seconds(camera) - before) / _IDLE_SECONDS * 100
    finally:
        stop_camera(context.store, camera.name)
    camera = start(extras=Extras(pause_after=0.2))
    try:
        wakes = medians(rounds, wake=lambda: wake(context, camera))["wake"]
    finally:
        stop_camera(context.store, camera.name)
    return [
        Figure(name=f"idle {profile}", value=idle, unit="% of a core", goal=2),
        Figure(name=f"paused {profile}", value=paused, unit="% of a core", goal=0.1),
        Figure(name=f"memory {profile}", value=memory, unit="MB", goal=600),
        Figure(name=f"connection to a paused {profile}", value=wakes, unit="s", goal=0.2),
    ]


def wake(context: Context, camera: VirtualCamera) -> float:
    wait_for_pause(context, camera)
    started = time.perf_counter()
    with socket.create_connection((camera.ssh_host, camera.ssh_port), timeout=10) as connection:
        if connection.recv(4) != b"SSH-":
            raise Failed(f"{camera.name}: no banner")
        return time.perf_counter() - started


def wait_for_pause(context: Context, camera: VirtualCamera) -> None:
    deadline = time.monotonic() + 60
    while not require_camera(context.store, camera.name).paused:
        if time.monotonic() > deadline:
            raise Failed(f"{camera.name} is not paused")
        time.sleep(0.05)


def processor_seconds(camera: VirtualCamera) -> float:
    """Return how long the camera's processes have run, in all their threads."""
    threads = [
        thread for process in (camera.qemu_pid, camera.pid) for thread in Path(f"/proc/{process}/task").iterdir()
    ]
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def start_and_stop(profile: str, env: Mapping[str, str], *, resumed: bool) -> float:
    try:
        started = time.perf_counter()
        camera = run([INCAMERA, "virtual", "start", profile, "--json"], env=env).document
        with socket.create_connection((camera["ssh"]["host"], camera["ssh"]["port"]), timeout=10) as connection:
            banner = connection.recv(4)
        seconds = time.perf_counter() - started
    finally:
        run([INCAMERA, "virtual", "stop", "--all"], env=env)
    if banner != b"SSH-" or camera["resumed"] is not resumed:
        raise Failed(f"{profile}: banner {banner!r}, resumed: {camera['resumed']}")
    return seconds


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", action="append", help="this profile only (may be repeated)")
    parser.add_argument("--rounds", type=int, default=5, help="measure so often, take the medians (%(default)s)")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=1800, add_options=add_options))
