"""An app that uses the camera's events and parameters, in the virtual camera."""

from __future__ import annotations

import collections
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.virtual.services import PARAMETERS_FOLDER

from ..waiting import wait_until
from .cameras import DEFAULT_PROFILE, PROFILES, inside, on
from .command import command_environment, running

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from .command import Run


@pytest.fixture
def app(tmp_path: Path, camera: VirtualCamera) -> Path:
    """An app whose parameters no earlier test has set in *camera*."""
    inside(camera, f"rm -f {PARAMETERS_FOLDER}/services")
    folder = tmp_path / "services"
    shutil.copytree(Path(__file__).parent / "projects/services", folder)
    return folder


def shown_events(incamera: Run, camera: VirtualCamera) -> Any:
    """Return the values of the app's state, as the command line shows them."""
    shown = json.loads(incamera("virtual", "events", "--json", "--device", camera.name).out)["events"]
    return [one["data"] for one in shown if one["topic"].endswith("/services/Door")]


def await_door(incamera: Run, camera: VirtualCamera, opened: int) -> None:
    wait_until(lambda: shown_events(incamera, camera) == [{"opened": opened}], "the state is shown")


@on(DEFAULT_PROFILE, matrix=[profile for profile in PROFILES if profile != DEFAULT_PROFILE])
def test_app_has_events_and_parameters(camera: VirtualCamera, incamera: Run, app: Path) -> None:
    for interval, more in ((5, {}), (6, {"Level": "3"})):  # the first one's value stays, the second one is added
        if more:
            with (app / "pyproject.toml").open("a", encoding="utf-8") as settings:
                settings.write('Level = "3"\n')
        done = incamera("run", "--device", camera.name, cwd=app)
        assert done.code == 0, done.err
        told: dict[str, list[Any]] = collections.defaultdict(list)
        for line in done.out.splitlines():
            kind, *rest = json.loads(line)
            told[kind].append(rest)
        assert told["parameters"] == [[{"Interval": str(interval)} | more, "ACCC8E000000"]]
        assert told["changed"] == [[str(interval + 1)]]
        topic = "tnsaxis:CameraApplicationPlatform/services/Door"
        assert told["topic"] == [[topic]]
        assert told["event"] == [[topic, {"open": False}], [topic, {"open": True}]]
        assert told["refused"] == [["the key strength of the event Knock takes float, not str"]]


@on(DEFAULT_PROFILE, matrix=["axis-os-10-aarch64"])
def test_command_line_sends_events_and_sets_parameters(camera: VirtualCamera, incamera: Run, app: Path) -> None:
    here = ("--device", camera.name)
    port = "tns1:Device/tnsaxis:IO/Port"
    assert incamera("virtual", "send-event", "--state", port, "port=1", "state=true", *here).code == 0
    with running("run", "-C", app, *here, "--", "serve", env=command_environment()) as command:
        command.await_output('["port", {"state": true, "port": 1}]')
        changed = incamera("virtual", "set-param", "services.Interval=9", "--json", *here)
        assert [(one["name"], one["value"]) for one in json.loads(changed.out)["params"]] == [("Interval", "9")]
        command.await_output('["changed", "9"]')

        def opened() -> Any:
            return shown_events(incamera, camera)

        wait_until(lambda: opened() == [{"opened": 9}], "the state is shown")
        assert "services.Interval" in incamera("virtual", "params", *here).out
        wrong = incamera("virtual", "set-param", "services.Inteval=9", *here)
        assert (wrong.code, "there is no parameter services.Inteval" in wrong.err) == (2, True)
        assert incamera("virtual", "send-event", port, "port=0", "state=false", *here).code == 0
        assert command.finish() == 0
    assert opened() == []


@on(DEFAULT_PROFILE, matrix=["axis-os-11-aarch64"])
def test_changes_and_events_come_when_the_service_was_killed(camera: VirtualCamera, incamera: Run, app: Path) -> None:
    """With `kill -9`, while the app waits: it hears of what is set from then on."""
    here = ("--device", camera.name)
    with running("run", "-C", app, *here, "--", "serve", env=command_environment()) as command:
        command.await_output('["ready", ["Interval"]]')
        for value in ("8", "9"):
            assert incamera("virtual", "fault", "set", "service-killed", *here).code == 0
            assert incamera("virtual", "set-param", f"services.Interval={value}", *here).code == 0
            command.await_output(f'["changed", "{value}"]')
            await_door(incamera, camera, int(value))
            port = ("tns1:Device/tnsaxis:IO/Port", f"port={value}", "state=true")
            assert incamera("virtual", "send-event", "--state", *port, *here).code == 0
            command.await_output(f'["port", {{"state": true, "port": {value}}}]')
        command.press_ctrl_c()
        command.finish()


@on(matrix=["axis-os-11-armv7hf", "axis-os-11-aarch64"])
def test_app_reads_messages(camera: VirtualCamera, incamera: Run, app: Path) -> None:
    done = incamera("run", "--device", camera.name, "--", "messages", cwd=app)
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    boxes = [box for kind, box in lines if kind == "seen"]
    assert len(boxes) == 3
    assert all(0 <= box["left"] < box["right"] <= 1 for box in boxes)
    assert lines[-1][0] == "refused"
    assert "this camera has the message broker" in lines[-1][1]


@on(matrix=["axis-os-10-aarch64"])
def test_camera_without_messages_is_told(camera: VirtualCamera, incamera: Run, app: Path) -> None:
    done = incamera("run", "--device", camera.name, "--", "messages", cwd=app)
    assert done.code != 0
    assert "LibraryMissing: this camera has no messages" in done.err + done.out


@pytest.mark.matrix
@on(DEFAULT_PROFILE)
def test_parameter_that_is_declared_while_the_app_runs_is_there(camera: VirtualCamera, app: Path) -> None:
    here = ("--device", camera.name)
    with running("run", "--watch", "-C", app, *here, "--", "serve", env=command_environment()) as command:
        command.await_output('["ready", ["Interval"')
        with (app / "pyproject.toml").open("a", encoding="utf-8") as settings:
            settings.write('Tone = "low"\n')
        command.await_output('"Tone"]]')
        command.press_ctrl_c()
        assert command.finish() == 0
