"""The agent's command line, and the one place where forked children continue as something else."""

from __future__ import annotations

import fcntl
import os
import sys

from incamera_agent.forkserver.become import Become
from incamera_agent.forkserver.modules import save_search_path
from incamera_agent.server.agent import Agent
from incamera_agent.server.folder import AgentFolder
from incamera_agent.wire.protocol import AGENTS_FOLDER, MODULE, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional

USAGE = f"usage: python3 -m {MODULE} --app NAME --user TEXT --command TEXT [OPTIONS]"


def main(words: List[str]) -> int:
    """Run the agent with the arguments *words*; return its exit code.

    In a child that the agent forks, return and raise what the child's own work does.
    """
    options = parse(words)
    if options is None:
        sys.stderr.write(f"{USAGE}\n")
        return 2
    save_search_path()
    call: Callable[[], int] = lambda: _serve(options)  # noqa: E731
    while True:
        try:
            return call()
        except Become as become:
            call = become.call


def parse(words: List[str]) -> Optional[Dict[str, str]]:
    """Return the options by name, None for a wrong command line. By hand: argparse takes more memory than the agent."""
    options = {Option.FOLDER: AGENTS_FOLDER, Option.TAKE_OVER: "", Option.KEPT: "", Option.WORK: ""}
    rest = list(words)
    while rest:
        name = rest.pop(0)
        if name in (Option.TAKE_OVER, Option.KEPT):
            options[name] = "yes"
        elif name in (Option.APP, Option.USER, Option.COMMAND, Option.FOLDER, Option.WORK) and rest:
            options[name] = rest.pop(0)
        else:
            return None
    app = options.get(Option.APP, "")
    valid = app and "/" not in app and app not in (".", "..") and Option.USER in options and Option.COMMAND in options
    return options if valid else None


def _serve(options: Dict[str, str]) -> int:
    # The frames get descriptors of their own. What a package or a mistake of ours prints goes to standard error.
    incoming = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    outgoing = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    folder = AgentFolder(options[Option.APP], options[Option.FOLDER], kept=bool(options[Option.KEPT]))
    agent = Agent(folder, options[Option.USER], options[Option.COMMAND], take_over=bool(options[Option.TAKE_OVER]))
    return agent.serve(incoming, outgoing, options[Option.WORK])
