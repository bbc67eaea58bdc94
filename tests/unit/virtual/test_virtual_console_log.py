"""The console's log has a limited size, and ends with the newest."""

from __future__ import annotations

import socket
from pathlib import Path

from incamera.virtual.console_log import ConsoleLog


def test_log_has_what_was_printed(tmp_path: Path) -> None:
    ours, qemus = socket.socketpair()
    with ours, qemus:
        log = ConsoleLog(tmp_path / "console.log", ours)
        assert log.take()
        qemus.sendall(b"booting\n")
        assert log.take()
        assert log.take()
        qemus.sendall(b"panic\n")
        qemus.close()
        assert log.take()
        assert not log.take()
        log.close()
    assert (tmp_path / "console.log").read_bytes() == b"booting\npanic\n"


def test_log_is_limited_however_much_is_printed(tmp_path: Path) -> None:
    ours, qemus = socket.socketpair()
    with ours, qemus:
        log = ConsoleLog(tmp_path / "console.log", ours)
        longest = 0
        for number in range(3000):
            qemus.sendall(f"{number:07}".encode() * 150)
            log.take()
            longest = max(longest, (tmp_path / "console.log").stat().st_size)
        log.close()
    assert longest <= 1024 * 1024
    text = (tmp_path / "console.log").read_bytes()
    assert text.endswith(b"0002999" * 100)
    assert len(text) > 60_000
