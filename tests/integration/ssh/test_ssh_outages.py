"""Outages of the network on the way to a device, also behind a jump host: while a program runs, and in an upload."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import incamera.guard.supervise as supervise
import incamera.transport.ssh as ssh
from incamera.deployment.deploy import deploy
from incamera.device.run import run_app
from incamera.errors import ConnectionLost
from incamera.guard.program import ensure_guard
from incamera.guard.sync import plan_shipment
from incamera.transport.device import Device, SshAddress
from incamera.transport.protocols import Program
from incamera.tree import list_tree

from ...waiting import wait_until
from ..line import Line
from ..ssh_server import SshServer

if TYPE_CHECKING:
    import asyncssh

    from incamera.guard.program import Guard
    from incamera.transport.session import Session

    from .conftest import Ends

Way = Callable[[], AbstractContextManager["tuple[Line, Session]"]]

# 9 s without a network, 6 s with it, 9 s without it. Without --all, ten times as fast.
OUTAGE_SECONDS, WELL_SECONDS = 9.0, 6.0
SPEEDS = [pytest.param(10.0, id="fast"), pytest.param(1.0, id="real", marks=pytest.mark.matrix)]


@pytest.fixture(params=["direct", "before-jump", "behind-jump"])
def way(
    request: pytest.FixtureRequest,
    speed: float,
    server: SshServer,
    tmp_path: Path,
    environment: dict[str, str],
    host_key: asyncssh.SSHKey,
    client_key: asyncssh.SSHKey,
) -> Iterator[Way]:
    """Connects to a device over a line with outages: the whole way, or one of the two through a jump host."""
    gate = SshServer(tmp_path / "gate", host_key, client_key)
    gate.start()
    # So slow that an upload takes a second.
    line = Line(gate.port if request.param == "before-jump" else server.port, delay=0.03 / speed)
    behind = line.port if request.param == "behind-jump" else server.port
    first = line.port if request.param == "before-jump" else gate.port
    if request.param == "direct":
        hosts = f"Host far\n  HostName 127.0.0.1\n  Port {line.port}\n"
    else:
        hosts = (
            f"Host far\n  HostName 127.0.0.1\n  Port {behind}\n  ProxyJump gate\n"
            f"Host gate\n  HostName 127.0.0.1\n  Port {first}\n"
        )
    home = Path(environment["HOME"]) / ".ssh"
    (home / "config").write_text(f"{hosts}Host *\n  User root\n  IdentityFile {server.key_file}\n")
    public = host_key.export_public_key("openssh").decode()
    known = [f"[127.0.0.1]:{port} {public}" for port in (line.port, behind, first)]
    (home / "known_hosts").write_text("".join(known))

    @contextmanager
    def connected() -> Iterator[tuple[Line, Session]]:
        device = Device(name="far", address=SshAddress(host="far"))
        with ssh.connect(device, known_hosts=tmp_path / "known", environment=environment) as session:
            yield line, session

    yield connected
    line.close()
    gate.stop()


@pytest.fixture
def speed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    factor = float(request.param)
    for module, name in (
        (supervise, "GUARD_TIMEOUT_SECONDS"),
        (supervise, "HEARTBEAT_SECONDS"),
        (ssh, "KEEPALIVE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name) / factor)
    return factor


def pass_two_outages(line: Line, speed: float) -> None:
    for _ in range(2):
        line.pause()
        time.sleep(OUTAGE_SECONDS / speed)
        line.resume()
        time.sleep(WELL_SECONDS / speed)


@pytest.mark.parametrize("speed", SPEEDS, indirect=True)
def test_outages_do_not_end_a_run(way: Way, speed: float, guard: Guard, ends: Ends) -> None:
    with way() as (line, session):
        path = ensure_guard(session, guard)

        def trouble() -> None:
            wait_until(lambda: b"up" in ends.out, "the app runs")
            pass_two_outages(line, speed)
            os.write(ends.stdin, b"well\n")

        thread = threading.Thread(target=trouble, daemon=True)
        thread.start()
        script = "echo up; read -r word; echo $word; exit 7"
        code = run_app(session, path, Program(("sh", "-c", script)), streams=ends.streams)
        thread.join()
    assert (code, bytes(ends.out)) == (7, b"up\nwell\n")


@pytest.mark.parametrize("speed", SPEEDS, indirect=True)
def test_outages_do_not_end_an_upload(way: Way, speed: float, guard: Guard, tmp_path: Path) -> None:
    root = tmp_path / "large"
    root.mkdir()
    size = round(20_000_000 / speed)
    for number in range(20):
        (root / f"{number}.bin").write_bytes(os.urandom(size // 20))
    shipment = plan_shipment("doorbell", root, list_tree(root))
    with way() as (line, session):
        ensure_guard(session, guard)
        sent = line.sent

        def trouble() -> None:
            wait_until(lambda: line.sent > sent + 500_000, "a part is sent")
            pass_two_outages(line, speed)

        thread = threading.Thread(target=trouble, daemon=True)
        thread.start()
        done = deploy(session, shipment, guard)
        thread.join()
    assert done.files_sent == 20
    assert list_tree(Path(done.destination), {})[1:] == sorted(shipment.entries, key=lambda entry: entry.path.encode())


@pytest.mark.parametrize("speed", SPEEDS, indirect=True)
def test_loss_on_the_way_is_told_in_time(way: Way, speed: float) -> None:
    with way() as (line, session):
        channel = session.call(session.transport.start(Program(("cat",))))
        session.call(channel.write(b"before\n"))
        assert session.call(channel.read(100)) == b"before\n"
        line.freeze()
        began = time.monotonic()
        with pytest.raises(ConnectionLost):
            session.call(channel.read(100))
        # A loaded computer may take some seconds for anything.
        assert time.monotonic() - began < 20 / speed + 5
