"""One run of the app, as the agent sees it: its streams, its processes, its memory, its end."""

from __future__ import annotations

import _socket as socket
import fcntl
import os
import signal
import sys
import time

from .peer import Peer
from .processes import (
    count_kernel_kills,
    fair_bytes,
    find_family,
    list_processes,
    resident_bytes,
    send_signal,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Set

    from .frames import Message
    from .loop import Loop, Timer

_CHUNK = 1 << 16
# Input that the app hasn't taken: the host keeps to less, so more is a mistake of its.
MAXIMUM_INPUT_BYTES = 1 << 20
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
        self.pid = 0
        self.warm = True
        self.why_cold: Optional[str] = None
        self.listens = False  # it has imported `reloading`
        self.reloading: Optional[Message] = None
        self.inside: Optional[Peer] = None
        self.exited: Optional[Message] = None
        self.status: Optional[int] = None
        self.again: Optional[Message] = None  # the request that it is started with once more
        self._loop = loop
        self._host = host
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
        self._outputs: Dict[int, str] = {}
        self._input = -1
        self._input_queue = bytearray()
        self._input_ends = False
        self._terminal = -1
        self._ending: Optional[Timer] = None
        self._draining = False
        self._limit_timer: Optional[Timer] = None

    # Beginning

    def open_streams(self, on_inside: Callable[[Run, Message, bytes], None]) -> List[int]:
        """Return what the app gets: standard input, output, error, and its line to us."""
        terminal = self.request.get("terminal")
        if terminal:
            self._terminal, slave = os.openpty()
            self.resize(int(terminal.get("columns") or 80), int(terminal.get("rows") or 24))
            theirs = [slave, os.dup(slave), os.dup(slave)]
            self._input = self._terminal
            self._outputs[self._terminal] = "stdout"
            os.set_blocking(self._terminal, False)
        else:
            stdin, self._input = os.pipe()
            out, stdout = os.pipe()
            err, stderr = os.pipe()
            theirs = [stdin, stdout, stderr]
            self._outputs = {out: "stdout", err: "stderr"}
            for descriptor in (self._input, out, err):
                os.set_blocking(descriptor, False)
        ours, line = socket.socketpair()
        inside = ours.detach()
        self.inside = Peer(
            self._loop,
            inside,
            inside,
            lambda _peer, message, payload: on_inside(self, message, payload),
            lambda _peer, _why: None,
        )
        self._host.on_room.append(self._rewatch)
        self._rewatch()
        return [*theirs, line.detach()]

    def begun(self, pid: int) -> None:
        self.pid = pid
        if self._limit:
            self._limit_timer = self._loop.after(_WATCH_SECONDS, self._watch_limit)

    def failed(self) -> None:
        """It could not be started."""
        self._finish(None)

    # Meanwhile

    def feed(self, payload: bytes) -> bool:
        """Give the app something to read, or the end of it. Returns whether there is room for it."""
        if self._input < 0 or self._input_ends:
            self._taken(len(payload))  # nobody will read it
            return True
        if len(self._input_queue) + len(payload) > MAXIMUM_INPUT_BYTES:
            return False
        if payload:
            self._input_queue += payload
        else:
            self._input_ends = True
        self._write_input()
        return True

    def resize(self, columns: int, rows: int) -> None:
        if self._terminal >= 0:
            import termios

            size = b"".join(number.to_bytes(2, sys.byteorder) for number in (rows, columns, 0, 0))
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

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
        if not self._outputs:
            self._finish(self.status)
            return
        self._draining = True
        for descriptor in list(self._outputs):
            self._read(descriptor)
        if not self._outputs:
            self._finish(self.status)

    def _finish(self, status: Optional[int]) -> None:
        if self.exited is not None:
            return
        for descriptor in list(self._outputs):
            self._close_output(descriptor)
        self._close_input()
        if self._limit_timer is not None:
            self._limit_timer.cancel()
        if self.inside is not None:
            self.inside.close()
        if self._rewatch in self._host.on_room:
            self._host.on_room.remove(self._rewatch)
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

    # Streams

    def _rewatch(self) -> None:
        for descriptor in list(self._outputs):
            self._watch_output(descriptor)

    def _watch_output(self, descriptor: int) -> None:
        read: Any = None if self._host.full else lambda: self._read(descriptor)
        write = self._write_input if descriptor == self._input and self._input_queue else None
        self._loop.watch(descriptor, read=read, write=write)

    def _read(self, descriptor: int) -> None:
        while descriptor in self._outputs and not self._host.full:
            try:
                data = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                # While it lives there may be more; when it is gone, somebody else holds the other end.
                if self._draining:
                    self._close_output(descriptor)
                break
            except OSError:  # a terminal that nobody has open any more
                data = b""
            if not data:
                self._close_output(descriptor)
                break
            self._host.send({"type": self._outputs[descriptor], "run": self.name}, data)
            if not self._draining:
                break
        if descriptor in self._outputs:
            self._watch_output(descriptor)
        elif self._draining and not self._outputs:
            self._finish(self.status)

    def _close_output(self, descriptor: int) -> None:
        del self._outputs[descriptor]
        if descriptor == self._input:
            self._input = -1
        self._loop.watch(descriptor)
        os.close(descriptor)

    def _write_input(self) -> None:
        taken = 0
        try:
            while self._input_queue:
                with memoryview(self._input_queue) as view:
                    written = os.write(self._input, view[:_CHUNK])
                del self._input_queue[:written]
                taken += written
        except BlockingIOError:
            pass
        except OSError:  # it reads no more
            taken += len(self._input_queue)
            self._input_queue.clear()
            self._input_ends = True
        if taken:
            self._taken(taken)
        if self._terminal >= 0:
            if self._input_ends and not self._input_queue and self._input >= 0:
                self._input_ends = False
                self._input_queue += b"\x04"  # what a terminal has in place of an end
            if self._input in self._outputs:
                self._watch_output(self._input)
        elif self._input_queue:
            self._loop.watch(self._input, write=self._write_input)
        else:
            self._loop.watch(self._input)
            if self._input_ends:
                self._close_input()

    def _taken(self, size: int) -> None:
        if size:
            self._host.send({"type": "taken", "run": self.name, "size": size})

    def _close_input(self) -> None:
        if self._input >= 0 and self._terminal < 0:
            self._loop.watch(self._input)
            os.close(self._input)
        self._input = -1

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
