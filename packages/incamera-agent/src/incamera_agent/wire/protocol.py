"""The words of the protocol that the host, the agent and apps share (docs/reference/agent-protocol.md).

The host imports this module, `incamera_agent.wire.frames` and nothing else of the agent.
"""

from __future__ import annotations

import os
import sys

from incamera_agent import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from incamera_agent.wire.frames import Message

PROTOCOL = 1

# A file is sent in pieces of at most so many bytes.
PIECE_BYTES = 1 << 20
# The host sends at most so many bytes of input that the app has not consumed yet …
INPUT_WINDOW_BYTES = 1 << 16
# … and the agent refuses more than this.
MAXIMUM_INPUT_BYTES = 1 << 20

MODULE = "incamera_agent"
AGENTS_FOLDER = "/tmp/incamera-agent"
# A run has a folder of its own, of the run's name.
RUNS_FOLDER = "/tmp"
SOCKET = "socket"
# The environment variable in which the launcher names the run.
RUN_VARIABLE = "INCAMERA_RUN"
# What is in an app's folder below the working folders: a link to the app's files, and the folder that it works in.
WORK_FILES = "files"
WORK_APP = "app"
# An app that is started with this variable can be attached to. Its value is the path of the attach socket, or the
# number of an open descriptor.
ATTACH_VARIABLE = "INCAMERA_ATTACH"

# The agent's exit codes after an `error` of the kind `protocol` or `busy`.
EXIT_PROTOCOL = 3
EXIT_BUSY = 4


class Option:
    """Words of the agent's command line, and what `ps` shows of its children."""

    APP = "--app"
    USER = "--user"
    COMMAND = "--command"
    FOLDER = "--folder"
    TAKE_OVER = "--take-over"
    KEPT = "--kept"
    WORK = "--work"
    FORK_SERVER = "--fork-server"
    COMPILE_CHECK = "--compile-check"


class Request:
    """The `type` of what a client asks."""

    HELLO = "hello"
    GOODBYE = "goodbye"
    PRELOAD = "preload"
    OPEN = "open"
    PUT = "put"
    DELETE = "delete"
    DISCARD = "discard"
    COMMIT = "commit"
    START = "start"
    STDIN = "stdin"
    RESIZE = "resize"
    SIGNAL = "signal"
    STOP = "stop"
    RELOAD = "reload"
    MEMORY = "memory"
    TAKE_OVER = "take-over"
    ATTACH = "attach"
    DETACH = "detach"
    EVAL = "eval"
    COMPLETE = "complete"
    INTERRUPT = "interrupt"
    STACKS = "stacks"


class Answer:
    """The `type` of an answer. Those of `hello`, `memory` and `stacks` have the same type as the request."""

    HELLO = "hello"
    ERROR = "error"
    PRELOADED = "preloaded"
    OPENED = "opened"
    COMMITTED = "committed"
    REFUSED = "refused"
    STARTED = "started"
    RELOADED = "reloaded"
    RESTARTED = "restarted"
    MEMORY = "memory"
    ATTACHED = "attached"
    EVALUATED = "evaluated"
    COMPLETIONS = "completions"
    STACKS = "stacks"


class Event:
    """The `type` of what the agent sends unasked."""

    STDOUT = "stdout"
    STDERR = "stderr"
    CONSUMED = "consumed"
    EXITED = "exited"
    LOG = "log"
    OUTPUT = "output"


class ErrorKind:
    """The `kind` of an `error`."""

    PROTOCOL = "protocol"
    BUSY = "busy"
    TAKEN_OVER = "taken-over"
    STOPPED = "stopped"
    REQUEST = "request"
    OPEN = "open"
    PUT = "put"
    COMMIT = "commit"
    PRELOAD = "preload"
    START = "start"
    NO_RUN = "no-run"
    FLOOD = "flood"
    CONSOLE = "console"


class EndReason:
    """The `reason` of an `exited`, where there is one."""

    STOPPED = "stopped"
    MEMORY_LIMIT = "memory-limit"
    OUT_OF_MEMORY = "out-of-memory"


def agent_command(
    python: str, *, app: str, user: str, command: str, take_over: bool = False, kept: bool = False, work: str = ""
) -> List[str]:
    """Return the command line that starts the agent for *app* with the interpreter *python*.

    *user* (as in `anna@desk`) and *command* (as in `incamera run --watch`) tell other hosts who holds the app. A *kept*
    agent holds no app: it waits for the next run, in the folder of its own run. Apps run in the working folder of
    *work*, if that is named.
    """
    words = [python, "-m", MODULE, Option.APP, app, Option.USER, user, Option.COMMAND, command]
    words += [Option.WORK, work] if work else []
    return [*words, *([Option.TAKE_OVER] if take_over else []), *([Option.KEPT] if kept else [])]


def find_files(folder: str) -> str:
    """Return the folder whose files the working folder *folder* shows. Empty where it is no working folder."""
    around, _, name = folder.rpartition("/")
    try:
        return os.readlink(f"{around}/{WORK_FILES}") if name == WORK_APP else ""
    except OSError:
        return ""


def signal_exit_code(number: int) -> int:
    """Return the exit code for a process that was killed by signal *number*, as in a shell: 128 + *number*."""
    return 128 + number


def describe_agent() -> Message:
    """Return the answer to a `hello` of the same protocol."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {"type": Answer.HELLO, "protocol": PROTOCOL, "agent": __version__, "python": python, "pid": os.getpid()}


def refuse_protocol(hello: Message) -> Message:
    """Return the answer to a `hello` of another protocol."""
    # Whatever it sends in their place, the answer is short.
    theirs, tool = (
        str(value)[:40] if isinstance(value, (str, int)) else "?"
        for value in (hello.get("protocol"), hello.get("tool"))
    )
    text = f"incamera {tool} speaks protocol {theirs}, the agent {__version__} in the camera protocol {PROTOCOL}"
    return {
        "type": Answer.ERROR,
        "kind": ErrorKind.PROTOCOL,
        "message": text,
        "hint": "deploy again with the incamera that you use now",
        "protocol": PROTOCOL,
        "agent": __version__,
    }
