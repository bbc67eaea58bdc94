"""A TCP line that a test can cut or freeze."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from ..waiting import PATIENCE_SECONDS


class Line:
    """Forwards connections from `port` on loopback to *port*, each piece so many seconds later.

    `sent` counts the bytes that went there, `turns` how often something came back after something was sent.
    """

    def __init__(self, port: int, *, delay: float = 0.0) -> None:
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._cut_at: int | None = None
        self._frozen = threading.Event()
        self._flowing = threading.Event()
        self._flowing.set()
        self.sent = self.turns = 0
        self._delay = delay
        self._spoke = False
        self._start(self._accept)

    def cut_after(self, count: int | None) -> None:
        """Cut the line after *count* more bytes; with None, don't."""
        self._cut_at = None if count is None else self.sent + count

    def cut(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Forward nothing any more, without closing, as when a cable is pulled."""
        self._frozen.set()

    def pause(self) -> None:
        """Hold back what comes until `resume`, as in an outage of the network."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self.resume()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        for end in (*self._ends, self._server):
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._server.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [here, there]
                self._start(self._carry, here, there, True)
                self._start(self._carry, there, here, False)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                if self._frozen.is_set():
                    return
                if counted:
                    self._spoke = True
                time.sleep(self._delay)
                if not counted:
                    self.turns += self._spoke
                    self._spoke = False
                if counted:
                    self.sent += len(data)
                    if self._cut_at is not None and self.sent > self._cut_at:
                        self.cut()
                        return
                sink.sendall(data)
        if not self._frozen.is_set():
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
