"""The port for debugpy in the camera, and waiting until debugpy listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.transport.fake import FakeTransport, open_fake

from incamera.transport.device import Device, SshAddress
from incamera.workflows import debug

if TYPE_CHECKING:
    import pytest

HEAD = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LISTENS = b"   0: 0100007F:5BA0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0\n"
CONNECTED = b"   1: 0100007F:5BA1 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0\n"


class Camera(FakeTransport):
    """Returns one table of sockets after the other, then the last one again."""

    def __init__(self, *tables: bytes) -> None:
        super().__init__(Device(name="cam", address=SshAddress(host="192.0.2.10")))
        self.tables = list(tables)

    async def get(self, path: str, *, limit: int) -> bytes:
        assert path == "/proc/net/tcp"
        return self.tables.pop(0) if len(self.tables) > 1 else self.tables[0]


def test_connection_waits_until_debugpy_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debug, "_POLL_SECONDS", 0.01)
    camera = Camera(HEAD, HEAD + CONNECTED, HEAD + CONNECTED + LISTENS)
    with open_fake(lambda: camera) as session:
        assert session.call(debug._await_listener(camera, 0x5BA0))
    assert len(camera.tables) == 1


def test_waiting_for_debugpy_ends_after_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debug, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(debug, "_READY_SECONDS", 0.05)
    camera = Camera(HEAD + CONNECTED)
    with open_fake(lambda: camera) as session:
        assert not session.call(debug._await_listener(camera, 0x5BA1))


def test_port_that_a_program_uses_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debug, "_PORTS", (0x5BA0, 0x5BA0 + 64))
    with open_fake(lambda: Camera(HEAD + LISTENS + CONNECTED)) as session:
        assert debug._find_free_port(session) not in (0x5BA0, 0x5BA1)


def test_odd_lines_of_the_table_of_sockets_are_left_out() -> None:
    odd = "\n".join(
        ["", "x", "0: 7F:XYZ 0:0 0A ", "0: :: : 0A ", f"0: 0:{'F' * 50} 0:0 0A ", "0: 0100007F:FFFFF 0:0 0A "]
    )
    found = debug.parse_sockets((HEAD + CONNECTED + LISTENS).decode() + odd)
    assert found == [debug.TcpSocket(0x5BA1, False), debug.TcpSocket(0x5BA0, True)]
