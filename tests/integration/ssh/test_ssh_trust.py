"""Who is asked, and when, whether the host key of a new device is trusted."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest

from incamera.connect.connection import connected
from incamera.context import Context
from incamera.device.registry import known_hosts_file
from incamera.errors import DeviceRefused
from incamera.store import Store
from incamera.transport.protocols import Program

from ..reporter import QuietReporter

if TYPE_CHECKING:
    from pathlib import Path

    from ..ssh_server import SshServer


class Asked(QuietReporter):
    """Answers every question with *answer*, and keeps in which thread it was asked."""

    def __init__(self, answer: bool) -> None:
        super().__init__()
        self.answer = answer
        self.threads: list[threading.Thread] = []

    def confirm(self, question: str) -> bool:
        self.threads.append(threading.current_thread())
        return self.answer


def make_context(reporter: Asked, tmp_path: Path, environment: dict[str, str]) -> Context:
    return Context(Store(tmp_path / "store"), reporter, environment)


def test_user_is_asked_once_and_not_in_the_connections_thread(
    server: SshServer, tmp_path: Path, environment: dict[str, str]
) -> None:
    reporter = Asked(True)
    context = make_context(reporter, tmp_path, environment)
    for _ in range(2):
        with connected(context, server.device()) as connection:
            assert connection.session.run(Program(("true",))).exit_code == 0
    assert reporter.threads == [threading.main_thread()]


def test_device_that_the_user_does_not_trust_is_refused(
    server: SshServer, tmp_path: Path, environment: dict[str, str]
) -> None:
    context = make_context(Asked(False), tmp_path, environment)
    with pytest.raises(DeviceRefused, match="test is not known yet"), connected(context, server.device()):
        pass
    assert not known_hosts_file(tmp_path / "store" / "devices").exists()


def test_fingerprint_on_the_command_line_is_compared(
    server: SshServer, tmp_path: Path, environment: dict[str, str]
) -> None:
    reporter = Asked(True)
    context = make_context(reporter, tmp_path, environment)
    shown = server.host_key.get_fingerprint()
    with (
        pytest.raises(DeviceRefused, match=f"shows the key {re.escape(shown)}, not SHA256:other"),
        connected(context, server.device(), accept_key="SHA256:other"),
    ):
        pass
    with connected(context, server.device(), accept_key=shown.removeprefix("SHA256:")):
        pass
    assert not reporter.threads


def test_two_devices_are_connected_at_a_time(server: SshServer, tmp_path: Path, environment: dict[str, str]) -> None:
    context = make_context(Asked(True), tmp_path, environment)
    with connected(context, server.device()) as one, connected(context, server.device()) as other:
        for connection in (one, other):
            assert connection.session.run(Program(("echo", "here"))).text == "here\n"
