"""Outages of the network, as long as they really are: 9 s without it, 6 s with it, 9 s without it; then it is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.terminal import Terminal

from ..waiting import wait_until
from .cameras import DEFAULT_PROFILE, OPENSSH_PROFILE, inside, lease_camera, on, write_ssh_home
from .command import COMMAND_SECONDS, Run, Running, command_environment, running
from .line import Line
from .places.conftest import other_host
from .project import add_data, write_project

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

__all__ = ["other_host"]

pytestmark = [pytest.mark.matrix, on(DEFAULT_PROFILE, OPENSSH_PROFILE)]

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


# In a deploy, the network fails when so many bytes are sent, and random data cannot be packed. Over a line on which
# each piece takes so long, all of them take longer than two outages and what is between them.
FIRST_BYTES, DATA_FILES, PIECE_SECONDS = 1_500_000, 24, 0.05


@pytest.fixture
def slow_host(tmp_path: Path, camera: VirtualCamera) -> Iterator[tuple[Line, dict[str, str]]]:
    """As `other_host`, over a slow line."""
    line = Line(camera.ssh_port, delay=PIECE_SECONDS)
    home = write_ssh_home(tmp_path / "home", "far", camera, port=line.port)
    yield line, {**home, "LOGNAME": "alice"}
    line.close()


def deployed(incamera: Run, project: Path, camera: VirtualCamera) -> str:
    """Deploy a bundle that prints "one", edit it, add what takes time to send, and return the bundle's folder."""
    done = incamera("deploy", "--json", "-C", project, "--device", camera.name)
    assert done.code == 0, done.err
    (project / "app.py").write_text("print('two')\n")
    add_data(project, files=DATA_FILES)
    assert incamera("build", "-C", project, "--target", "armv7hf").code == 0
    return str(json.loads(done.out)["destination"])


def await_sent(line: Line, sent: int, command: Running) -> None:
    wait_until(
        lambda: line.sent > sent or command.process.poll() is not None, lambda: command.text, seconds=COMMAND_SECONDS
    )
    assert command.process.poll() is None, f"the deploy ended before that was sent: {command.text}"


def test_outages_end_no_deploy(
    slow_host: tuple[Line, dict[str, str]], camera: VirtualCamera, incamera: Run, tmp_path: Path
) -> None:
    line, alice = slow_host
    project = write_project(tmp_path / "large", app="print('one')\n", name="large")
    deployed(incamera, project, camera)
    sent = line.sent
    with running("run", "-C", project, "--device", "far", env=command_environment(alice)) as command:
        await_sent(line, sent + FIRST_BYTES, command)
        line.pause()
        time.sleep(OUTAGE_SECONDS)
        line.resume()
        time.sleep(WELL_SECONDS)
        assert b"two" not in command.out, "all was sent before the second outage"
        line.pause()
        time.sleep(OUTAGE_SECONDS)
        line.resume()
        assert command.finish() == 0, command.text
    assert command.out == b"two\n"
    assert "was lost" not in command.text


def test_loss_in_a_deploy_leaves_the_earlier_bundle_and_the_next_deploy_sends_the_rest(
    slow_host: tuple[Line, dict[str, str]], camera: VirtualCamera, incamera: Run, tmp_path: Path
) -> None:
    line, alice = slow_host
    project = write_project(tmp_path / "large", app="print('one')\n", name="large")
    before = deployed(incamera, project, camera)
    folder = before.rpartition("/")[0]
    sent = line.sent
    with running("deploy", "-C", project, "--device", "far", env=command_environment(alice)) as command:
        await_sent(line, sent + FIRST_BYTES, command)
        assert lose(line, command) < REPORTED_SECONDS
        assert command.finish() == 4
        assert "hint:" in command.text
    # What came is kept under another name, and the bundle that was deployed before still runs.
    assert inside(camera, f"basename $(readlink {folder}/current)").strip() == before.rpartition("/")[2]
    assert len(inside(camera, f"ls {folder}").split()) == 3
    # The camera has not noticed the loss: its guard still waits for the rest.
    done = incamera("deploy", "--json", "-C", project, "--device", camera.name)
    assert done.code == 0, done.err
    assert 0 < json.loads(done.out)["files_sent"] < DATA_FILES
    ran = incamera("run", "-q", "-C", project, "--device", camera.name)
    assert (ran.code, ran.out) == (0, "two\n"), ran.err
    assert "partial" not in inside(camera, f"ls {folder}")
