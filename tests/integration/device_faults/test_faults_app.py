"""Apps that fail or do not end, and runs whose connection is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ...waiting import wait_until
from ..cameras import DEFAULT_PROFILE, OPENSSH_PROFILE, inside, on
from ..command import Run, command_environment, running
from .conftest import at_home, left_in

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from ..line import Line


pytestmark = on(DEFAULT_PROFILE, matrix=[OPENSSH_PROFILE])


def test_traceback_of_an_app_is_shown_without_an_error_of_ours(run_app: Run) -> None:
    done = run_app("raise")
    assert done.code == 1
    assert 'app.py", line 5, in main' in done.err
    assert done.err.rstrip().endswith("ValueError: what the app says")
    assert "error:" not in done.err.replace("ValueError:", "")


@pytest.mark.parametrize(("what", "code"), [("exit", 3), ("kill", 137), ("print", 0)])
def test_exit_code_of_the_app_is_the_commands(run_app: Run, what: str, code: int) -> None:
    assert run_app(what).code == code


def test_arguments_and_output_arrive_unchanged(run_app: Run) -> None:
    done = run_app("print", "a b", "$HOME", "'\"", "--json", "-c", "ü\n")
    assert done.out == "a b $HOME '\" --json -c ü\n\n"
    assert done.err == "to standard error\n"


def test_app_reads_standard_input_to_its_end(run_app: Run) -> None:
    assert run_app("read").out == "0 b''\n"
    assert run_app("read", input="x" * 3_000_000 + "last").out == "3000004 b'last'\n"


def test_app_answers_line_by_line(app: Path, camera: VirtualCamera) -> None:
    words = ("run", "-q", "-C", app, "--device", camera.name, "--", "lines")
    read, write = os.pipe()
    with running(*words, env=command_environment(), stdin=read) as command:
        os.close(read)
        for word in ("one", "two"):
            os.write(write, f"{word}\n".encode())
            command.await_output(f"got {word}\n")
        os.close(write)
        assert command.finish() == 0


def resident(pid: int) -> int:
    """Return the memory of a process, in bytes."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


@pytest.mark.matrix
def test_app_that_prints_without_end_waits_for_its_reader(app: Path, camera: VirtualCamera) -> None:
    """While nobody reads its output, the command's memory doesn't grow, and Ctrl-C ends it."""
    words = ("run", "-q", "-C", app, "--device", camera.name, "--", "flood")
    read, write = os.pipe()
    with running(*words, env=command_environment(), stdout=write) as command:
        os.close(write)
        got = 0
        while got < 5_000_000:
            got += len(os.read(read, 1 << 20))
        usual = resident(command.process.pid)
        # From here on nothing is read. The app waits, with its pipe full, once it takes no more processor time.
        seen = [-1, -2, -3]

        def stands_still() -> bool:
            # Processes end while they are listed.
            stats = "cat /proc/[0-9]*/stat 2>/dev/null"
            ticks = inside(camera, f"{stats} | grep ' (python3' | awk '{{s += $14 + $15}} END {{print s}}'")
            seen.append(int(ticks.strip() or 0))
            return seen[-1] == seen[-2]

        wait_until(stands_still, "the app waits for its reader")
        assert resident(command.process.pid) < usual + 30_000_000
        command.press_ctrl_c()
        while os.read(read, 1 << 20):
            pass
        assert command.finish() == 130
        os.close(read)
    wait_until(lambda: left_in(camera, "flood") == "", "the app is gone")


def test_ctrl_c_stops_the_app_and_its_children(app: Path, camera: VirtualCamera) -> None:
    words = ("run", "-q", "-C", app, "--device", camera.name, "--", "family")
    with running(*words, env=command_environment()) as command:
        command.await_output("parent of")
        assert "sleep 4321" in left_in(camera, "sleep 4321")
        command.press_ctrl_c()
        assert command.finish() == 130
    assert "KeyboardInterrupt" in command.text
    assert "this is a bug" not in command.text
    wait_until(lambda: left_in(camera, "family") + left_in(camera, "sleep 4321") == "", "nothing is left")


def test_second_ctrl_c_kills_the_app(app: Path, camera: VirtualCamera) -> None:
    words = ("run", "-q", "-C", app, "--device", camera.name, "--", "stubborn")
    with running(*words, env=command_environment()) as command:
        command.await_output("ignores it")
        command.press_ctrl_c()
        command.await_output("not yet")
        command.press_ctrl_c()
        assert command.finish() == 137
    wait_until(lambda: left_in(camera, "stubborn") == "", "nothing is left")


@pytest.mark.parametrize(
    "how",
    [
        "cut",
        pytest.param("frozen", marks=pytest.mark.matrix),
        "kill-9",
        pytest.param("terminated", marks=pytest.mark.matrix),
    ],
)
def test_app_ends_when_its_connection_ends(app: Path, camera: VirtualCamera, home: Path, line: Line, how: str) -> None:
    words = ("run", "-q", "-C", app, "--device", "cut", "--", "sleep")
    with running(*words, env=command_environment(at_home(home))) as command:
        command.await_output("sleeps as")
        if how == "cut":
            line.cut()
        elif how == "frozen":
            line.freeze()
        elif how == "kill-9":
            command.process.kill()
        else:
            command.process.send_signal(signal.SIGTERM)
        code = command.finish()
    assert code == {"cut": 4, "frozen": 4, "kill-9": -9, "terminated": 143}[how], command.text
    if how in ("cut", "frozen"):
        assert "the connection to cut was lost" in command.text
        assert "hint:" in command.text
        assert "Traceback" not in command.text
    wait_until(lambda: left_in(camera, "app.py sleep") == "", "the guard ends the app", seconds=90)
    wait_until(lambda: "incamera-run" not in inside(camera, "ls /tmp"), "nothing is left in /tmp")
