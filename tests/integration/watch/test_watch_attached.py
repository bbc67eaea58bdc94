"""Consoles in apps that are restarted, that run without --watch, or that another version of incamera runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera import __version__

from ...waiting import wait_until
from ..command import Run, command_environment, running
from ..paths import REPOSITORY
from ..project import write_project
from ..terminal import Terminal
from .test_watch import FOREVER, traces, watched

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

AGENT = REPOSITORY / "packages" / "incamera-agent" / "src" / "incamera_agent"


def at_console(project: Path, camera: VirtualCamera) -> Terminal:
    words = ("python", "--attach", "-C", project, "--device", camera.name)
    return Terminal(*words, env={**command_environment(), "TERM": "xterm"})


@pytest.mark.matrix
def test_console_goes_on_in_the_new_run_after_a_restart(camera: VirtualCamera, tmp_path: Path) -> None:
    project = write_project(tmp_path / "again", app=f'word = "first"\nprint(word)\n{FOREVER}', name="again")
    with watched(project, camera) as watch:
        watch.await_("first")
        with at_console(project, camera) as user:
            user.await_text(">>> ")
            user.type("word\n")
            user.await_text("'first'")
            user.await_text(">>> ")
            user.type("wo")
            user.await_text("wo")
            watch.save("app.py", f'word = "second"\nprint(word)\n{FOREVER}')
            watch.await_("second")
            user.await_text("(the app was started again, and what you type is for the new run)")
            user.await_text(">>> wo")  # what had been typed is still there
            user.type("rd\n")
            user.await_text("'second'")
            watch.save("app.py", 'raise ValueError("on purpose")\n')
            user.await_text("(the app has ended)")
            watch.save("app.py", f'word = "third"\nprint(word)\n{FOREVER}')
            watch.await_("third")
            user.type("word\n")
            user.await_text("started again")
            user.await_text("'third'")
            watch.command.press_ctrl_c()
            assert watch.command.finish() == 0
            user.await_text("(the app has ended)")
            assert user.finish() == 0
            assert "Traceback" not in user.shown


@pytest.mark.parametrize("python", ["3.11", pytest.param("3.13", marks=pytest.mark.matrix)])
def test_run_without_watch_can_be_attached_to_and_is_not_changed_by_it(
    camera: VirtualCamera, tmp_path: Path, incamera: Run, python: str
) -> None:
    app = (
        "import os, sys, time, warnings\nwarnings.simplefilter('always')\n"
        "pid = os.fork()\nif pid == 0:\n    os._exit(0)\nos.waitpid(pid, 0)\n"
        "print('up', sys.argv, __name__, 'INCAMERA_ATTACH' in os.environ, os.open('/dev/null', 0), flush=True)\n"
        "ended = False\ndef wait():\n    while not ended:\n        time.sleep(0.05)\n"
        "wait()\nraise ValueError('at the end')\n"
    )
    project = write_project(tmp_path / "plainly", app=app, name="plainly", settings=f'python = "{python}"')
    with running("run", "--device", camera.name, "--", "one", env=command_environment(), cwd=project) as command:
        command.await_output("up ['app.py', 'one'] __main__ False 3\n")
        typed = "ended\nstacks()\nended = True\n"
        done = incamera("python", "--attach", "-C", project, "--device", camera.name, input=typed)
        assert done.code == 0, done.err
        assert done.out.startswith("False\nMainThread:\n")
        assert f'  File "{project}/app.py", line 11, in wait' in done.out
        assert command.finish() == 1
    assert re.search(r'Traceback .*:\n  File "[^"]*/plainly/app.py", line 13, in <module>\n', command.text)
    assert "ValueError: at the end" in command.text
    assert "incamera_agent" not in command.text
    assert "Warning" not in command.text
    assert traces(camera) == ""
    gone = incamera("python", "--attach", "-C", project, "--device", camera.name)
    assert gone.code == 4
    assert "incamera run" in gone.err


def other_version(folder: Path, *, protocol: int, version: str, tool: bool) -> dict[str, str]:
    """Return an environment in which incamera deploys an agent of another version, and with *tool* is that version.

    The host's own modules import the protocol from the agent's package, so only with *tool* that is the changed one.
    """
    package = (folder if tool else folder / "deployed") / "incamera_agent"
    shutil.copytree(AGENT, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in (
        ("wire/protocol.py", "PROTOCOL = 1\n", f"PROTOCOL = {protocol}\n"),
        ("__init__.py", '__version__ = "', f'__version__ = "{version}"  # "'),
    ):
        path = package / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
    change = (
        f"import incamera.device.agent as agent\nagent.__version__ = {version!r}\n"
        if tool
        else f"import pathlib, incamera.runtime.agent as agent\nagent.PACKAGE = pathlib.Path({str(package)!r})\n"
    )
    (folder / "sitecustomize.py").write_text(change)
    return {**command_environment(), "PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("protocol", "version", "remedy"),
    [pytest.param(0, "0.0.9", "start the app again", marks=pytest.mark.matrix), (2, "9.9", "newer")],
)
def test_error_for_an_agent_of_another_version_names_both(
    camera: VirtualCamera, tmp_path: Path, protocol: int, version: str, remedy: str
) -> None:
    project = write_project(tmp_path / "other", app=f"print('never')\n{FOREVER}", name="other")
    env = other_version(tmp_path / "agent", protocol=protocol, version=version, tool=False)
    with running("run", "--watch", "--device", camera.name, env=env, cwd=project) as command:
        assert command.finish() == 4
    assert f"the agent in the camera is {version} and speaks protocol {protocol}" in command.text
    assert f"this is incamera {__version__}, which speaks protocol 1" in command.text
    assert remedy in command.text
    assert "Traceback" not in command.text
    assert b"never" not in command.out
    assert traces(camera) == ""


@pytest.mark.matrix
@pytest.mark.parametrize(("protocol", "version"), [(0, "0.0.9"), pytest.param(2, "9.9", marks=pytest.mark.matrix)])
def test_error_for_a_camera_that_another_version_uses_names_both(
    camera: VirtualCamera, tmp_path: Path, incamera: Run, incamera_process: Run, protocol: int, version: str
) -> None:
    project = write_project(tmp_path / "theirs", app=f"print('theirs')\n{FOREVER}", name="shared")
    ours = write_project(tmp_path / "ours", app=f"print('ours')\n{FOREVER}", name="shared")
    env = other_version(tmp_path / "agent", protocol=protocol, version=version, tool=True)
    with running("run", "--watch", "--device", camera.name, env=env, cwd=project) as theirs:
        theirs.await_output("theirs")
        done = incamera("python", "--attach", "-C", ours, "--device", camera.name, input="1\n")
        assert done.code == 4
        assert f"the agent in the camera is {version} and speaks protocol {protocol}" in done.err
        assert f"incamera {__version__}, which speaks protocol 1" in done.err
        done = incamera_process("run", "--watch", "--device", camera.name, cwd=ours)
        assert done.code == 4
        assert "is running the app with `incamera run --watch`" in done.err
        assert theirs.process.poll() is None
        with watched(ours, camera, "--take-over") as watch:
            watch.await_("ours")
            assert theirs.finish() == 4
            assert "error: " in theirs.text
            assert "Traceback" not in theirs.text
    wait_until(lambda: traces(camera) == "", "nothing is left")
