"""QEMU's monitor, with QEMU's answers from a transcript."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from incamera.errors import DeviceError
from incamera.virtual.monitor import Monitor, parse_forwarded_port
from incamera.virtual.supervisor_client import parse_answer

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


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "null",
        "{",
        '{"return": NaN}',
        '{"return": {}, "return": {}}',
        "[" * 100_000,
        '{"error": 7}',
        '{"error": null}',
        '{"error": {"desc": {}}}',
    ],
    ids=range(10),
)
def test_odd_answer_of_qemu_is_a_device_error(ends: tuple[socket.socket, socket.socket], line: str) -> None:
    ours, theirs = ends
    say(theirs, GREETING, '{"return": {}}')
    monitor = Monitor(ours, lambda _: None)
    say(theirs, line)
    with pytest.raises(DeviceError):
        monitor.execute("query-status")


def test_status_and_text_of_other_types_are_errors_or_empty(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    say(theirs, GREETING, '{"return": {}}', '{"return": []}', '{"return": {"status": null}}', '{"return": {}}')
    monitor = Monitor(ours, lambda _: None)
    assert monitor.query_status("query-migrate") == ""
    assert monitor.query_status("query-migrate") == ""
    with pytest.raises(DeviceError, match="text"):
        monitor.execute_hmp("info usernet")


def test_answer_without_an_end_is_a_device_error(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    say(theirs, GREETING, '{"return": {}}')
    monitor = Monitor(ours, lambda _: None)

    def send() -> None:
        with suppress(OSError):
            theirs.sendall(bytes(6 << 20))

    flood = threading.Thread(target=send)
    flood.start()
    with pytest.raises(DeviceError, match="without an end"):
        monitor.execute("query-status")
    ours.shutdown(socket.SHUT_RD)
    flood.join()


@pytest.mark.parametrize("line", [b"", b"\xff\n", b"[]\n", b"{}\n", b'{"camera"\n', b"[" * 100_000])
def test_odd_answer_of_a_supervisor_is_a_device_error(line: bytes) -> None:
    with pytest.raises(DeviceError):
        parse_answer(line)


@pytest.mark.parametrize("port", ["99999999999999999999", "x", "-1"])
def test_port_that_is_none_is_not_found(port: str) -> None:
    with pytest.raises(DeviceError, match="forwards no port"):
        parse_forwarded_port(USERNET.replace("46287", port), 22)
