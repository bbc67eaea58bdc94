"""The folder of an app's agent on the device: who is there, the socket, the live folder. One agent at a time."""

from __future__ import annotations

import _socket as socket
import fcntl
import json
import os
import signal
import time

from incamera_agent.processes import find_process, read_text, send_signal
from incamera_agent.server.live import remove
from incamera_agent.wire.frames import PROTOCOL, Decoder, FrameError, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

ROOT = "/tmp/incamera-agent"
# How long one that was asked to go may take: its app gets time to end, too.
_LEAVE_SECONDS = 5.0
# Several may take over from each other; somebody who cannot be ended stays.
_TAKE_OVER_SECONDS = 20.0


class Busy(Exception):
    """Another agent is at work for this app."""

    def __init__(self, owner: Dict[str, Any]) -> None:
        super().__init__()
        self.owner = owner


class Home:
    def __init__(self, app: str, root: str = ROOT) -> None:
        self.folder = os.path.join(root, app)
        self.socket = os.path.join(self.folder, "socket")
        self._owner = os.path.join(self.folder, "owner.json")
        self._lock = -1

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def enter(self, who: str, what: str, *, take_over: bool) -> None:
        """Make the folder ours, and remove what an agent that was killed has left. Raises Busy, OSError."""
        os.makedirs(self.folder, 0o700, exist_ok=True)
        os.chmod(self.folder, 0o755)
        self._lock = os.open(self.path("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not self._try_lock():
            if not take_over:
                raise Busy(self._read_owner())
            self._take_over(who, what)
        _end(self._read_owner())
        for name in os.listdir(self.folder):
            if name != "lock":
                remove(self.path(name))
        self._write_owner(who, what)

    def _take_over(self, who: str, what: str) -> None:
        owner = None
        kill_at = 0.0
        give_up = time.monotonic() + _TAKE_OVER_SECONDS
        while not self._try_lock():
            now = self._read_owner()
            if time.monotonic() > give_up:
                raise Busy(now)
            if now != owner:  # it may be another one by now, which has not been asked
                owner = now
                limit = time.monotonic() + _LEAVE_SECONDS
                kill_at = limit if _ask_to_leave(self.socket, who, what, limit) else 0.0
            elif time.monotonic() > kill_at:
                _end(owner)
            time.sleep(0.05)

    def listen(self) -> int:
        """Return the descriptor of the socket at which others find us."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(self.socket)
        finally:
            os.umask(before)
        listener.listen(8)
        listener.setblocking(False)
        return listener.detach()

    def leave(self) -> None:
        """Remove everything; the lock last, so that whoever waits for it finds nothing."""
        for name in ("socket", "owner.json"):
            remove(self.path(name))
        for name in os.listdir(self.folder):
            if name != "lock":
                remove(self.path(name))
        remove(self.path("lock"))
        try:
            os.rmdir(self.folder)
            os.rmdir(os.path.dirname(self.folder))
        except OSError:  # somebody else is there
            pass
        os.close(self._lock)

    def _try_lock(self) -> bool:
        # A lock of the process, not of the open file: what we fork doesn't hold it any longer than we do.
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        # Whoever had it may have removed the file meanwhile: then it is a lock on nothing.
        try:
            there = os.stat(self.path("lock")).st_ino
        except FileNotFoundError:
            there = 0
        if there == os.fstat(self._lock).st_ino:
            return True
        os.close(self._lock)
        os.makedirs(self.folder, 0o755, exist_ok=True)
        self._lock = os.open(self.path("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return False

    def _read_owner(self) -> Dict[str, Any]:
        try:
            owner = json.loads(read_text(self._owner))
        except ValueError:
            return {}
        return owner if isinstance(owner, dict) else {}

    def _write_owner(self, who: str, what: str) -> None:
        me = find_process(os.getpid())
        owner = {
            "who": who,
            "what": what,
            "since": int(time.time()),
            "pid": os.getpid(),
            "start": me.start if me else 0,
            "run": os.environ.get("INCAMERA_RUN"),
        }
        with open(self.path("owner.new"), "w") as stream:
            json.dump(owner, stream)
        os.replace(self.path("owner.new"), self._owner)


def public(owner: Dict[str, Any]) -> Dict[str, Any]:
    return {name: owner.get(name) for name in ("who", "since", "what")}


def _ask_to_leave(path: str, who: str, what: str, limit: float) -> bool:
    """Return, by *limit* at the latest, whether it has heard us: one that hangs, or is of another version, hasn't."""
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.settimeout(_LEAVE_SECONDS)
    heard = False
    try:
        caller.connect(path)
        caller.sendall(encode({"type": "hello", "protocol": PROTOCOL, "tool": "agent"}))
        caller.sendall(encode({"type": "take-over", "who": who, "what": what}))
        decoder = Decoder()
        while True:
            caller.settimeout(max(0.01, limit - time.monotonic()))
            data = caller.recv(4096)
            if not data:
                return heard
            heard = any(message["type"] == "hello" for message, _payload in decoder.feed(data)) or heard
    except (OSError, FrameError):
        return heard
    finally:
        caller.close()


def _end(owner: Dict[str, Any]) -> None:
    """End what belongs to an agent: itself, and all that has its run's name in its environment."""
    pid, run = owner.get("pid"), owner.get("run")
    process = find_process(pid) if isinstance(pid, int) else None
    if process is not None and process.start == owner.get("start") and process.pid != os.getpid():
        send_signal([process.pid], signal.SIGKILL)
    if isinstance(run, str) and run != os.environ.get("INCAMERA_RUN"):
        setting = f"INCAMERA_RUN={run}"
        for name in os.listdir("/proc"):
            if name.isdigit() and setting in read_text(f"/proc/{name}/environ").split("\0"):
                send_signal([int(name)], signal.SIGKILL)
