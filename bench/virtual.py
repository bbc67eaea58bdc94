"""`incamera virtual start` with a saved state, beside the cold boot that made it, for each profile.

Timed from the start of the process until it has ended and an SSH banner has been read.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial

from measure import INCAMERA, CannotMeasure, Failed, Figure, environment, main, medians, run, say, temporary_folder


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    figures = []
    with temporary_folder() as folder:
        env = environment(folder / "store")
        known = [p["name"] for p in run([INCAMERA, "virtual", "profiles", "--json"], env=env).document["profiles"]]
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
    return figures


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
    sys.exit(main(measure, __doc__, timeout=1200, add_options=add_options))
