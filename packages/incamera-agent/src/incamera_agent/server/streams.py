"""The standard streams of a run: what the app prints is passed on as fast as it is taken, and what it is given, too."""

from __future__ import annotations

import fcntl
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple

    from incamera_agent.wire.connection import Peer
    from incamera_agent.wire.frames import Message
    from incamera_agent.wire.loop import Loop

_CHUNK = 1 << 16
# Input that the app hasn't taken: the host keeps to less, so more is a mistake of its.
MAXIMUM_INPUT_BYTES = 1 << 20


class Streams:
    """*host* hears what the app prints, and what it has taken; *run* is its name."""

    def __init__(self, loop: Loop, host: Peer, run: str) -> None:
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
        """Return the app's ends: standard input, output and error."""
        if terminal:
            self._terminal, slave = os.openpty()
            self.resize(int(terminal.get("columns") or 80), int(terminal.get("rows") or 24))
            theirs = [slave, os.dup(slave), os.dup(slave)]
            self._input = self._terminal
            self._outputs[self._terminal] = "stdout"
            os.set_blocking(self._terminal, False)
        else:
            (stdin, self._input), (out, stdout), (err, stderr) = _make_pipes(3)
            theirs = [stdin, stdout, stderr]
            self._outputs = {out: "stdout", err: "stderr"}
            for descriptor in (self._input, out, err):
                os.set_blocking(descriptor, False)
        self._host.on_room.append(self._rewatch)
        self._rewatch()
        return theirs

    def feed(self, payload: bytes) -> bool:
        """Give the app something to read, or the end of it. Returns whether there is room for it."""
        if self._input < 0 or self._input_ends:
            return True  # nobody will read it; whoever sends shall keep the rest for the next run
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

    def drain(self, on_drained: Callable[[], None]) -> None:
        """Nothing of the run is alive: call *on_drained* when all that it printed is on its way."""
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
        if self._rewatch in self._host.on_room:
            self._host.on_room.remove(self._rewatch)

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
            self._host.send({"type": "taken", "run": self._run, "size": size})

    def _close_input(self) -> None:
        if self._input >= 0 and self._terminal < 0:
            self._loop.watch(self._input)
            os.close(self._input)
        self._input = -1


def _make_pipes(count: int) -> List[Tuple[int, int]]:
    """Return so many, or none. Raises OSError."""
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
