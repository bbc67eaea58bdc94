"""What a command costs over a real network: request–answer turns, and seconds, from Enter to the prompt.

A relay on loopback stands between this computer and a virtual camera: 5 ms and 100 Mbit/s, 30 ms and 20 Mbit/s, 120 ms
and 2 Mbit/s with 1 % of the packets lost. Each command makes a connection of its own (`--cold`), or finds one that the
last command has left. Times are round-trip times, and a lost packet holds up what follows for as
long as TCP takes to repeat it. A turn is a change of direction, from host → camera to camera → host: `slow_line.py`
defines it. Beside each command stands, from the same run, a bare `ssh CAMERA true`, beside the first deploy
`tar | gzip -1 | ssh CAMERA 'gunzip | tar'` and a check of each file's digest there.

The store that is set (INCAMERA_STORE, else the user's own) is used; what fills it is not timed.

incamera packs less for an address of this computer. With `--away`, the relay has an address that a camera could have,
in a network namespace.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from edit import PROFILE, Watch
from incamera.store import find_store_path
from measure import INCAMERA, CannotMeasure, Failed, Figure, main, run, say, temporary_folder
from slow_line import LOOPBACK, NETWORKS, SlowLine, slow_line

# The most turns, over a connection that is made for the command.
_GOALS = {"python -c pass": 12, "run, unchanged": 12, "run after an edit": 14, "run --watch, an edit": 2}
_KEPT_GOAL = 3
_KEPT = ", kept connection"
_SLOW_MBIT = 10
_DEPLOY_MEGABYTES = 16
_RUNS = "print('edit {number}')\n"
_STAYS = "import time\nprint('edit {number} ', flush=True)\nwhile True:\n    time.sleep(0.05)\n"
# For documentation (RFC 5737): no host has it.
_AWAY = "192.0.2.1"
_IN_NAMESPACE = 'ip link set lo up && ip address add "$1/32" dev lo && shift && exec "$@"'
_OURS_THERE = "rm -rf /tmp/incamera* /usr/local/packages/incamera* /tmp/baseline"


@dataclass(frozen=True, slots=True)
class Cost:
    """`megabytes`: what was sent to the camera."""

    turns: float
    seconds: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Way:
    """A camera that is reached through *line* by the name *host*."""

    line: SlowLine
    host: str
    config: Path

    @property
    def login(self) -> list[str]:
        # `ssh` looks in the user's true home, whatever HOME says.
        return ["ssh", "-F", str(self.config), self.host]

    def cost(self, work: Callable[[], object]) -> Cost:
        self.line.reset()
        began = time.perf_counter()
        work()
        return Cost(self.line.turns, time.perf_counter() - began, self.line.sent / 1e6)

    def incamera(self, verb: str, *words: str | Path) -> Cost:
        return self.cost(lambda: run([INCAMERA, verb, "--device", self.host, *map(str, words)]))

    def ssh(self, command: str) -> Cost:
        return self.cost(lambda: run([*self.login, command]))


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    networks = [network for network in NETWORKS if network.name.startswith(arguments.only)]
    if not networks:
        raise CannotMeasure(
            f"no network is called {arguments.only}: there are {[network.name for network in NETWORKS]}"
        )
    os.environ["INCAMERA_COLD"] = "1"
    os.environ["INCAMERA_STORE"] = str(find_store_path(os.environ))
    if arguments.away and arguments.locked is None:
        with temporary_folder() as folder:
            enter_namespace(folder)
    figures: list[Figure] = []
    with temporary_folder() as folder, camera(arguments) as details:
        os.environ["HOME"] = str(folder)  # for a configuration and a list of host keys of our own
        for network in networks:
            with (
                slow_line(int(str(details["port"])), network, address=_AWAY if arguments.away else LOOPBACK) as line,
                reached(folder, line, str(details["key"])) as way,
            ):
                figures += measure_way(folder, way, arguments)
    return figures


def enter_namespace(folder: Path) -> NoReturn:
    """Start this script again in a network namespace of its own, with lockfiles: it can fetch nothing there."""
    for dependencies in ((), ("numpy",)):
        project = write_project(folder / locks_of(dependencies), *dependencies)
        (project / "app.py").write_text("")
        for verb in ("lock", "build"):
            run([INCAMERA, verb, "-C", str(project), "--target", "armv7hf"])
    script = [sys.executable, *sys.argv, "--locked", str(folder)]
    unshare = ["unshare", "--map-root-user", "--net", "sh", "-c", _IN_NAMESPACE, "sh", _AWAY]
    sys.exit(subprocess.run([*unshare, *script], check=False).returncode)


def measure_way(folder: Path, way: Way, arguments: argparse.Namespace) -> Iterator[Figure]:
    network, rounds = way.line.network.name, arguments.rounds

    def figures(what: str, cost: Cost, baseline: str) -> Iterator[Figure]:
        goal = _KEPT_GOAL if what.endswith(_KEPT) else _GOALS.get(what)
        yield Figure(name=f"{what} ({network}), turns", value=cost.turns, unit="", goal=goal, baseline=baseline)
        yield Figure(name=f"{what} ({network}), seconds", value=cost.seconds, unit="s")
        say(f"{network}: {what}: {cost.turns:g} turns, {cost.seconds:.2f} s")

    login = typical(rounds, lambda _: way.ssh("true"))
    yield from figures("ssh CAMERA true", login, "")
    told = f"ssh CAMERA true: {login.turns:g} turns, {login.seconds:.2f} s"
    if arguments.deploy:
        yield from measure_deploy(folder, way, arguments.locked)
    project = write_project(folder / way.host, locked=arguments.locked)
    app = project / "app.py"
    app.write_text(_RUNS.format(number=0))
    words = ("-C", project)
    number = 0

    def edited(_: int) -> Cost:
        nonlocal number
        number += 1
        app.write_text(_RUNS.format(number=number))
        return way.incamera("run", *words)

    for kept, cold in (("", "1"), (_KEPT, "0")):
        os.environ["INCAMERA_COLD"] = cold
        way.incamera("run", *words)
        python = typical(rounds, lambda _: way.incamera("python", *words, "-c", "pass"))
        yield from figures(f"python -c pass{kept}", python, told)
        yield from figures(f"run, unchanged{kept}", typical(rounds, lambda _: way.incamera("run", *words)), told)
        yield from figures(f"run after an edit{kept}", typical(rounds, edited), told)
    run([INCAMERA, "connections", "close"])
    os.environ["INCAMERA_COLD"] = "1"
    app.write_text(_STAYS.format(number=0))
    with Watch(project, way.host) as watch:
        watch.await_line("edit 0 ")

        def saved(number: int) -> Cost:
            settle(way.line)

            def save() -> None:
                app.write_text(_STAYS.format(number=number))
                watch.await_line(f"edit {number} ")

            return way.cost(save)

        yield from figures("run --watch, an edit", typical(rounds, saved), told)


def measure_deploy(folder: Path, way: Way, locked: Path | None) -> Iterator[Figure]:
    network = way.line.network
    project = write_project(folder / f"deployed-{way.host}", "numpy", locked=locked)
    (project / "app.py").write_text("import numpy\n")
    built = Path(run([INCAMERA, "build", "-C", str(project), "--target", "armv7hf", "--json"]).document["path"])
    known = way.cost(lambda: send_plainly(way, built))
    say(f"{network.name}: tar | gzip -1 | ssh: {known.megabytes:.1f} MB, {known.seconds:.1f} s with the check")
    way.ssh(_OURS_THERE)
    ours = way.incamera("deploy", "-C", project)
    say(f"{network.name}: first deploy: {ours.megabytes:.1f} MB, {ours.seconds:.1f} s, {ours.turns:g} turns")
    goal = _DEPLOY_MEGABYTES if network.mbit < _SLOW_MBIT else None
    told = f"tar | gzip -1 | ssh: {known.megabytes:.1f} MB, {known.seconds:.1f} s with the check"
    yield Figure(name=f"first deploy ({network.name}), sent", value=ours.megabytes, unit="MB", goal=goal, baseline=told)
    yield Figure(
        name=f"first deploy ({network.name}), seconds", value=ours.seconds, unit="s", goal=known.seconds, baseline=told
    )
    yield Figure(name=f"first deploy ({network.name}), turns", value=ours.turns, unit="")


def send_plainly(way: Way, folder: Path) -> None:
    """Send *folder* the known way, and compare every file there with its digest."""
    way_there = f"{_OURS_THERE}; mkdir /tmp/baseline && cd /tmp/baseline && gunzip | tar -x -f -"
    command = (
        f"set -o pipefail; tar -C {shlex.quote(str(folder))} -c . | gzip -1 | {shlex.join([*way.login, way_there])}"
    )
    run(["bash", "-c", command])
    sums = run(["bash", "-c", f"cd {shlex.quote(str(folder))} && find . -type f -exec sha256sum {{}} +"]).output
    checked = subprocess.run(
        [*way.login, "cd /tmp/baseline && gunzip | sha256sum -c -s"],
        input=subprocess.run(["gzip", "-1"], input=sums.encode(), capture_output=True, check=True).stdout,
        check=False,
    )
    if checked.returncode:
        raise Failed("what tar sent is not whole")


def typical(rounds: int, measured: Callable[[int], Cost]) -> Cost:
    """Return the median turns and seconds of so many rounds. *measured* is called with 1, 2 …"""
    costs = [measured(number) for number in range(1, rounds + 1)]
    return Cost(
        statistics.median(cost.turns for cost in costs),
        statistics.median(cost.seconds for cost in costs),
        statistics.median(cost.megabytes for cost in costs),
    )


def settle(line: SlowLine) -> None:
    """Wait until the last heartbeat's answer is well past."""
    before = -1
    while before != line.received:
        before = line.received
        time.sleep(1)


