"""Servers, connections and pipes for devices over SSH."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from incamera.device.streams import Streams
from incamera.guard.program import Guard
from incamera.guard.sync import Shipment, plan_shipment
from incamera.runtime.launcher import require_launcher
from incamera.transport.host_keys import UnknownHostKey, accept_key
from incamera.transport.ssh import connect
from incamera.tree import list_tree

from ...waiting import PATIENCE_SECONDS
from ..line import Line
from ..ssh_server import SshServer

if TYPE_CHECKING:
    from incamera.transport.device import Device
    from incamera.transport.session import Session


@pytest.fixture(scope="session")
def host_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="session")
def client_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def server(tmp_path: Path, host_key: asyncssh.SSHKey, client_key: asyncssh.SSHKey) -> Iterator[SshServer]:
    server = SshServer(tmp_path / "device", host_key, client_key)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def line(server: SshServer) -> Iterator[Line]:
    line = Line(server.port)
    yield line
    line.close()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home without keys or configuration of the user who runs the tests."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    return {"HOME": str(home)}


@pytest.fixture
def opened(tmp_path: Path, environment: dict[str, str]) -> Callable[..., Any]:
    """Connects to a device; with *trust*, the host key of one that is new is accepted."""

    @contextmanager
    def connected(device: Device, *, trust: bool = True, timeout: float = 10) -> Iterator[Session]:
        known_hosts = tmp_path / "known_hosts"
        with ExitStack() as stack:

            def open_session() -> Session:
                opening = connect(device, known_hosts=known_hosts, environment=environment, timeout=timeout)
                return stack.enter_context(opening)

            try:
                session = open_session()
            except UnknownHostKey as error:
                if not trust:
                    raise
                accept_key(known_hosts, error.key)
                session = open_session()
            yield session

    return connected


@pytest.fixture
def session(server: SshServer, opened: Callable[..., Any]) -> Iterator[Session]:
    with opened(server.device()) as session:
        yield session


@pytest.fixture
def guard(server: SshServer) -> Guard:
    return Guard(require_launcher(platform.machine()), str(server.folder))


@pytest.fixture
def shipment(tmp_path: Path) -> Shipment:
    root = tmp_path / "bundle"
    (root / "lib").mkdir(parents=True)
    for number in range(50):
        (root / "lib" / f"{number}.py").write_bytes(os.urandom(40_000))
    (root / "lib" / "link").symlink_to("1.py")
    return plan_shipment("doorbell", root, list_tree(root), extra_files={"device/launcher": b"libraries lib\n"})


class Ends:
    """Pipes for the host's ends of a run; what arrives is collected."""

    def __init__(self) -> None:
        self.stdin_reader, self.stdin = os.pipe()
        self._readers, writers = zip(*(os.pipe() for _ in range(2)), strict=True)
        self.streams = Streams(self.stdin_reader, *writers)
        self.out, self.err = bytearray(), bytearray()
        self._threads = [
            threading.Thread(target=self._collect, args=pair, daemon=True)
            for pair in zip(self._readers, (self.out, self.err), strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def _collect(self, reader: int, into: bytearray) -> None:
        while data := os.read(reader, 1 << 16):
            into += data

    def close_input(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def finish(self) -> None:
        self.close_input()
        os.close(self.streams.stdout)
        os.close(self.streams.stderr)
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        for descriptor in (self.stdin_reader, *self._readers):
            os.close(descriptor)


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.finish()
