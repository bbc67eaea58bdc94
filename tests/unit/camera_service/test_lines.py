"""Lines to the camera's service: what they begin with, and what ends them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .lines import HELLO, LIST, Line

if TYPE_CHECKING:
    from .conftest import Service

pytestmark = pytest.mark.starts_processes


def test_line_begins_with_the_name_of_a_library(service: Service) -> None:
    with Line(service.path) as line:
        assert line.hello("vdo")


@pytest.mark.parametrize(("engine", "version"), [("nothing", 1), ("", 1), ("vdo\0", 1), ("vdo", 2), ("v" * 30000, 1)])
def test_other_beginning_ends_the_line(service: Service, engine: str, version: int) -> None:
    with Line(service.path) as line:
        assert not line.hello(engine, version)
    with Line(service.path) as line:
        assert line.hello("vdo")


def test_client_that_says_nothing_stops_no_other(service: Service) -> None:
    silent = [Line(service.path) for _ in range(20)]
    with Line(service.path) as line:
        assert line.hello("vdo")
    for one in silent:
        one.socket.close()


def test_process_has_a_limit_of_lines(service: Service) -> None:
    lines = [Line(service.path) for _ in range(64)]
    assert all(line.hello("vdo") for line in lines)
    with Line(service.path) as line:
        assert line.receive() is None
    for one in lines:
        one.socket.close()


def test_message_that_is_too_long_ends_its_line(service: Service) -> None:
    with Line(service.path) as line:
        line.send(HELLO, 1, bytes(40000))
        assert line.receive() is None
    with Line(service.path) as line:
        line.socket.send(b"short")
        assert line.receive() is None


def test_descriptors_that_nobody_takes_are_closed(service: Service) -> None:
    def count() -> int:
        return len(os.listdir(f"/proc/{service.process.pid}/fd"))  # noqa: PTH208

    with Line(service.path) as line:
        assert line.hello("vdo")
        before = count()
        for _ in range(5):
            line.send(LIST, 0, b"", [0] * 64)
            assert line.receive() is not None
        line.send(LIST)
        assert line.receive() is not None
        assert count() == before


def test_killed_service_ends_its_lines_and_the_next_one_listens(service: Service) -> None:
    with Line(service.path) as line:
        assert line.hello("vdo")
        service.kill()
        assert line.receive() is None
    with pytest.raises(ConnectionRefusedError):
        Line(service.path)
    service.restart()
    with Line(service.path) as line:
        assert line.hello("vdo")
