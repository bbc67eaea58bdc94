"""Outages in which the kernel really loses packets: a socket filter drops what arrives, and TCP sends it again."""

from __future__ import annotations

import ctypes
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from tests.integration.ssh_server import SshServer

from incamera.errors import ConnectionLost
from incamera.transport import keepalive, tcp
from incamera.transport.protocols import Program
from incamera.transport.ssh import connect

if TYPE_CHECKING:
    from incamera.transport.session import Session

pytestmark = [pytest.mark.starts_processes, pytest.mark.matrix]

# Of Linux, asm-generic/socket.h. The filter's one instruction keeps 0 bytes of each packet.
_ATTACH_FILTER, _DETACH_FILTER = 26, 27
_DROP = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
_FILTER = struct.pack("@HP", 1, ctypes.addressof(_DROP))
OUTAGE_SECONDS, WELL_SECONDS = 9.0, 6.0
# On a loaded computer.
SLACK_SECONDS = 5.0


def can_limit_the_pause() -> bool:
    with socket.socket() as sock:
        tcp.limit_resend_pause(sock)
        try:
            return sock.getsockopt(socket.IPPROTO_TCP, tcp._TCP_RTO_MAX_MS) == tcp._RESEND_MS
        except OSError:
            return False


@contextmanager
def connected(folder: Path) -> Iterator[tuple[Session, list[socket.socket]]]:
    """Yield a session, and the sockets of both ends of its connection."""
    host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    server = SshServer(folder, host_key, client_key)
    server.start()
    device = server.device(host_key=host_key.export_public_key("openssh").decode())
    try:
        with connect(device, known_hosts=folder / "known_hosts", environment={"HOME": str(folder)}) as session:
            ends: list[Any] = [session.transport._connection, *server._connections]  # type: ignore[attr-defined]
            yield session, [end.get_extra_info("socket") for end in ends]
    finally:
        server.stop()


def pause_for(seconds: float, sockets: list[socket.socket], *, lost: bool) -> None:
    for sock in sockets:
        if lost:
            sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _FILTER)
        else:
            sock.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
    time.sleep(seconds)


@pytest.mark.skipif(not can_limit_the_pause(), reason="this kernel cannot")
@pytest.mark.parametrize("written", [0.5, 2.6, 2.9])
def test_second_outage_does_not_end_a_connection_whose_data_was_lost_in_the_first(
    written: float, tmp_path: Path
) -> None:
    # What is first lost 2.6 s after the outage began would be sent again after 6.2 s more, and then after 12.6 s: in
    # the second outage.
    with connected(tmp_path) as (session, sockets):
        channel = session.call(session.transport.start(Program(("cat",))))
        session.call(channel.write(b"before\n"))
        assert session.call(channel.read(100)) == b"before\n"
        pause_for(written, sockets, lost=True)
        session.call(channel.write(b"meanwhile\n"))
        pause_for(OUTAGE_SECONDS - written, sockets, lost=True)
        pause_for(WELL_SECONDS, sockets, lost=False)
        pause_for(OUTAGE_SECONDS, sockets, lost=True)
        pause_for(0, sockets, lost=False)
        assert session.call(channel.read(100)) == b"meanwhile\n"
        session.call(channel.write(b"after\n"))
        assert session.call(channel.read(100)) == b"after\n"
        session.call(channel.close())


@pytest.mark.parametrize("printed", [1.7, 2.0, 2.3])
def test_what_the_device_printed_in_the_first_of_two_outages_arrives_after_the_second(
    printed: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device's kernel sends it again in the second outage, and then after 25 s: no answer comes before."""
    monkeypatch.setattr(keepalive, "is_loopback", lambda _: False)
    with connected(tmp_path) as (session, sockets):
        script = f"read -r line; sleep {printed}; echo meanwhile; exec cat"
        channel = session.call(session.transport.start(Program(("sh", "-c", script))))
        session.call(channel.write(b"go\n"))
        pause_for(OUTAGE_SECONDS, sockets, lost=True)
        pause_for(WELL_SECONDS, sockets, lost=False)
        pause_for(OUTAGE_SECONDS, sockets, lost=True)
        pause_for(0, sockets, lost=False)
        assert session.call(channel.read(100)) == b"meanwhile\n"
        session.call(channel.write(b"after\n"))
        assert session.call(channel.read(100)) == b"after\n"
        session.call(channel.close())


def test_loss_is_told_in_20_seconds_although_the_kernel_confirmed_data_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keepalive, "is_loopback", lambda _: False)
    with connected(tmp_path) as (session, sockets):
        channel = session.call(session.transport.start(Program(("cat",))))
        session.call(channel.write(b"before\n"))
        assert session.call(channel.read(100)) == b"before\n"
        pause_for(0, sockets, lost=True)
        began = time.monotonic()
        with pytest.raises(ConnectionLost):
            session.call(channel.read(100))
        assert 15 < time.monotonic() - began < 20 + SLACK_SECONDS
