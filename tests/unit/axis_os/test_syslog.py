"""What programs send to /dev/log."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import wait_until

from incamera.axis_os.syslog import listen_to_syslog
from incamera.axis_os.system_log import SystemLog


@pytest.fixture
def log() -> SystemLog:
    return SystemLog("axis-0")


@pytest.fixture
def path(tmp_path: Path, log: SystemLog) -> Iterator[Path]:
    path = tmp_path / "log"
    receiver = listen_to_syslog(path, log, lambda uid: "own_app" if uid == os.getuid() else "")
    yield path
    receiver.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (b"<14>Dec  1 15:22:30 base[42]: hello", "[ INFO    ] base[{pid}]: hello"),
        (b"<11>Dec 11 15:22:30 base: broken", "[ ERR     ] base[{pid}]: broken"),
        (b"<191>base: quiet\n", "[ DEBUG   ] base[{pid}]: quiet"),
        (b"no form: at all", "[ INFO    ] own_app[{pid}]: no form: at all"),
        (b"<14>", "[ INFO    ] own_app[{pid}]: "),
        (b"<999>x: y", "[ DEBUG   ] x[{pid}]: y"),
        (b"<14>x: \xff\x1b[2J\0", "[ INFO    ] x[{pid}]: \ufffd#033[2J"),
        (b"<14>x: one\ntwo", "[ INFO    ] x[{pid}]: two"),
        (b"<14>x: " + b"y" * 20000, "y" * 1000),
    ],
)
def test_message_becomes_a_line_of_the_app_that_sent_it(sent: bytes, line: str, log: SystemLog, path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", str(path))  # which ends nothing
        sender.sendto(sent, str(path))
    wait_until(lambda: line.format(pid=os.getpid()) in log.show("own_app"), lambda: log.show(None))
    assert "y" not in log.show("other_app").partition("-----\n")[2]


@pytest.mark.starts_processes
def test_syslog_of_the_standard_library_is_understood(log: SystemLog, path: Path) -> None:
    code = (
        "import logging, logging.handlers, sys\n"
        "handler = logging.handlers.SysLogHandler(sys.argv[1])\n"
        "handler.ident = 'lookout: '\n"
        "logging.getLogger().addHandler(handler)\n"
        "logging.warning('it is %d degrees', 40)\n"
    )
    process = subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert process.returncode == 0
    wait_until(lambda: "[ WARNING ] lookout[" in log.show("own_app"), lambda: log.show(None))
    assert log.show(None).rstrip().endswith("]: it is 40 degrees")
