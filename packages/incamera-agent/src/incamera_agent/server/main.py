"""The agent's command line, and the one place where forks begin."""

from __future__ import annotations

import fcntl
import os
import sys

from incamera_agent.forkserver.become import Become
from incamera_agent.forkserver.modules import remember_path
from incamera_agent.server import folder as home
from incamera_agent.server.agent import Agent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional

USAGE = "usage: python3 -m incamera_agent --app NAME --who TEXT --what TEXT [--folder FOLDER] [--take-over]"


def main(words: List[str]) -> int:
    options = parse(words)
    if options is None:
        sys.stderr.write(f"{USAGE}\n")
        return 2
    remember_path()
    call: Callable[[], int] = lambda: _serve(options)  # noqa: E731
    while True:
        try:
            return call()
        except Become as turn:
            call = turn.call


def parse(words: List[str]) -> Optional[Dict[str, str]]:
    # By hand: argparse takes more memory than the rest of the agent.
    options = {"--folder": home.ROOT, "--take-over": ""}
    rest = list(words)
    while rest:
        name = rest.pop(0)
        if name == "--take-over":
            options[name] = "yes"
        elif name in ("--app", "--who", "--what", "--folder") and rest:
            options[name] = rest.pop(0)
        else:
            return None
    app = options.get("--app", "")
    sound = app and "/" not in app and app not in (".", "..") and "--who" in options and "--what" in options
    return options if sound else None


def _serve(options: Dict[str, str]) -> int:
    # What a package or a mistake of ours prints must not get between the frames.
    incoming = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    outgoing = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    place = home.Home(options["--app"], options["--folder"])
    agent = Agent(place, options["--who"], options["--what"], take_over=bool(options["--take-over"]))
    return agent.serve(incoming, outgoing)
