"""What is kept between two commands: the connection, and the agent that waits in the camera and forks the app."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.holder.client import close_connections, list_connections

from ...waiting import wait_until
from ..cameras import inside
from ..command import COMMAND_SECONDS, Finished, Run, command_environment, running
from ..paths import STORE
from ..project import write_project
from ..telling import TELL
from ..terminal import Terminal

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

HELD = {"INCAMERA_COLD": "0"}
FOREVER = "import time\nwhile True:\n    time.sleep(0.05)\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "held", app='import sys\nprint("first", sys.argv[1:])\n', name="held")


def run(incamera: Run, project: Path, camera: VirtualCamera, *words: str, command: str = "run") -> Finished:
    done = incamera(command, "-C", project, "--device", camera.name, *words, env=HELD)
    assert done.code == 0, done.err
    return done


def waits(camera: VirtualCamera) -> str:
    """Return which agents wait in the camera, by the time of their start."""
    return inside(camera, "for p in /proc/[0-9]*; do grep -q -- '[-]-kept' $p/cmdline 2>/dev/null && echo $p; done")


def test_second_run_is_a_fork_with_the_edited_files(camera: VirtualCamera, project: Path, incamera: Run) -> None:
    assert "first ['a b']" in run(incamera, project, camera, "--", "a b").out
    agent = waits(camera)
    (project / "app.py").write_text("import other\n")
    (project / "other.py").write_text('print("second")\n')
    done = run(incamera, project, camera)
    assert (done.out, "deploy" in done.err) == ("second\n", False)
    (project / "other.py").unlink()
    (project / "app.py").write_text("print('third')\ntry:\n    import other\nexcept ImportError:\n    print('gone')\n")
    assert run(incamera, project, camera).out == "third\ngone\n"
    assert run(incamera, project, camera, "-c", "print(6 * 7)", command="python").out == "42\n"
    assert waits(camera) == agent != ""
    listed = incamera("ps", "-C", project, "--device", camera.name, "--json", env=HELD)
    assert {"agent", "fork server"} <= {process["role"] for process in json.loads(listed.out)["processes"]}


def test_top_leaves_nothing_in_the_camera(camera: VirtualCamera, project: Path, incamera: Run) -> None:
    def listings() -> str:
        return inside(camera, "ps | grep '[p]rocesses every' | wc -l").strip()

    done = incamera("top", "--once", "-C", project, "--device", camera.name, env=HELD)
    assert done.code == 0, done.err
    assert list_connections(STORE)
    wait_until(lambda: listings() == "0", "the guard that lists processes has ended")


@pytest.mark.matrix
def test_app_sees_no_difference(camera: VirtualCamera, tmp_path: Path, incamera: Run) -> None:
    project = write_project(tmp_path / "told", app=TELL, name="told")
    cold = _told(incamera("run", "--cold", "-C", project, "--device", camera.name, "--", "x y", env=HELD))
    held = [_told(run(incamera, project, camera, "--", "x y")) for _ in range(2)]
    assert held == [cold, cold]


def _told(done: Finished) -> dict[str, Any]:
    assert done.code == 0, done.err
    line, end = done.out.splitlines()
    assert end == "exit functions run"
    told: dict[str, Any] = json.loads(line)
    for name in ("INCAMERA_RUN", "SSH_CLIENT", "SSH_CONNECTION"):
        told["environment"].pop(name)
    return told


@pytest.mark.parametrize(
    ("app", "code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 11)", 139), ("1 / 0", 1)]
)
def test_exit_code_is_the_apps_own(camera: VirtualCamera, project: Path, incamera: Run, app: str, code: int) -> None:
    run(incamera, project, camera)
    (project / "app.py").write_text(f"{app}\n")
    done = incamera("run", "-C", project, "--device", camera.name, env=HELD)
    assert done.code == code
    assert ("the app was killed by SIGSEGV" in done.err) == (code == 139)
    if code != 7:
        assert f'File "{project}/app.py", line 1' in done.err
    assert "incamera_agent" not in done.err


@pytest.mark.parametrize("broken", ["app.py", "lamp.py"])
def test_file_that_is_no_python_is_refused_before_it_is_sent(
    camera: VirtualCamera, project: Path, incamera: Run, broken: str
) -> None:
    run(incamera, project, camera)
    (project / "app.py").write_text("import lamp\n")
    (project / broken).write_text("print(\n")
    for environment in (HELD, {}):
        done = incamera("run", "-C", project, "--device", camera.name, env=environment)
        assert done.code == 5
        assert f"{broken} has a syntax error, so nothing was sent to the camera" in done.err
        assert f'  File "{project}/{broken}", line 1' in done.err


def test_ctrl_c_stop_and_sigkill_end_the_app(camera: VirtualCamera, project: Path, incamera: Run) -> None:
    run(incamera, project, camera)
    (project / "app.py").write_text(f'print("up", flush=True)\n{FOREVER}')
    words = ("run", "-C", project, "--device", camera.name)
    with running(*words, env=command_environment(HELD)) as command:
        command.await_output("up")
        command.press_ctrl_c()
        assert command.finish() == 130
        assert "KeyboardInterrupt" in command.text
    with running(*words, env=command_environment(HELD)) as command:
        command.await_output("up")
        assert incamera("stop", "-C", project, "--device", camera.name, env=HELD).code == 0
        assert command.finish() == 143
    with running(*words, env=command_environment(HELD)) as command:
        command.await_output("up")
        command.process.kill()
        command.finish()
    wait_until(lambda: inside(camera, "ps | grep '[a]pp.py' | wc -l").strip() == "0", "the app ends", COMMAND_SECONDS)


def test_second_shell_runs_beside_the_first_and_can_attach(camera: VirtualCamera, project: Path, incamera: Run) -> None:
    (project / "app.py").write_text(f'number = 41\nprint("up", flush=True)\n{FOREVER}')
    with running("run", "-C", project, "--device", camera.name, env=command_environment(HELD)) as command:
        command.await_output("up")
        assert run(incamera, project, camera, "-c", "print('beside')", command="python").out == "beside\n"
        done = incamera("python", "--attach", "-C", project, "--device", camera.name, input="number + 1\n", env=HELD)
        assert done.out == "42\n"
        command.press_ctrl_c()
        command.finish()
    assert "up" in incamera("logs", "-C", project, env=HELD).out


def test_forked_app_has_the_users_terminal(camera: VirtualCamera, project: Path, incamera: Run) -> None:
    run(incamera, project, camera)
    (project / "app.py").write_text(
        "import os\nprint(os.get_terminal_size(), os.isatty(0))\nprint(input('name? ')[::-1])\n"
    )
    words = ("run", "-C", project, "--device", camera.name)
    with Terminal(*words, env={**command_environment(HELD), "TERM": "xterm"}) as user:
        user.await_text("columns=100, lines=30) True")
        user.await_text("name? ")
        user.type("amor\n")
        user.await_text("roma")
        assert user.finish() == 0


def test_killed_holder_leaves_nothing_in_the_camera(camera: VirtualCamera, project: Path, incamera: Run) -> None:
    run(incamera, project, camera)
    assert waits(camera)
    pid, _ = list_connections(STORE)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert "first" in run(incamera, project, camera, "--cold").out
    wait_until(lambda: not waits(camera), "the agent has ended", COMMAND_SECONDS)
    assert "first" in run(incamera, project, camera).out


def test_connections_are_listed_and_closed(camera: VirtualCamera, project: Path, incamera: Run) -> None:
    close_connections(STORE, camera.name)  # an agent waits for each of the projects of the tests before
    run(incamera, project, camera)
    listed = json.loads(incamera("connections", "list", "--json", env=HELD).out)
    (kept,) = [one for one in listed["connections"] if one["device"] == camera.name]
    assert kept["waiting"] == ["held"]
    assert incamera("connections", "close", camera.name, env=HELD).out == f"closed: {camera.name}\n"
    wait_until(lambda: not waits(camera), "the agent has ended", COMMAND_SECONDS)


@pytest.mark.matrix
def test_working_folder_stays_across_edits_and_deploys(camera: VirtualCamera, tmp_path: Path, incamera: Run) -> None:
    app = 'import os\nprint("{}", os.getcwd(), os.path.exists("mine"), open("words.txt").read(), flush=True)\n'
    project = write_project(
        tmp_path / "stays", app=f'{app.format("deployed")}open("mine", "w").close()\n', name="stays"
    )

    def edit(name: str) -> None:
        (project / "app.py").write_text(app.format(name))
        (project / "words.txt").write_text(f"words of {name}")

    (project / "words.txt").write_text("words of deployed")
    _, folder, *told = run(incamera, project, camera).out.split()
    assert (folder, told) == ("/tmp/incamera/.work/stays/app", ["False", "words", "of", "deployed"])
    assert run(incamera, project, camera).out == f"deployed {folder} True words of deployed\n"
    for name, words in (("edited", []), ("edited again", []), ("deployed again", ["--cold"]), ("edited last", [])):
        edit(name)
        assert run(incamera, project, camera, *words).out == f"{name} {folder} True words of {name}\n"
    watch = ("run", "--watch", "-C", project, "--device", camera.name)
    with running(*watch, env=command_environment(HELD)) as command:
        command.await_output(f"edited last {folder} True")
        edit("watched")
        command.await_output(f"watched {folder} True words of watched")
        command.press_ctrl_c()
        command.finish()
