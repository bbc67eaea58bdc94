"""`make demo` as a newcomer has it: a fresh clone of what is committed, an empty store, no .venv; then a second time.

Debian's packages and, unless you have a proxy, the package index come through loopback, to be counted and, with --mbit,
slowed down to a line's speed.
"""

from __future__ import annotations

import argparse
import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from loopback import loopback_mirror
from measure import ROOT, CannotMeasure, Figure, environment, main, run, say, temporary_folder


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    user = arguments.as_user
    if user and os.geteuid() != 0:
        raise CannotMeasure("only root can become another user")
    with temporary_folder() as folder, loopback_mirror(folder / "cache") as mirror:
        (folder / "cache").mkdir()
        mirror.mbit = arguments.mbit
        run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder / "incamera")])
        (folder / "home").mkdir()
        more = mirror.settings | {"PIP_NO_CACHE_DIR": "1", "HOME": str(folder / "home"), "XDG_CACHE_HOME": ""}
        if not {"https_proxy", "HTTPS_PROXY"} & os.environ.keys():
            more["https_proxy"] = mirror.address
        if user:
            folder.chmod(0o755)
            _give(folder, user)
        env = environment(folder / "home/store", **more)
        python = arguments.python or str(Path(sys.executable).resolve())
        line = f"{arguments.mbit:g} Mbit/s" if arguments.mbit else "your line's speed"
        try:
            say("make demo, the first time")
            first = run(["make", "demo", f"PYTHON={python}"], env=env, cwd=folder / "incamera", user=user)
            fetched = mirror.bytes
            say("make demo, the second time")
            again = run(["make", "demo", f"PYTHON={python}"], env=env, cwd=folder / "incamera", user=user)
        finally:
            _stop_cameras(folder / "incamera", env, user)
    if arguments.show:
        print(first.output, file=sys.stderr)
    return [
        Figure(
            name=f"make demo, {line}",
            value=first.seconds,
            unit="s",
            goal=150,
            baseline=f"{fetched / 1e6:.0f} MB fetched",
        ),
        Figure(name="make demo, the second time", value=again.seconds, unit="s", goal=20),
    ]


def _give(folder: Path, user: str) -> None:
    try:
        record = pwd.getpwnam(user)
    except KeyError:
        raise CannotMeasure(f"there is no user called {user}") from None
    for name in ("incamera", "home"):
        for path in [folder / name, *(folder / name).rglob("*")]:
            os.chown(path, record.pw_uid, record.pw_gid, follow_symlinks=False)


def _stop_cameras(clone: Path, env: Mapping[str, str], user: str | None) -> None:
    incamera = clone / ".venv/bin/incamera"
    if incamera.exists():
        run([str(incamera), "virtual", "stop", "--all"], env=env, cwd=clone, user=user, check=False)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as-user", metavar="NAME", help="run it as that user (as root only)")
    parser.add_argument("--mbit", type=float, help="let no more through than N Mbit/s")
    parser.add_argument("--python", help="the Python that `make` starts with (default: the one under this one's venv)")
    parser.add_argument("--show", action="store_true", help="print what the first one printed, on standard error")


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, timeout=900, add_options=add_options))
