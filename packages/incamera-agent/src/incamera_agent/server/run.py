"""One run of the app, as the agent sees it: its processes, its memory, its end."""

from __future__ import annotations

import _socket as socket
import os
import signal
import time

from incamera_agent.processes import (
    count_kernel_kills,
    fair_bytes,
    find_family,
    list_processes,
    resident_bytes,
    send_signal,
)
from incamera_agent.server.streams import Streams
from incamera_agent.wire.connection import Peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional, Set

    from incamera_agent.server.forkserver import Warm
    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import Loop, Timer

_WATCH_SECONDS = 0.05
# What the app leaves behind may end by itself for so long.
_LINGER_SECONDS = 0.5
_POLL_SECONDS = 0.03


class Run:
    """*host* is who started it; *on_exit* is called once, when nothing of the run is left and all it printed is told.

    *adopts* says of a child of the agent's whether it is an orphan of this run.
    """

    def __init__(
        self,
        loop: Loop,
        host: Peer,
        request: Message,
        *,
        adopts: Callable[[Run, int], bool],
        on_exit: Callable[[Run], None],
    ) -> None:
        self.name: str = request["run"]
        self.request = request
        self.streams = Streams(loop, host, self.name)
        self.pid = 0
        self.warm = True
        self.why_cold: Optional[str] = None
        self.listens = False  # it has imported `reloading`
        self.reloading: Optional[Message] = None
        self.orders = 0  # to load new code, so far
        self.patience: Optional[Timer] = None  # for how long it may take to return
        self.inside: Optional[Peer] = None
        self.exited: Optional[Message] = None
        self.status: Optional[int] = None
        self.again: Optional[Message] = None  # the request that it is started with once more
        self.origin: Optional[Warm] = None  # the process that it is a fork of, or is to be
        self.start = 0  # which one this is of all starts
        self._loop = loop
        self._adopts = adopts
        self._on_exit = on_exit
        self._limit: Optional[int] = request.get("memory_limit")
        self._began = time.monotonic()
        self._kernel_kills = count_kernel_kills()
        self._peak = 0
        self._reason: Optional[str] = None
        self._killed = 0
        self._asked_to_stop = False
        self._grace = 3.0
        self._kill_at = 0.0
        self._ending: Optional[Timer] = None
        self._limit_timer: Optional[Timer] = None

    # Beginning

    def open_streams(self, on_inside: Callable[[Run, Message, bytes], None]) -> List[int]:
        """Return what the app gets: standard input, output, error, and its line to us."""
        ours, line = socket.socketpair()
        theirs = self.streams.open(self.request.get("terminal"))
        inside = ours.detach()
        self.inside = Peer(
            self._loop,
            inside,
            inside,
            lambda _peer, message, payload: on_inside(self, message, payload),
            lambda _peer, _why: None,
        )
        return [*theirs, line.detach()]

    def begun(self, pid: int) -> None:
        self.pid = pid
        if self._limit:
            self._limit_timer = self._loop.after(_WATCH_SECONDS, self._watch_limit)
        if self._asked_to_stop:
            self.stop(self._grace)

    def failed(self) -> None:
        """It could not be started."""
        self._finish(None)

    # Meanwhile

    def signal(self, number: int) -> None:
        """Send it to the app's own group of processes, as a terminal does; SIGKILL to all that there is."""
        if self.exited is None and self.pid:
            if number == signal.SIGKILL:
                self._killed_by_us()
                send_signal(self._family(), number)
            else:
                try:
                    os.killpg(self.pid, number)
                except OSError:
                    send_signal([self.pid], number)

    def stop(self, grace: float) -> None:
        """End it and all that it has begun."""
        self._asked_to_stop = True
        self._grace = grace
        self._reason = self._reason or "stopped"
        self._kill_at = time.monotonic() + grace
        if self.pid and self.status is None:
            self._end_family(self._kill_at)

    def measure(self) -> int:
        family = self._family()
        self._peak = max(self._peak, resident_bytes(self.pid))
        return sum(fair_bytes(pid) for pid in family)

    @property
    def peak(self) -> int:
        return self._peak

    # The end

    def ended(self, status: int, peak: int) -> None:
        """The app's first process has ended."""
        if self.status is not None:
            return
        self.status = status
        self._peak = max(self._peak, peak)
        if self._limit_timer is not None:
            self._limit_timer.cancel()
        if self._reason is None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            kills = count_kernel_kills()
            if kills is not None and self._kernel_kills is not None and kills > self._kernel_kills:
                self._reason = "out-of-memory"
        now = time.monotonic()
        if self._asked_to_stop or self._reason == "memory-limit":
            self._end_family(self._kill_at)
        elif self._family():
            self._ending = self._loop.after(_POLL_SECONDS, lambda: self._linger(now + _LINGER_SECONDS))
        else:
            self._drain()

    def _linger(self, limit: float) -> None:
        if not self._family():
            self._drain()
        elif time.monotonic() < limit:
            self._ending = self._loop.after(_POLL_SECONDS, lambda: self._linger(limit))
        else:
            self._end_family(time.monotonic() + self._grace)

    def _end_family(self, kill_at: float) -> None:
        """Ask all processes to end, and kill those that haven't by then."""
        if self._ending is not None:
            self._ending.cancel()
        family = self._family()
        send_signal(family, signal.SIGTERM)
        send_signal(family, signal.SIGCONT)  # a stopped process hears nothing else
        self._await_end(family, kill_at)

    def _await_end(self, family: Set[int], kill_at: float) -> None:
        if self.status is not None:
            self._killed = max(self._killed, len(family))
            if not family:
                self._drain()
                return
        if time.monotonic() >= kill_at:
            send_signal(family, signal.SIGKILL)
        self._ending = self._loop.after(_POLL_SECONDS, lambda: self._await_end(self._family(), kill_at))

    def _family(self) -> Set[int]:
        """All processes of the run."""
        table = list_processes()
        me = os.getpid()
        roots = {self.pid} if self.status is None else set()
        roots |= {process.pid for process in table if process.parent == me and self._adopts(self, process.pid)}
        return find_family(table, roots, {self.pid})

    def _drain(self) -> None:
        """Nothing of the run is alive; what it printed last is still on its way."""
        self._ending = None
        self.streams.drain(lambda: self._finish(self.status))

    def _finish(self, status: Optional[int]) -> None:
        if self.exited is not None:
            return
        self.streams.close()
        if self._limit_timer is not None:
            self._limit_timer.cancel()
        if self.inside is not None:
            self.inside.close()
        code = os.waitstatus_to_exitcode(status) if status is not None else None
        self.exited = {
            "type": "exited",
            "run": self.name,
            "code": code if code is None or code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "seconds": round(time.monotonic() - self._began, 3),
            "peak": self._peak,
            "killed": self._killed,
            "reason": self._reason,
        }
        self._on_exit(self)

    # Memory

    def _watch_limit(self) -> None:
        self._limit_timer = None
        if self.status is not None or not self._limit:
            return
        used = resident_bytes(self.pid)
        self._peak = max(self._peak, used)
        if used > self._limit:
            self._reason = "memory-limit"
            send_signal(self._family(), signal.SIGKILL)
        else:
            self._limit_timer = self._loop.after(_WATCH_SECONDS, self._watch_limit)

    def _killed_by_us(self) -> None:
        self._reason = self._reason or "stopped"
