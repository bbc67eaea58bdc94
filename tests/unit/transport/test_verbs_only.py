"""What the tool does on a camera needs no shell there: a transport that refuses everything else is enough."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from tests.waiting import wait_until

from incamera.connect.shares import read_marker
from incamera.deployment.deploy import deploy
from incamera.device.attach import list_attach_sockets
from incamera.device.capabilities import ensure_images_tried, ensure_speed
from incamera.device.libraries import ensure_libraries
from incamera.device.probe import probe
from incamera.device.run import run_app
from incamera.device.streams import Streams
from incamera.guard import verbs
from incamera.guard.program import Guard, ensure_guard
from incamera.guard.sync import plan_shipment
from incamera.guard.upload import Route
from incamera.observe.processes import end_runs, take_sample
from incamera.runtime.launcher import require_launcher
from incamera.runtime.launcher.protocol import OWN_FOLDER
from incamera.transport.device import Device, SshAddress
from incamera.transport.protocols import Program
from incamera.transport.session import Session
from incamera.tree import list_tree

from .allow_list import NotAllowed, VerbsOnly

if TYPE_CHECKING:
    from incamera.transport.protocols import Transport

pytestmark = pytest.mark.starts_processes


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    """The guard, where an app that was installed in a camera would have it."""
    path = tmp_path / "package" / "incamera-guard-1"
    path.parent.mkdir()
    shutil.copy(require_launcher(platform.machine()), path)
    return Guard(Path("/nowhere"), "/nowhere", str(path))


@pytest.fixture
def session(guard: Guard) -> Iterator[Session]:
    async def open_transport() -> Transport:
        return VerbsOnly(Device(name="cam", address=SshAddress(host="192.0.2.10")), guard.remote_path)

    with Session(open_transport) as session:
        yield session


def used(session: Session) -> set[str]:
    return cast("VerbsOnly", session.transport).verbs


def test_shell_text_is_refused(session: Session) -> None:
    with pytest.raises(NotAllowed):
        session.run(Program(("sh", "-c", "true", "sh")))
    with pytest.raises(NotAllowed):
        session.get("/etc/passwd", limit=1)


def test_device_is_probed_tried_and_read(session: Session, guard: Guard, tmp_path: Path) -> None:
    facts = probe(session)
    path = ensure_guard(session, guard)
    ensure_images_tried(session, facts, path, cache=tmp_path / "cache")
    assert ensure_speed(session, facts, facts.places[0], path, cache=tmp_path / "cache").write
    sonames = [library.soname for library in facts.libraries if library.soname.startswith("libc.so")]
    assert ensure_libraries(session, facts, sonames, cache=tmp_path).rows
    assert read_marker(session) is None
    assert used(session) >= {"try-images", "measure"}


def test_bundle_is_deployed(session: Session, guard: Guard, tmp_path: Path) -> None:
    root = tmp_path / "bundle"
    (root / "app").mkdir(parents=True)
    (root / "app" / "app.py").write_text("print(1)\n")
    shipment = plan_shipment("doorbell", root, list_tree(root))
    place = tmp_path / "place"
    place.mkdir()
    for sent in (1, 0):
        done = deploy(session, shipment, guard, route=Route(place=str(place)))
        assert done.files_sent == sent
    assert Path(done.destination, "app", "app.py").read_text() == "print(1)\n"
    assert used(session) == {"receive"}


def test_app_runs_is_listed_and_ended(session: Session, guard: Guard) -> None:
    path = ensure_guard(session, guard)
    read, write = os.pipe()
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        streams = Streams(stdin=nothing.fileno(), stdout=write)
        program = Program((sys.executable, "-ISc", "import os; print(os.environ['A'])"), environment={"A": "it's"})
        assert run_app(session, path, program, streams=streams) == 0
    assert os.read(read, 100) == b"it's\n"
    os.close(read)
    os.close(write)
    assert take_sample(session, path).total
    assert end_runs(session, path, []) == []
    assert list_attach_sockets(session, path) is not None
    assert used(session) >= {"run", "supervise", "processes", "sockets"}


def test_folder_of_the_tests_is_made_read_and_removed(session: Session, guard: Guard) -> None:
    path, folder = ensure_guard(session, guard), f"{OWN_FOLDER}test-{secrets.token_hex(8)}"
    verbs.make_folder(session, path, folder)
    session.put(f"{folder}/junit.xml", b"<x/>")
    assert session.get(f"{folder}/junit.xml", limit=100) == b"<x/>"
    verbs.remove_folder(session, path, folder)
    assert not Path(folder).exists()


def test_port_of_a_debugger_is_reached(session: Session) -> None:
    async def until_ready() -> bool:
        return b":" in await session.transport.get("/proc/net/tcp", limit=1 << 20)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with (
            session.forwarded(port, local_port=0, until_ready=until_ready) as here,
            socket.create_connection(("127.0.0.1", here), timeout=20) as client,
        ):
            accepted = wait_until(lambda: server.accept()[0], "the connection arrives")
            accepted.sendall(b"hello")
            assert client.recv(5) == b"hello"
            accepted.close()
