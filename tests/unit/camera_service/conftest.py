"""The camera's service, started on this computer."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import wait_until

from incamera.virtual.stand_ins import SERVICE

FOLDER = Path(__file__).parents[3] / "src/incamera/virtual/stand_ins/bin" / platform.machine()
PROGRAM = os.environ.get("INCAMERA_TEST_SERVICE") or str(max(FOLDER.iterdir()) / SERVICE)


class Service:
    """A process of the service, and its socket."""

    def __init__(self, folder: Path, program: str = PROGRAM) -> None:
        self.program = program
        self.path = folder / "socket"
        self.environment: dict[str, str] = {}
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.path.unlink(missing_ok=True)
        environment = os.environ | {"INCAMERA_SCENE_BEGIN": "0"} | self.environment
        process = subprocess.Popen([self.program, str(self.path)], env=environment)
        wait_until(self._listens, "the service listens")
        return process

    def _listens(self) -> bool:
        # The socket is there before the service listens at it.
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            return client.connect_ex(str(self.path)) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        self.process = self._start()

    def restart(self) -> None:
        self.kill()
        self.start()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    found = Service(tmp_path)
    yield found
    assert found.process.poll() in (None, -9), "the service has ended"
    found.kill()
