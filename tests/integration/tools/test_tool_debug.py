"""`incamera debug`, and breakpoint() at a terminal, of apps in a virtual camera."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.dap import Debugger
from tests.integration.terminal import Terminal

from ...waiting import wait_until
from ..command import Run, command_environment, running
from .app import HELPER, left_behind
from .conftest import with_others

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@with_others
def test_debugger_stops_at_a_breakpoint_and_shows_variables(
    project: Path, camera: VirtualCamera, incamera: Run
) -> None:
    port = free_port()
    line = HELPER.splitlines().index("    return result") + 1
    words = ("debug", "-C", project, "--device", camera.name, "--port", port, "--write-launch")
    with running(*map(str, words), env=command_environment()) as command:
        wait_until(
            lambda: f"127.0.0.1:{port}" in command.text or command.process.poll() is not None, "it listens", seconds=180
        )
        (configuration,) = json.loads((project / ".vscode" / "launch.json").read_text())["configurations"]
        with Debugger(port) as debugger:
            debugger.attach(configuration, project, {project / "helper.py": [line]})
            assert debugger.stopped_at() == (str(project / "helper.py"), line, {"result": "42", "value": "21"})
            assert command.out == b""
            # Two debug sessions share a folder: starting a second would delete the first's files.
            second = incamera("debug", "-C", project, "--device", camera.name, "--port", str(free_port()))
            assert second.code == 4
            assert "is being debugged on" in second.err
            debugger.go_on()
            debugger.event("terminated")
        assert command.finish() == 0
    assert command.out == b"42\n"
    assert left_behind(camera) == []


def test_error_names_a_port_that_is_in_use(project: Path, camera: VirtualCamera, incamera: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = incamera("debug", "-C", project, "--device", camera.name, "--port", str(port))
    assert done.code == 2
    assert f"port {port} on this computer cannot be used" in done.err
    assert left_behind(camera) == []


def test_breakpoint_starts_pdb_at_the_terminal(project: Path, camera: VirtualCamera) -> None:
    words = ("run", "-C", project, "--device", camera.name, "--", "stop")
    with Terminal(*words, env={**command_environment(), "TERM": "xterm"}) as user:
        user.await_text(f"> {project}/app.py(")
        user.await_text("(Pdb) ")
        user.type("p answer + 1\n")
        user.await_text("\n43")
        user.type("answer = 7\n")
        user.type("continue\n")
        user.await_text("answer 7")
        assert user.finish() == 0
