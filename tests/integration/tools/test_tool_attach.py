"""`incamera python --attach`: a console inside an app in a virtual camera."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.terminal import Terminal

from ..command import Run, command_environment
from .conftest import with_others

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from ..command import Running


@with_others
def test_console_evaluates_lines_from_standard_input(
    project: Path, camera: VirtualCamera, watched: Running, incamera: Run
) -> None:
    typed = (
        "import helper\nhelper.count > 0\nfor number in range(2):\n    print(number)\n\n1/0\nhelper.fail()\nstacks()\n"
    )
    done = incamera("python", "--attach", "-C", project, "--device", camera.name, input=typed)
    assert done.code == 0, done.err
    assert done.out.startswith("True\n0\n1\n")
    assert "ZeroDivisionError: division by zero\n" in done.out
    assert f'  File "{project}/helper.py", line' in done.out  # in the traceback and in the stacks
    assert re.search(r"MainThread:\n.*\n.*\n  File \"[^\"]*helper.py\", line \d+, in count_up\n", done.out)
    # The app goes on.
    again = incamera(
        "python", "--attach", "-C", project, "--device", camera.name, input="import helper; helper.count > 0"
    )
    assert again.out == "True\n"


def test_console_at_a_terminal_completes_interrupts_and_recalls(
    project: Path, camera: VirtualCamera, watched: Running
) -> None:
    words = ("python", "--attach", "-C", project, "--device", camera.name)
    with Terminal(*words, env={**command_environment(), "TERM": "xterm"}) as user:
        user.await_text(">>> ")
        user.type("import helper\n")
        user.await_text(">>> ")
        user.type("helper.cou\t")
        user.await_text("nt")
        user.insist("\x03", "KeyboardInterrupt")
        user.await_text(">>> ")
        user.type("exec(\"print('at', 'work')\\nwhile True: pass\")\n")
        user.await_text("\nat work")
        user.insist("\x03", "KeyboardInterrupt")
        user.await_text(">>> ")
        user.type("6 * 7\n")
        user.await_text("\n42")
        user.await_text(">>> ")
        user.type("\x1b[A")  # the previous line
        user.await_text("6 * 7")
        user.type("\n\x04")
        assert user.finish() == 0
    assert watched.process.poll() is None


def test_error_when_no_app_can_be_attached_to(project: Path, camera: VirtualCamera, incamera: Run) -> None:
    done = incamera("python", "--attach", "-C", project, "--device", camera.name)
    assert done.code == 4
    assert f"bell is not running in attachable mode on {camera.name}" in done.err
    assert "incamera run --watch" in done.err
