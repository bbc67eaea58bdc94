"""The tripwires of conftest.py must trip."""

import socket
import subprocess
import sys

import pytest


def test_a_unit_test_cannot_reach_the_network() -> None:
    with pytest.raises(pytest.fail.Exception, match="tried to reach"), socket.socket() as connection:
        connection.connect(("192.0.2.1", 80))


def test_a_unit_test_cannot_start_a_process() -> None:
    with pytest.raises(pytest.fail.Exception, match="tried to start"):
        subprocess.run([sys.executable, "-c", "pass"], check=False)


@pytest.mark.starts_processes
def test_unless_it_says_so() -> None:
    assert subprocess.run([sys.executable, "-c", "pass"], check=False).returncode == 0
