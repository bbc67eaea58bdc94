"""The supervisor's part of a line to a process of this computer: when the process starts, and what follows its end."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from incamera.virtual.host_line import INFERENCE, RESET, HostLine
from incamera.virtual.inference_service import GREETING

pytestmark = pytest.mark.starts_processes


class Qemu:
    """Listens in place of QEMU, which passes on what the camera's virtio port sends."""

    def __init__(self, line: HostLine) -> None:
        self.line = line
        self.listener = line.listen()
        line.connect()
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(30)

    def handle(self, seconds: float = 30) -> bool:
        """Let the line do what it has to, once."""
        poll = select.poll()
        self.line.register(poll)
        handled = [self.line.handle(descriptor) for descriptor, _ in poll.poll(seconds * 1000)]
        return any(handled)

    def greet(self) -> None:
        self.connection.sendall(GREETING + b"12345678")
        assert self.handle()
        answer = b""
        while len(answer) < len(GREETING) + 8:
            answer += self.connection.recv(100) or pytest.fail("the line has ended")
        assert answer == GREETING + b"12345678"

    def process(self) -> int:
        assert self.line._process is not None
        return self.line._process.pid


@pytest.fixture
def qemu(tmp_path: Path) -> Iterator[Qemu]:
    # Longer than the path of a socket may be.
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    line = HostLine(INFERENCE, folder, {"INCAMERA_STORE": str(tmp_path / "store")})
    found = Qemu(line)
    yield found
    line.close()
    found.listener.close()
    found.connection.close()
    assert not (folder / INFERENCE.name).exists()


def test_process_starts_with_the_first_request(qemu: Qemu) -> None:
    assert not qemu.handle(0.05)
    qemu.greet()
    assert Path(f"/proc/{qemu.process()}/cmdline").read_bytes().startswith(os.fsencode(sys.executable))


def test_camera_sees_the_end_of_a_killed_process_and_gets_another(qemu: Qemu) -> None:
    qemu.greet()
    first = qemu.process()
    os.kill(first, signal.SIGKILL)
    assert qemu.connection.recv(1) == b""
    qemu.connection.close()
    assert qemu.handle()
    qemu.connection, _ = qemu.listener.accept()
    qemu.connection.settimeout(30)
    assert qemu.connection.recv(100) == RESET
    qemu.greet()
    assert qemu.process() != first


def test_process_ends_with_the_line(qemu: Qemu) -> None:
    qemu.greet()
    process = os.pidfd_open(qemu.process())
    qemu.line.close()
    assert select.select([process], [], [], 30)[0]
    os.close(process)


def test_end_of_qemu_starts_nothing(qemu: Qemu) -> None:
    qemu.listener.close()
    qemu.connection.shutdown(socket.SHUT_RDWR)
    assert qemu.handle()
    assert qemu.line._process is None
    assert not qemu.handle(0.01)


def test_camera_is_served_while_the_process_works(qemu: Qemu) -> None:
    """The supervisor never waits for the process."""
    qemu.connection.sendall(GREETING[:3])
    started = time.monotonic()
    assert qemu.handle()
    assert time.monotonic() - started < 10
