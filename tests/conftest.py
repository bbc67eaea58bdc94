"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.scheduling import GroupScheduling

UNIT = Path(__file__).parent / "unit"
_LONGEST_ID = 20

# A shell's background job ignores Ctrl-C, what `nohup` starts ignores the end of the terminal, and so would all that
# the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


# What is kept between two commands is tested by itself; all other tests start afresh, and leave nothing running.
os.environ.setdefault("INCAMERA_COLD", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run the tests marked `matrix`, too")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name long bytes after their argument: an archive may have the time in it, and each process another name then."""
    return argname if isinstance(val, bytes) and len(val) > _LONGEST_ID else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `matrix`, unless --all is given or a test is named."""
    if config.getoption("--all") or any("::" in argument for argument in config.args):
        return
    left_out = [item for item in items if item.get_closest_marker("matrix")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    return GroupScheduling(config, log)


@pytest.fixture(autouse=True)
def tripwires(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test that would reach the network or start a process by accident fails at once.

    Loopback is allowed; a process is, for tests marked `starts_processes`.
    """
    if UNIT not in request.path.parents:
        return
    real_connect = socket.socket.connect
    real_popen = subprocess.Popen.__init__

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            pytest.fail(f"a unit test tried to reach {address}")
        real_connect(self, address)

    def popen(self: Any, *args: Any, **kwargs: Any) -> None:
        pytest.fail(f"a unit test tried to start {args[0] if args else kwargs.get('args')}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    if request.node.get_closest_marker("starts_processes") is None:
        monkeypatch.setattr(subprocess.Popen, "__init__", popen)
    else:
        assert subprocess.Popen.__init__ is real_popen
