"""Services that a virtual camera is lent: where the relay finds them."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from incamera.errors import UsageError
from incamera.store import Store
from incamera.virtual import relay
from incamera.virtual.services import lend_service, services_file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_service_is_found_until_it_is_taken_away(store: Store) -> None:
    file = str(services_file(store, "porch"))
    assert relay.find_service(file, "445") is None
    lend_service(store, "porch", 445, ("127.0.0.1", 4450))
    lend_service(store, "porch", 2049, ("192.0.2.5", 12049))
    assert relay.find_service(file, "445") == ("127.0.0.1", 4450)
    lend_service(store, "porch", 445, None)
    assert relay.find_service(file, "445") is None
    assert relay.find_service(file, "2049") == ("192.0.2.5", 12049)
    with pytest.raises(UsageError):
        lend_service(store, "porch", 22, ("127.0.0.1", 22))


@pytest.mark.starts_processes
def test_a_server_that_is_away_is_waited_for(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    lend_service(store, "porch", 445, ("127.0.0.1", port))
    camera, end = socket.socketpair()
    words = [sys.executable, "-IS", relay.__file__, str(services_file(store, "porch")), "445"]
    with subprocess.Popen(words, stdin=end.fileno(), stdout=end.fileno()) as process:
        end.close()
        camera.sendall(b"hello")
        time.sleep(0.5)
        assert process.poll() is None
        with socket.create_server(("127.0.0.1", port)) as server:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(64) == b"hello"
                connection.sendall(b"at last")
        assert camera.recv(64) == b"at last"
        camera.close()
        assert process.wait(10) == 0


@pytest.mark.starts_processes
def test_nobody_waits_for_a_camera_that_hung_up(store: Store) -> None:
    lend_service(store, "porch", 445, ("127.0.0.1", 1))
    camera, end = socket.socketpair()
    words = [sys.executable, "-IS", relay.__file__, str(services_file(store, "porch")), "445"]
    with subprocess.Popen(words, stdin=end.fileno(), stdout=end.fileno()) as process:
        end.close()
        threading.Timer(0.4, camera.close).start()
        assert process.wait(20) == 0


@pytest.mark.starts_processes
def test_without_a_service_a_camera_is_not_sent_round_in_circles(store: Store) -> None:
    camera, end = socket.socketpair()
    words = [sys.executable, "-IS", relay.__file__, str(services_file(store, "porch")), "445"]
    with subprocess.Popen(words, stdin=end.fileno(), stdout=end.fileno()) as process:
        end.close()
        # Were it closed, the camera's kernel would begin the next connection at once.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        camera.close()
        assert process.wait(20) == 0
