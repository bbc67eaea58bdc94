"""The standard streams of a run: passes on what the app prints, as fast as the host takes it, and the app's input."""

from __future__ import annotations

import fcntl
import os
import sys

from incamera_agent.wire.protocol import MAXIMUM_INPUT_BYTES, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple

    from incamera_agent.wire.connection import Connection
    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import EventLoop

_CHUNK_BYTES = 1 << 16


class Streams:
    """*host* is sent what the app prints, and how much input it has consumed. *run* is the run's name."""

    def __init__(self, loop: EventLoop, host: Connection, run: str) -> None:
        self._loop = loop
        self._host = host
        self._run = run
        self._outputs: Dict[int, str] = {}
        self._input = -1
        self._input_queue = bytearray()
        self._input_ends = False
        self._terminal = -1
        self._on_drained: Optional[Callable[[], None]] = None

    def open(self, terminal: Optional[Message]) -> List[int]:
        """Return the app's ends of standard input, output and error: of three pipes, or of a terminal.

        *terminal* has `columns` and `rows`. Raises OSError.
        """
        if terminal:
            self._terminal, app_end = os.openpty()
            self.resize(int(terminal.get("columns") or 80), int(terminal.get("rows") or 24))
            app_ends = [app_end, os.dup(app_end), os.dup(app_end)]
            self._input = self._terminal
            self._outputs[self._terminal] = Event.STDOUT
            os.set_blocking(self._terminal, False)
        else:
            (stdin, self._input), (out, stdout), (err, stderr) = _make_pipes(3)
            app_ends = [stdin, stdout, stderr]
            self._outputs = {out: Event.STDOUT, err: Event.STDERR}
            for descriptor in (self._input, out, err):
                os.set_blocking(descriptor, False)
        self._host.on_drained.append(self._update_watch)
        self._update_watch()
        return app_ends

    def write_input(self, payload: bytes) -> bool:
        """Give the app input, or its end when *payload* is empty. Return False when there is no room for it."""
        if self._input < 0 or self._input_ends:
            return True  # nobody will read it; without `consumed`, the host keeps the rest for the next run
        if len(self._input_queue) + len(payload) > MAXIMUM_INPUT_BYTES:
            return False
        if payload:
            self._input_queue += payload
        else:
            self._input_ends = True
        self._write_queue()
        return True

    def resize(self, columns: int, rows: int) -> None:
        if self._terminal >= 0:
            import termios

            size = b"".join(number.to_bytes(2, sys.byteorder) for number in (rows, columns, 0, 0))
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    def drain(self, on_drained: Callable[[], None]) -> None:
        """Call *on_drained* when everything that the app printed has been sent. All its processes have ended."""
        if not self._outputs:
            on_drained()
            return
        self._on_drained = on_drained
        for descriptor in list(self._outputs):
            self._read(descriptor)

    def close(self) -> None:
        for descriptor in list(self._outputs):
            self._close_output(descriptor)
        self._close_input()
        if self._update_watch in self._host.on_drained:
            self._host.on_drained.remove(self._update_watch)

    def _update_watch(self) -> None:
        for descriptor in list(self._outputs):
            self._watch_output(descriptor)

    def _watch_output(self, descriptor: int) -> None:
        read: Any = None if self._host.full else lambda: self._read(descriptor)
        write = self._write_queue if descriptor == self._input and self._input_queue else None
        self._loop.watch(descriptor, read=read, write=write)

    def _read(self, descriptor: int) -> None:
        while descriptor in self._outputs and not self._host.full:
            try:
                data = os.read(descriptor, _CHUNK_BYTES)
            except BlockingIOError:
                # Nothing more for now. After the end of the run's processes, whoever else has the other end open is not
                # waited for.
                if self._on_drained is not None:
                    self._close_output(descriptor)
                break
            except OSError:  # a terminal that nobody has open any more
                data = b""
            if not data:
                self._close_output(descriptor)
                break
            self._host.send({"type": self._outputs[descriptor], "run": self._run}, data)
            if self._on_drained is None:
                break
        if descriptor in self._outputs:
            self._watch_output(descriptor)
        elif self._on_drained is not None and not self._outputs:
            call, self._on_drained = self._on_drained, None
            call()

    def _close_output(self, descriptor: int) -> None:
        del self._outputs[descriptor]
        if descriptor == self._input:
            self._input = -1
        self._loop.watch(descriptor)
        os.close(descriptor)

    def _write_queue(self) -> None:
        consumed = 0
        try:
            while self._input_queue:
                with memoryview(self._input_queue) as view:
                    written = os.write(self._input, view[:_CHUNK_BYTES])
                del self._input_queue[:written]
                consumed += written
        except BlockingIOError:
            pass
        except OSError:  # the app reads no more
            self._input_queue.clear()
            self._input_ends = True
        if consumed:
            self._host.send({"type": Event.CONSUMED, "run": self._run, "size": consumed})
        if self._terminal >= 0:
            if self._input_ends and not self._input_queue and self._input >= 0:
                self._input_ends = False
                self._input_queue += b"\x04"  # Ctrl-D, which is how a terminal ends the input
            if self._input in self._outputs:
                self._watch_output(self._input)
        elif self._input_queue:
            self._loop.watch(self._input, write=self._write_queue)
        else:
            self._loop.watch(self._input)
            if self._input_ends:
                self._close_input()

    def _close_input(self) -> None:
        if self._input >= 0 and self._terminal < 0:
            self._loop.watch(self._input)
            os.close(self._input)
        self._input = -1


def _make_pipes(count: int) -> List[Tuple[int, int]]:
    """Return *count* pipes. Raises OSError, and leaves none open then."""
    pipes: List[Tuple[int, int]] = []
    try:
        while len(pipes) < count:
            pipes.append(os.pipe())
    except OSError:
        for ends in pipes:
            for end in ends:
                os.close(end)
        raise
    return pipes
