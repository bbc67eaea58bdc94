"""A port of this computer at which a server of a virtual camera is reached.

It belongs to the supervisor, which passes all data on to QEMU. So the port stays the same when the camera restarts,
a connection can wake a paused camera, and the supervisor knows whether the camera has connections.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from contextlib import suppress

_CHUNK = 1 << 17
_MOST_CONNECTIONS = 200
# QEMU lets no more connections than these wait until it accepts them. Linux loses others that come at the same time:
# they are answered seconds later, or never, where the camera's server would speak first.
_MOST_UNANSWERED = 2
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _End:
    """One of the two sockets of a connection.

    `unsent`: what came from the other socket, and this one has yet to send. `is_read`: nothing more will come from it.
    `is_shut`: nothing more will be sent. `is_connecting`: TCP has not connected it yet. `is_unanswered`: the server of
    the camera, which speaks first, has not spoken on it yet.
    """

    __slots__ = ("descriptor", "is_connecting", "is_read", "is_shut", "is_unanswered", "other", "socket", "unsent")

    def __init__(self, connection: socket.socket, *, is_connecting: bool = False) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self.descriptor = connection.fileno()
        self.other = self
        self.unsent = memoryview(b"")
        self.is_read = self.is_shut = False
        self.is_connecting = self.is_unanswered = is_connecting

    @property
    def can_receive(self) -> bool:
        return not (self.is_read or self.is_connecting or self.other.is_connecting or self.other.unsent)


class CameraPort:
    """A listening port of 127.0.0.1. While it is closed, connections wait. `last_use`: as `time.monotonic` counts.

    *speaks_first*: the camera's server does, as those for SSH do.
    """

    def __init__(self, *, speaks_first: bool = True) -> None:
        self._speaks_first = speaks_first
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._target: int | None = None
        self._ends: dict[int, _End] = {}
        self.last_use = time.monotonic()

    @property
    def number(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def has_connections(self) -> bool:
        return bool(self._ends)

    def fileno(self) -> int:
        """The descriptor that can be read when a connection waits."""
        return self._listener.fileno()

    def open(self, target: int) -> None:
        """Pass connections on to the port *target*."""
        self._target = target
        self.last_use = time.monotonic()

    def close(self) -> None:
        """Let new connections wait, and end the others."""
        self._target = None
        for end in list(self._ends.values()):
            if end.descriptor in self._ends:
                self._end(end)

    def release(self) -> None:
        """End all connections and give the port back."""
        self.close()
        self._listener.close()

    def register(self, poll: select.poll) -> None:
        """Register what `handle` waits for."""
        if self._target is not None and self._can_accept:
            poll.register(self._listener, select.POLLIN)
        for descriptor, end in self._ends.items():
            wanted = select.POLLOUT if end.unsent or end.is_connecting else 0
            if end.can_receive:
                wanted |= select.POLLIN
            if wanted:
                poll.register(descriptor, wanted)

    def handle(self, descriptor: int) -> bool:
        """Do what can be done with a *descriptor* that is ready. Returns False when it belongs to others."""
        if descriptor == self._listener.fileno():
            self._accept()
        elif (end := self._ends.get(descriptor)) is not None:
            self._pass_on(end)
        else:
            return False
        return True

    @property
    def _can_accept(self) -> bool:
        # One whose caller has hung up may never be answered, and must not keep others waiting.
        unanswered = sum(end.is_unanswered and not end.other.is_read for end in self._ends.values())
        return unanswered < _MOST_UNANSWERED and len(self._ends) < 2 * _MOST_CONNECTIONS

    def _accept(self) -> None:
        try:
            caller, _ = self._listener.accept()
        except OSError:  # hung up in the meantime
            return
        # The supervisor must not wait for QEMU here: it has more to do.
        target = socket.socket()
        target.setblocking(False)
        target.connect_ex(("127.0.0.1", self._target or 0))
        one, two = _End(caller), _End(target, is_connecting=True)
        two.is_unanswered = self._speaks_first
        one.other, two.other = two, one
        self._ends |= {one.descriptor: one, two.descriptor: two}

    def _pass_on(self, end: _End) -> None:
        if end.is_connecting:
            if end.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._end(end)
            else:
                end.is_connecting = False
            return
        try:
            self._send(end)
            if end.can_receive:
                self._receive(end)
        except OSError:
            self._end(end, reset=True)
            return
        if end.is_shut and end.other.is_shut:
            self._end(end)

    def _receive(self, end: _End) -> None:
        try:
            data = end.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        end.is_read = not data
        end.is_unanswered = False
        end.other.unsent = memoryview(data)
        self._send(end.other)

    def _send(self, end: _End) -> None:
        with suppress(BlockingIOError):
            if end.unsent:
                end.unsent = end.unsent[end.socket.send(end.unsent) :]
            if end.other.is_read and not end.unsent and not end.is_shut:
                end.is_shut = True
                end.socket.shutdown(socket.SHUT_WR)

    def _end(self, end: _End, *, reset: bool = False) -> None:
        for one in (end, end.other):
            if reset:
                with suppress(OSError):
                    one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._ends.pop(one.descriptor, None)
            one.socket.close()
        self.last_use = time.monotonic()
