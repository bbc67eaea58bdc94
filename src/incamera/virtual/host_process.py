"""What a process at the host's end of a line to a virtual camera (`host_line.py`) has: the line, and limits."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TOKEN = 8


class Gone(Exception):
    """The other side has closed the line, or speaks another language."""


class Line:
    """The line, as what sends and receives whole messages. Raises Gone."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def greet(self, greeting: bytes) -> None:
        """Wait until the other side greets, and answer."""
        seen = b""
        while not seen.endswith(greeting):
            seen = (seen + self.receive(1))[-len(greeting) :]
        self.send(greeting, self.receive(_TOKEN))

    def receive_head(self, size: int, greeting: bytes) -> bytearray:
        """Return the first *size* bytes of a request. Further greetings are answered: no answer to the earlier ones was
        waited for, as another process had them.
        """
        while True:
            head = self.receive(min(size, len(greeting)))
            if not greeting.startswith(head):
                return head + self.receive(size - len(head))
            if self.receive(len(greeting) - len(head)) != greeting[len(head) :]:
                raise Gone
            self.send(greeting, self.receive(_TOKEN))

    def receive(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            try:
                count = self._connection.recv_into(view)
            except ConnectionError:
                count = 0
            if not count:
                raise Gone
            view = view[count:]
        return data

    def send(self, *parts: bytes | bytearray) -> None:
        try:
            for part in parts:
                self._connection.sendall(part)
        except ConnectionError:
            raise Gone from None


def own_line() -> Line:
    """Return the line of this process, which is its standard input."""
    connection = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    connection.setblocking(True)
    return Line(connection)


def limit(what: int, most: int) -> None:
    """Let this process have no more than *most* of *what*, one of the module resource."""
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """The kernel ends the process when the block takes longer: a library in C cannot be interrupted otherwise."""
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
