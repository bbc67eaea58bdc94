"""QEMU's monitor, with QEMU's answers from a transcript."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from incamera.errors import DeviceError
from incamera.virtual.monitor import Monitor, parse_forwarded_port

GREETING = '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}'


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def say(connection: socket.socket, *lines: str) -> None:
    connection.sendall("".join(f"{line}\r\n" for line in lines).encode())


def test_event_that_arrives_before_an_answer_is_kept(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    say(theirs, GREETING, '{"return": {}}', '{"event": "RESUME", "timestamp": {}}', '{"return": {"status": "running"}}')
    monitor = Monitor(ours, lambda _: None)
    assert monitor.execute("query-status") == {"status": "running"}
    monitor.wait_for_event("RESUME")  # returns at once: it has arrived already
    sent = [json.loads(line)["execute"] for line in theirs.recv(4096).splitlines()]
    assert sent == ["qmp_capabilities", "query-status"]


def test_qemus_error_message_is_in_the_error(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    say(theirs, GREETING, '{"return": {}}', '{"error": {"class": "GenericError", "desc": "no such file"}}')
    with pytest.raises(DeviceError, match="no such file"):
        Monitor(ours, lambda _: None).execute("migrate", uri="fd:state")


def test_closed_monitor_is_an_error(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    say(theirs, GREETING)
    theirs.close()
    with pytest.raises(DeviceError, match="closed"):
        Monitor(ours, lambda _: None)


# As QEMU 7.2 prints it.
USERNET = """VLAN -1 (#net0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[ESTABLISHED]   16       127.0.0.1 46287       10.0.2.15    22     0     0
  TCP[HOST_FORWARD]  12       127.0.0.1 46287       10.0.2.15    22     0     0
"""


def test_forwarded_port_is_read_from_usernet() -> None:
    assert parse_forwarded_port(USERNET, 22) == 46287
    with pytest.raises(DeviceError, match="port 80"):
        parse_forwarded_port(USERNET, 80)
