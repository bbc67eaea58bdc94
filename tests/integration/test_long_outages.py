"""Outages of the network, as long as they really are: 9 s without it, 6 s with it, 9 s without it; then it is lost."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.terminal import Terminal

from ..waiting import wait_until
from .cameras import lease_camera
from .command import Running, command_environment, running
from .places.conftest import other_host
from .project import write_project

if TYPE_CHECKING:
    from .line import Line

__all__ = ["other_host"]

pytestmark = pytest.mark.matrix

OUTAGE_SECONDS = 9
WELL_SECONDS = 6
# A loss is reported within so many seconds.
REPORTED_SECONDS = 20
COUNTS = """import itertools, time
for number in itertools.count():
    print("{word}", number, flush=True)
    time.sleep(0.2)
"""

camera = pytest.fixture(name="camera")(lease_camera)


def pass_two_outages(line: Line) -> None:
    for _ in range(2):
        line.pause()
        time.sleep(OUTAGE_SECONDS)
        line.resume()
        time.sleep(WELL_SECONDS)


def await_more(command: Running, word: bytes) -> None:
    """Wait until the app prints more than it has by now."""
    before = command.out.count(word)
    wait_until(lambda: command.out.count(word) > before + 5 or command.process.poll() is not None, lambda: command.text)
    assert command.process.poll() is None, command.text


def lose(line: Line, command: Running) -> float:
    """Cut the line off without a word. Returns after how many seconds that is reported."""
    began = time.monotonic()
    line.freeze()
    wait_until(lambda: "was lost" in command.text, lambda: command.text)
    return time.monotonic() - began


@pytest.mark.parametrize("options", [(), ("--watch",)], ids=["run", "watch"])
def test_outages_of_nine_seconds_end_nothing_and_a_loss_is_reported(
    options: tuple[str, ...], other_host: tuple[Line, dict[str, str]], tmp_path: Path
) -> None:
    line, alice = other_host
    project = write_project(tmp_path / "counts", app=COUNTS.format(word="first"), name="counts")
    with running("run", *options, "-C", project, "--device", "far", env=command_environment(alice)) as command:
        command.await_output("first 3")
        pass_two_outages(line)
        await_more(command, b"first")
        if options:
            (project / "app.py").write_text(COUNTS.format(word="second"))
            command.await_output("second 3")
        assert "was lost" not in command.text
        assert lose(line, command) < REPORTED_SECONDS
        if options:
            assert "trying to connect to far again" in command.text
            command.press_ctrl_c()
            command.finish()
        else:
            assert command.finish() == 4


def test_outages_end_no_console_in_the_app(other_host: tuple[Line, dict[str, str]], tmp_path: Path) -> None:
    """The run, the console in it, and `logs -f` of it, which reads what the run has printed."""
    line, alice = other_host
    project = write_project(tmp_path / "counts", app=COUNTS.format(word="first"), name="counts")
    environment = command_environment(alice)
    words = ("-C", project, "--device", "far")
    with running("run", "--watch", *words, env=environment) as command:
        command.await_output("first 3")
        with (
            running("logs", "-f", "-C", project, env=environment) as logs,
            Terminal("python", "--attach", *words, env={**environment, "TERM": "xterm"}) as user,
        ):
            logs.await_output("first 3")
            user.await_text(">>> ")
            user.type("6 * 7\n")
            user.await_text("42")
            pass_two_outages(line)
            await_more(command, b"first")
            await_more(logs, b"first")
            user.type("7 * 7\n")
            user.await_text("49")
            command.press_ctrl_c()
            command.finish()
            assert logs.finish() == 0
        assert "was lost" not in command.text