def write_project(folder: Path, *dependencies: str, locked: Path | None = None) -> Path:
    folder.mkdir()
    if locked is not None:
        for lock in (locked / locks_of(dependencies)).glob("pylock.*.toml"):
            shutil.copy(lock, folder)
    text = f'[project]\nname = "{folder.name}"\nversion = "1"\ndependencies = {list(dependencies)}\n'
    (folder / "pyproject.toml").write_text(text)
    return folder


def locks_of(dependencies: Sequence[str]) -> str:
    """Return the name of the folder with the lockfiles of the project that has *dependencies*."""
    return "-".join(("locks", *dependencies))


@contextmanager
def camera(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    name = f"bench-network-{os.getpid()}"
    words = [INCAMERA, "virtual", "start", arguments.profile, "--name", name, "--ssh-server", arguments.ssh_server]
    started = run([*words, "--json"])
    try:
        yield started.document["ssh"]
    finally:
        run([INCAMERA, "virtual", "stop", name])


@contextmanager
def reached(folder: Path, line: SlowLine, key: str) -> Iterator[Way]:
    """Have `ssh` and incamera reach the camera through *line* by a name of its own."""
    host = f"bench-line-{line.port}"
    home = folder / ".ssh"
    home.mkdir(exist_ok=True)
    settings = {
        "HostName": line.address,
        "Port": line.port,
        "User": "root",
        "IdentityFile": key,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": home / "known_hosts",
        "StrictHostKeyChecking": "accept-new",
        "LogLevel": "ERROR",
    }
    config = home / "config"
    with config.open("a") as stream:
        stream.write("\n".join([f"Host {host}", *(f"    {name} {value}" for name, value in settings.items()), ""]))
    way = Way(line, host, config)
    way.ssh("true")  # which saves the host key
    run([INCAMERA, "device", "add", host])
    try:
        yield way
    finally:
        run([INCAMERA, "device", "remove", host])


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", default=PROFILE, help="the virtual camera's (%(default)s)")
    parser.add_argument("--ssh-server", default="dropbear", help="its SSH server (%(default)s)")
    parser.add_argument("--away", action="store_true", help="the relay has no address of this computer")
    parser.add_argument("--locked", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", metavar="NAME", help="a network whose name begins so")
    parser.add_argument("--rounds", type=int, default=3, help="measure so often, take the medians (%(default)s)")
    parser.add_argument("--no-deploy", dest="deploy", action="store_false", help="leave out the first deploy")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=3000, add_options=add_options))
