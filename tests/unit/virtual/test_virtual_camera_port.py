"""The port through which a server of a virtual camera is reached, in front of a server of this process."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

import pytest
from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera.virtual.camera_port import CameraPort


@pytest.fixture
def port() -> Iterator[CameraPort]:
    """A port that a thread serves, as the supervisor does."""
    port, ended = CameraPort(), threading.Event()

    def serve() -> None:
        while not ended.is_set():
            poll = select.poll()
            port.register(poll)
            for descriptor, _ in poll.poll(1):
                port.handle(descriptor)

    thread = threading.Thread(target=serve)
    thread.start()
    yield port
    ended.set()
    thread.join()
    port.release()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_SECONDS)
        yield server


def call(port: CameraPort) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port.number), timeout=PATIENCE_SECONDS)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while data := connection.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)


def test_data_passes_both_ways_until_both_sides_have_ended(port: CameraPort, server: socket.socket) -> None:
    port.open(server.getsockname()[1])
    sent = bytes(range(256)) * 40_000  # more than all buffers hold

    def echo() -> None:
        remote, _ = server.accept()
        with remote:
            remote.sendall(read_all(remote) + b" and an answer after the end")

    thread = threading.Thread(target=echo)
    thread.start()
    with call(port) as connection:
        connection.sendall(sent)
        assert port.has_connections
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == sent + b" and an answer after the end"
    thread.join()
    wait_until(lambda: not port.has_connections, "the connection is forgotten")


def test_slow_reader_stops_the_sender(port: CameraPort, server: socket.socket) -> None:
    port.open(server.getsockname()[1])
    with call(port) as connection:
        remote, _ = server.accept()
        connection.settimeout(0.5)
        with remote, contextlib.suppress(TimeoutError):
            for _ in range(1000):
                connection.sendall(bytes(1 << 20))
            pytest.fail("a gigabyte was taken that nobody has read")


def test_connection_waits_until_the_port_is_open(port: CameraPort, server: socket.socket) -> None:
    with call(port) as connection:
        connection.sendall(b"early")
        assert not port.has_connections
        port.open(server.getsockname()[1])
        remote, _ = server.accept()
        with remote:
            assert remote.recv(5) == b"early"


def test_nothing_waits_for_a_camera_that_accepts_no_connection(port: CameraPort) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as busy, socket.socket() as first:
        first.connect(busy.getsockname())
        port.open(busy.getsockname()[1])
        with call(port), call(port):
            wait_until(lambda: port.has_connections, "it has taken a connection")
            port.close()


def test_closed_port_ends_its_connections(port: CameraPort, server: socket.socket) -> None:
    port.open(server.getsockname()[1])
    with call(port) as connection:
        remote, _ = server.accept()
        with remote:
            wait_until(lambda: port.has_connections, "it is connected")
            before = port.last_use
            port.close()
            assert connection.recv(1) == b""
            assert remote.recv(1) == b""
    assert port.last_use > before
    assert not port.has_connections


def test_reset_by_the_server_is_a_reset_for_the_caller(port: CameraPort, server: socket.socket) -> None:
    port.open(server.getsockname()[1])
    with call(port) as connection:
        remote, _ = server.accept()
        connection.sendall(b"unread")
        wait_until(lambda: select.select([remote], [], [], 0)[0] != [], "it has arrived")
        remote.close()  # with unread data: TCP resets the connection
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_caller_is_hung_up_on_when_nothing_listens(port: CameraPort, server: socket.socket) -> None:
    port.open(server.getsockname()[1])
    server.close()
    with call(port) as connection:
        assert connection.recv(1) == b""


def test_connections_that_come_together_reach_a_server_with_a_short_queue(port: CameraPort) -> None:
    with contextlib.ExitStack() as opened, socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        server.settimeout(PATIENCE_SECONDS)
        callers = [opened.enter_context(call(port)) for _ in range(8)]
        port.open(server.getsockname()[1])
        for _ in callers:
            remote, _ = server.accept()
            opened.enter_context(remote).sendall(b"SSH-")
        assert [caller.recv(4) for caller in callers] == [b"SSH-"] * 8


def test_unanswered_callers_that_hang_up_keep_nobody_waiting(port: CameraPort, server: socket.socket) -> None:
    with contextlib.ExitStack() as opened:
        port.open(server.getsockname()[1])
        for _ in range(3):
            with call(port):
                opened.enter_context(server.accept()[0])
        with call(port) as connection:
            opened.enter_context(server.accept()[0]).sendall(b"SSH-")
            assert connection.recv(4) == b"SSH-"
