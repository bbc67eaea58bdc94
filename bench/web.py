"""The web server of virtual cameras: how soon it answers, the memory that it takes, and how long an installation takes.

A start is timed from the start of the process until systemready.cgi has answered over https, with a saved state; the
baseline is the cold start that made it. An installation is timed from the start of `incamera install --start` until
the app's first line is in the camera's log. The camera's log says how long the app took from its start to that line;
the baseline is `python -c pass` with the same Python there. Memory is the sum of PSS of Apache, the bus, the back end
and their starter. Idle is a camera that nobody has used since its start: the processor time of QEMU and the supervisor.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shutil
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from incamera.store import Store
from incamera.virtual.camera import require_camera
from measure import INCAMERA, CannotMeasure, Failed, Figure, environment, main, medians, run, say, temporary_folder
from virtual import processor_seconds

_IDLE_SECONDS = 30
_STARTS = 7
_PROFILES = ("axis-os-12-armv7hf", "axis-os-12-aarch64", "axis-os-13-armv7hf", "axis-os-13-aarch64")
# Root can log in there, so that one can look at the processes.
_OPEN_PROFILE = "axis-os-11-armv7hf"
_APP = 'import time\n\nprint("first line", flush=True)\nwhile True:\n    time.sleep(60)\n'
_PROJECT = '[project]\nname = "hello"\nversion = "1.0.0"\n\n[tool.incamera]\nentry = "app.py"\n'
_MEMORY = (
    "for p in $(pidof axis-httpd axis-back-end incamera-back-end dbus-daemon); do cat /proc/$p/smaps_rollup; done "
    "| awk '/^Pss:/ { sum += $2 } END { print sum }'"
)
_PASS = "cd /usr/local/packages/hello; for i in 1 2 3 4 5 6; do time bundle/bin/python3 -c pass; done"
_ENTRY = re.compile(r"^(\S+) .*?: (.*)$", re.MULTILINE)


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    figures = []
    with temporary_folder() as folder:
        env = environment(Path(arguments.store) if arguments.store else folder / "store")
        for profile in arguments.profile or _PROFILES:
            say(f"{profile}: boot if there is no saved state, then resume {arguments.rounds} times")
            cold = start_and_stop(profile, env)
            warm = medians(arguments.rounds, start=partial(start_and_stop, profile, env))["start"]
            figures.append(
                Figure(
                    name=f"virtual start {profile}, until systemready",
                    value=warm,
                    unit="s",
                    goal=4,
                    baseline=f"{cold:.1f} s the first time",
                )
            )
        figures.append(measure_idle(env))
        figures += measure_apps(folder, env, arguments.rounds)
    return figures


def measure_idle(env: Mapping[str, str]) -> Figure:
    say(f"watch {_PROFILES[0]} idle for {_IDLE_SECONDS} s")
    camera = start(_PROFILES[0], env, "--new")
    try:
        time.sleep(5)
        running = require_camera(Store(Path(env["INCAMERA_STORE"])), camera["name"])
        before = processor_seconds(running)
        time.sleep(_IDLE_SECONDS)
        idle = (processor_seconds(running) - before) / _IDLE_SECONDS * 100
    finally:
        run([INCAMERA, "virtual", "stop", camera["name"]], env=env)
    return Figure(name=f"idle {_PROFILES[0]}", value=idle, unit="% of a core", goal=2)


def measure_apps(folder: Path, env: Mapping[str, str], rounds: int) -> list[Figure]:
    project = folder / "hello"
    project.mkdir()
    (project / "pyproject.toml").write_text(_PROJECT)
    (project / "app.py").write_text(_APP)
    run([INCAMERA, "package"], env=env, cwd=project)
    camera = start(_OPEN_PROFILE, env, "--web", "--new")
    name = camera["name"]
    try:
        memory = int(inside(camera, _MEMORY)) * 1024 / 1e6
        say(f"install a package {rounds} times")
        installs, firsts = [], []
        for _ in range(rounds):
            started = time.perf_counter()
            run([INCAMERA, "install", "--device", name, "--start"], env=env, cwd=project)
            log = wait_for_line(name, env, project)
            installs.append(time.perf_counter() - started)
            firsts += seconds_to_first_lines(log)
            run([INCAMERA, "uninstall", "--device", name, "--yes"], env=env, cwd=project)
            # A log of the next round has no line of this one.
            run([INCAMERA, "virtual", "restart", name], env=env)
        run([INCAMERA, "install", "--device", name, "--start"], env=env, cwd=project)
        log = wait_for_line(name, env, project)
        for number in range(_STARTS):
            run([INCAMERA, "restart", "--device", name], env=env, cwd=project)
            log = wait_for_line(name, env, project, lines=number + 2)
        # The first one is that of a new installation: the emulator has not seen its code yet.
        starts = seconds_to_first_lines(log)[1:]
        bare = statistics.median(
            int(minutes) * 60 + float(seconds)
            for minutes, seconds in re.findall(r"real\s+(\d+)m\s*([\d.]+)s", inside(camera, _PASS))
        )
    finally:
        run([INCAMERA, "virtual", "stop", name], env=env)
    started = statistics.median(starts)
    return [
        Figure(name="memory of the web server and what is behind it (PSS)", value=memory, unit="MB", goal=40),
        Figure(name="install hello-world, until its first line", value=statistics.median(installs), unit="s", goal=10),
        Figure(
            name="start of the installed app, until its first line",
            value=started / bare,
            unit="×",
            goal=2,
            baseline=f"{bare:.2f} s for `python -c pass` there; the app took {started:.2f} s, "
            f"and {statistics.median(firsts):.2f} s right after it was installed",
        ),
    ]


def start(profile: str, env: Mapping[str, str], *options: str) -> dict[str, Any]:
    return run([INCAMERA, "virtual", "start", profile, *options, "--json"], env=env).document


def start_and_stop(profile: str, env: Mapping[str, str]) -> float:
    started = time.perf_counter()
    camera = start(profile, env, "--new")
    try:
        answer = ask_ready(camera["http"]["url"])
        seconds = time.perf_counter() - started
    finally:
        run([INCAMERA, "virtual", "stop", camera["name"]], env=env)
    if answer["data"]["systemready"] != "yes":
        raise Failed(f"{profile}: {answer}")
    return seconds


def ask_ready(url: str) -> dict[str, Any]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(url.removeprefix("https://"), timeout=30, context=context)
    connection.request("POST", "/axis-cgi/systemready.cgi", json.dumps({"apiVersion": "1", "method": "systemready"}))
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def wait_for_line(name: str, env: Mapping[str, str], project: Path, *, lines: int = 1) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        log = run([INCAMERA, "logs", "--device", name, "--app", "hello"], env=env, cwd=project).output
        if log.count("first line") >= lines:
            return log
    raise Failed("the app has printed nothing")


def seconds_to_first_lines(log: str) -> list[float]:
    """Return how long each start in *log* took until the app's line."""
    found, began = [], None
    for when, text in _ENTRY.findall(log):
        if text.startswith("Started "):
            began = datetime.fromisoformat(when)
        elif text == "first line" and began is not None:
            found.append((datetime.fromisoformat(when) - began).total_seconds())
            began = None
    return found


def inside(camera: Mapping[str, Any], command: str) -> str:
    """Return what *command* prints in *camera*, over SSH."""
    if shutil.which("ssh") is None:
        raise CannotMeasure("there is no ssh on this computer")
    ssh = camera["ssh"]
    words = ["ssh", "-q", "-F", "none", "-i", ssh["key"], "-p", str(ssh["port"]), "-o", "StrictHostKeyChecking=no"]
    words += ["-o", "UserKnownHostsFile=/dev/null", f"{ssh['user']}@{ssh['host']}", command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", action="append", help="start this profile only (may be repeated)")
    parser.add_argument("--rounds", type=int, default=5, help="measure so often, take the medians (%(default)s)")
    parser.add_argument("--store", help="use this store, which may have saved states (default: an empty one)")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=1800, add_options=add_options))
