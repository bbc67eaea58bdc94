"""The folder of an app's agent on the device: its lock and owner, its socket, the live folder. One agent at a time."""

from __future__ import annotations

import _socket as socket
import fcntl
import json
import os
import signal
import time

from incamera_agent.processes import find_process, read_text, send_signal
from incamera_agent.server.live import remove
from incamera_agent.server.places import choose_own_folder, open_own_file, open_own_folder
from incamera_agent.wire.frames import Decoder, FrameError, encode
from incamera_agent.wire.protocol import (
    AGENTS_FOLDER,
    PROTOCOL,
    RUN_VARIABLE,
    RUNS_FOLDER,
    SOCKET,
    Answer,
    Request,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

# More than what an agent writes about itself.
_OWNER_BYTES = 1 << 16
# How long an agent that is asked to leave may take; its app gets time to end in this, too.
_LEAVE_SECONDS = 5.0
# How long a take-over may take altogether: others may come in between, and an agent may be impossible to end.
_TAKE_OVER_SECONDS = 20.0


class Busy(Exception):
    """Another agent holds the app; *owner* is what its owner.json says."""

    def __init__(self, owner: Dict[str, Any]) -> None:
        super().__init__()
        self.owner = owner


class AgentFolder:
    """`ROOT/APP`, locked from `acquire` to `release`. Where another user has taken ROOT, a folder beside it is used.

    That of a *kept* agent is in the folder of the agent's own run, so that it does not keep others from the app.
    """

    def __init__(self, app: str, root: str = AGENTS_FOLDER, *, kept: bool = False) -> None:
        self.kept = kept
        if kept:
            root = os.path.join(RUNS_FOLDER, os.environ[RUN_VARIABLE])
        self.folder = os.path.join(choose_own_folder(root), app)
        # Where the guard looks for the sockets of runs.
        self.socket = f"{self.folder}.socket" if kept else os.path.join(self.folder, SOCKET)
        self._owner = os.path.join(self.folder, "owner.json")
        self._lock = -1

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def acquire(self, user: str, command: str, *, take_over: bool) -> None:
        """Lock the folder, and remove what a killed agent has left in it.

        With *take_over*, an agent that holds it is ended first. Raises Busy when one does (or still does, after 20 s),
        and OSError.
        """
        self._open_lock()
        if not self._try_lock():
            if not take_over:
                raise Busy(self._read_owner())
            self._take_over(user, command)
        _kill(self._read_owner())
        for name in os.listdir(self.folder):
            if name != "lock":
                remove(self.path(name))
        self._write_owner(user, command)

    def _take_over(self, user: str, command: str) -> None:
        owner = None
        kill_at = 0.0
        give_up = time.monotonic() + _TAKE_OVER_SECONDS
        while not self._try_lock():
            current = self._read_owner()
            if time.monotonic() > give_up:
                raise Busy(current)
            if current != owner:  # the first, or another that came in between and has not been asked yet
                owner = current
                deadline = time.monotonic() + _LEAVE_SECONDS
                kill_at = deadline if _ask_to_leave(self.socket, user, command, deadline) else 0.0
            elif time.monotonic() > kill_at:
                _kill(owner)
            time.sleep(0.05)

    def listen(self) -> int:
        """Open the agent's socket; return its descriptor. Raises OSError."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(self.socket)
        finally:
            os.umask(before)
        listener.listen(8)
        listener.setblocking(False)
        return listener.detach()

    def remove_socket(self) -> None:
        remove(self.socket)

    def release(self) -> None:
        """Remove everything. The lock is last, so that the next to lock the folder finds it empty."""
        self.remove_socket()
        remove(self.path("owner.json"))
        for name in os.listdir(self.folder):
            if name != "lock":
                remove(self.path(name))
        remove(self.path("lock"))
        try:
            os.rmdir(self.folder)
            os.rmdir(os.path.dirname(self.folder))
        except OSError:  # another agent uses it
            pass
        os.close(self._lock)

    def _try_lock(self) -> bool:
        # A lock of this process, not of the open file: the agent's forks do not hold it.
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        # The agent before may have removed the file after we opened it. Then another agent would lock a new file.
        try:
            current = os.stat(self.path("lock")).st_ino
        except FileNotFoundError:
            current = 0
        if current == os.fstat(self._lock).st_ino:
            return True
        os.close(self._lock)
        self._open_lock()
        return False

    def _open_lock(self) -> None:
        os.close(open_own_folder(self.folder, make=True))
        self._lock = open_own_file(self.path("lock"), os.O_RDWR | os.O_CREAT)

    def _read_owner(self) -> Dict[str, Any]:
        try:
            with open(open_own_file(self._owner, os.O_RDONLY), encoding="utf-8") as stream:
                owner = json.loads(stream.read(_OWNER_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        return owner if isinstance(owner, dict) else {}

    def _write_owner(self, user: str, command: str) -> None:
        process = find_process(os.getpid())
        owner = {
            "user": user,
            "command": command,
            "since": int(time.time()),
            "pid": os.getpid(),
            "start": process.start if process else 0,
            "run": os.environ.get(RUN_VARIABLE),
        }
        remove(self.path("owner.new"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(open_own_file(self.path("owner.new"), flags, 0o644), "w") as stream:
            json.dump(owner, stream)
        os.replace(self.path("owner.new"), self._owner)


def public_owner(owner: Dict[str, Any]) -> Dict[str, Any]:
    """Return what other hosts are told of *owner*: `user`, `command` and `since`, in seconds since 1970."""
    user, command, since = (owner.get(name) for name in ("user", "command", "since"))
    return {
        "user": user if isinstance(user, str) else None,
        "command": command if isinstance(command, str) else None,
        "since": since if type(since) is int and since >= 0 else None,
    }


def _ask_to_leave(path: str, user: str, command: str, deadline: float) -> bool:
    """Ask the agent at the socket *path* to leave, and wait for that until *deadline* at most.

    Return whether it has answered: one that hangs, or that speaks another protocol, has not.
    """
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.settimeout(_LEAVE_SECONDS)
    answered = False
    try:
        caller.connect(path)
        caller.sendall(encode({"type": Request.HELLO, "protocol": PROTOCOL, "tool": "agent"}))
        caller.sendall(encode({"type": Request.TAKE_OVER, "user": user, "command": command}))
        decoder = Decoder()
        while time.monotonic() < deadline:
            caller.settimeout(max(0.01, deadline - time.monotonic()))
            data = caller.recv(4096)
            if not data:
                return answered
            for frame in decoder.feed(data):
                answered = answered or frame.type == Answer.HELLO
        return answered
    except (OSError, FrameError):
        return answered
    finally:
        caller.close()


def _kill(owner: Dict[str, Any]) -> None:
    """Kill the agent *owner*, and all processes that have the name of its run in their environment."""
    pid, run = owner.get("pid"), owner.get("run")
    process = find_process(pid) if isinstance(pid, int) else None
    if process is not None and process.start == owner.get("start") and process.pid != os.getpid():
        send_signal([process.pid], signal.SIGKILL)
    if isinstance(run, str) and run != os.environ.get(RUN_VARIABLE):
        setting = f"{RUN_VARIABLE}={run}"
        for name in os.listdir("/proc"):
            if name.isdigit() and setting in read_text(f"/proc/{name}/environ").split("\0"):
                send_signal([int(name)], signal.SIGKILL)
