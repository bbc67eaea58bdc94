"""Ports that are forwarded out of a virtual camera, and the relay of each connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.waiting import wait_until

from incamera.errors import UsageError
from incamera.store import Store
from incamera.virtual import relay
from incamera.virtual.forwarding import forward_service, forwards_file


def test_port_is_forwarded_until_it_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    file = str(forwards_file(store, "porch"))
    assert relay.find_service(file, "445") is None
    forward_service(store, "porch", 445, ("127.0.0.1", 4450))
    forward_service(store, "porch", 2049, ("192.0.2.5", 12049))
    assert relay.find_service(file, "445") == ("127.0.0.1", 4450)
    forward_service(store, "porch", 445, None)
    assert relay.find_service(file, "445") is None
    assert relay.find_service(file, "2049") == ("192.0.2.5", 12049)
    with pytest.raises(UsageError):
        forward_service(store, "porch", 22, ("127.0.0.1", 22))


@pytest.mark.starts_processes
def test_relay_waits_for_a_server_that_is_not_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    # A named pipe in place of the file: writing to it returns when the relay has opened it for its next try.
    file = tmp_path / "services"
    os.mkfifo(file)

    def allow_try() -> None:
        with suppress(BrokenPipeError):
            file.write_text(f"445 127.0.0.1 {port}\n")

    def allow_tries() -> None:
        while not connected.is_set():
            allow_try()

    connected = threading.Event()

    camera, end = socket.socketpair()
    words = [sys.executable, "-IS", relay.__file__, str(file), "445"]
    with subprocess.Popen(words, stdin=end.fileno(), stdout=end.fileno()) as process:
        end.close()
        camera.sendall(b"hello")
        allow_try()
        allow_try()  # the first try has failed
        with socket.create_server(("127.0.0.1", port)) as server:
            # One more try may do, or the second one has reached the server; or two writes were read as one.
            allowing = threading.Thread(target=allow_tries, daemon=True)
            allowing.start()
            connection, _ = server.accept()
            connected.set()
            reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # it may wait for one
            allowing.join()
            os.close(reader)
            with connection:
                assert connection.recv(64) == b"hello"
                connection.sendall(b"at last")
        assert camera.recv(64) == b"at last"
        camera.close()
        assert process.wait(60) == 0


def test_relay_ends_when_the_camera_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def find_service(file: str, port: str) -> tuple[str, int]:
        tries.append(port)
        return "127.0.0.1", 1  # nothing listens there

    monkeypatch.setattr(relay, "find_service", find_service)
    connections: list[socket.socket | None] = []
    camera, end = socket.socketpair()
    with end:
        waiting = threading.Thread(target=lambda: connections.append(relay.connect("", "445", end.fileno())))
        waiting.start()
        wait_until(lambda: len(tries) > 1, "the relay has tried twice")
        camera.close()
        waiting.join(60)
    assert connections == [None]


def test_relay_delays_closing_a_port_that_is_not_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a delay, the camera's kernel would open the next connection at once."""
    looks: list[str] = []
    monkeypatch.setattr(relay, "find_service", lambda file, port: looks.append(port))
    clock = count(step=0.2)
    monkeypatch.setattr(relay, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    camera, end = socket.socketpair()
    with camera, end:
        assert relay.connect("", "445", end.fileno()) is None
    assert len(looks) == 3  # at 0.2 s, 0.4 s and 0.6 s
