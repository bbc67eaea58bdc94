"""One run of the app, as the agent sees it: its processes, its memory, its end."""

from __future__ import annotations

import _socket as socket
import os
import signal
import time

from incamera_agent import processes
from incamera_agent.processes import (
    count_oom_kills,
    find_descendants,
    find_process,
    list_children,
    list_processes,
    proportional_bytes,
    resident_bytes,
    send_signal,
    walk_descendants,
)
from incamera_agent.server.streams import Streams
from incamera_agent.wire.connection import Connection
from incamera_agent.wire.protocol import EndReason, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional, Set

    from incamera_agent.server.forkserver import ForkServer
    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import EventLoop, Timer

_LIMIT_SECONDS = 0.05
# How long processes that the app leaves behind may go on before they are told to end.
_LINGER_SECONDS = 0.5
_POLL_SECONDS = 0.03
_DEFAULT_GRACE_SECONDS = 3.0
# The longest answer of an app: the stacks of hundreds of threads.
_MAXIMUM_CONTROL_BYTES = 4 << 20


class Run:
    """The run that *request* asks for.

    *host* is sent what it prints. *owns_orphan* is called with the run and the number of a child that the agent has
    adopted, and returns whether it belongs to the run. *on_exit* is called once, when no process of the run is left and
    everything it printed has been sent.
    """

    def __init__(
        self,
        loop: EventLoop,
        host: Connection,
        request: Message,
        *,
        owns_orphan: Callable[[Run, int], bool],
        on_exit: Callable[[Run], None],
    ) -> None:
        self.name: str = request["run"]
        self.request = request
        self.streams = Streams(loop, host, self.name)
        self.pid = 0
        self.start_number = 0
        """Which of all the agent's starts this is."""
        self.cold_reason: Optional[str] = None
        """Why it is not a fork; None when it is."""
        self.fork_server: Optional[ForkServer] = None
        """Whose fork it is, or is to be."""
        self.control: Optional[Connection] = None
        self.supports_reload = False
        """The app has imported `reloading`."""
        self.reload_request: Optional[Message] = None
        """The reload that the app has been asked for and has not done yet."""
        self.reload_count = 0
        self.reload_timer: Optional[Timer] = None
        self.next_request: Optional[Message] = None
        """The run to start when this one has ended."""
        self.status: Optional[int] = None
        """The wait status of the app's first process, None while it runs."""
        self.exited: Optional[Message] = None
        """What the host is told of the end; set when the run is over."""
        self.peak = 0
        """The most memory that the app's first process had, in bytes."""
        self._loop = loop
        self._owns_orphan = owns_orphan
        self._on_exit = on_exit
        self._limit: Optional[int] = request.get("memory_limit")
        self._started = time.monotonic()
        self._oom_kills = count_oom_kills()
        self._reason: Optional[str] = None
        self._killed = 0
        self._stopping = False
        self._grace = _DEFAULT_GRACE_SECONDS
        self._kill_at = 0.0
        self._end_timer: Optional[Timer] = None
        self._limit_timer: Optional[Timer] = None

    # The start

    def open_streams(self, on_control: Callable[[Run, Message, bytes], None]) -> List[int]:
        """Return what the app's process gets: standard input, output, error, and its control connection.

        *on_control* is called with what it sends over that. Raises OSError.
        """
        ours, theirs = socket.socketpair()
        app_ends = self.streams.open(self.request.get("terminal"))
        control = ours.detach()
        self.control = Connection(
            self._loop,
            control,
            control,
            lambda _connection, message, payload: on_control(self, message, payload),
            lambda _connection, _reason: None,
            maximum_json=_MAXIMUM_CONTROL_BYTES,
        )
        self.control.greeted = True
        return [*app_ends, theirs.detach()]

    def process_started(self, pid: int) -> None:
        self.pid = pid
        if self._limit:
            self._limit_timer = self._loop.call_later(_LIMIT_SECONDS, self._check_limit)
        if self._stopping:
            self.stop(self._grace)

    def start_failed(self) -> None:
        self._finish(None)

    # Meanwhile

    def signal(self, number: int) -> None:
        """Send a signal to the app's process group, as a terminal does; SIGKILL to all processes of the run."""
        if self.exited is None and self.pid:
            if number == signal.SIGKILL:
                self._reason = self._reason or EndReason.STOPPED
                send_signal(self._list_processes(), number)
            else:
                try:
                    os.killpg(self.pid, number)
                except OSError:
                    send_signal([self.pid], number)

    def stop(self, grace: float) -> None:
        """End all processes of the run: SIGTERM now, SIGKILL after *grace* seconds."""
        self._stopping = True
        self._grace = grace
        self._reason = self._reason or EndReason.STOPPED
        self._kill_at = time.monotonic() + grace
        if self.pid and self.status is None:
            self._end_processes(self._kill_at)

    def measure(self) -> int:
        """Return the memory of all its processes in bytes, shared pages divided among their users."""
        self.peak = max(self.peak, resident_bytes(self.pid))
        return sum(proportional_bytes(pid) for pid in self._list_processes())

    # The end

    def process_ended(self, status: int, peak: int) -> None:
        """Handle the end of the app's first process: its wait status, and the most memory it had in bytes."""
        if self.status is not None:
            return
        if self.control is not None:
            self.control.read_rest()  # it may have done a reload before its end
        self.status = status
        self.peak = max(self.peak, peak)
        if self._limit_timer is not None:
            self._limit_timer.cancel()
        if self._reason is None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            kills = count_oom_kills()
            if kills is not None and self._oom_kills is not None and kills > self._oom_kills:
                self._reason = EndReason.OUT_OF_MEMORY
        now = time.monotonic()
        if self._stopping or self._reason == EndReason.MEMORY_LIMIT:
            self._end_processes(self._kill_at)
        elif self._list_processes():
            self._end_timer = self._loop.call_later(_POLL_SECONDS, lambda: self._linger(now + _LINGER_SECONDS))
        else:
            self._drain()

    def _linger(self, deadline: float) -> None:
        if not self._list_processes():
            self._drain()
        elif time.monotonic() < deadline:
            self._end_timer = self._loop.call_later(_POLL_SECONDS, lambda: self._linger(deadline))
        else:
            self._end_processes(time.monotonic() + self._grace)

    def _end_processes(self, kill_at: float) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
        pids = self._list_processes()
        send_signal(pids, signal.SIGTERM)
        send_signal(pids, signal.SIGCONT)  # a stopped process gets SIGTERM only when it goes on
        self._await_end(pids, kill_at)

    def _await_end(self, pids: Set[int], kill_at: float) -> None:
        if self.status is not None:
            self._killed = max(self._killed, len(pids))
            if not pids:
                self._drain()
                return
        if time.monotonic() >= kill_at:
            send_signal(pids, signal.SIGKILL)
        self._end_timer = self._loop.call_later(_POLL_SECONDS, lambda: self._await_end(self._list_processes(), kill_at))

    def _list_processes(self) -> Set[int]:
        """Return the numbers of all processes of the run."""
        agent = os.getpid()
        roots = {self.pid} if self.status is None else set()
        if processes.KERNEL_LISTS_CHILDREN:
            # What has lost its parent is the agent's child.
            adopted = filter(None, map(find_process, list_children(agent)))
            roots |= {child.pid for child in adopted if child.session == self.pid or self._owns_orphan(self, child.pid)}
            return walk_descendants(roots)
        table = list_processes()
        roots |= {process.pid for process in table if process.parent == agent and self._owns_orphan(self, process.pid)}
        return find_descendants(table, roots, {self.pid})

    def _drain(self) -> None:
        self._end_timer = None
        self.streams.drain(lambda: self._finish(self.status))

    def _finish(self, status: Optional[int]) -> None:
        if self.exited is not None:
            return
        self.streams.close()
        if self._limit_timer is not None:
            self._limit_timer.cancel()
        if self.control is not None:
            self.control.close()
        code = os.waitstatus_to_exitcode(status) if status is not None else None
        self.exited = {
            "type": Event.EXITED,
            "run": self.name,
            "code": code if code is None or code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "seconds": round(time.monotonic() - self._started, 3),
            "peak": self.peak,
            "killed": self._killed,
            "reason": self._reason,
        }
        self._on_exit(self)

    # The memory limit

    def _check_limit(self) -> None:
        self._limit_timer = None
        if self.status is not None or not self._limit:
            return
        used = resident_bytes(self.pid)
        self.peak = max(self.peak, used)
        if used > self._limit:
            self._reason = EndReason.MEMORY_LIMIT
            send_signal(self._list_processes(), signal.SIGKILL)
        else:
            self._limit_timer = self._loop.call_later(_LIMIT_SECONDS, self._check_limit)
