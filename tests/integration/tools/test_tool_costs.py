"""`run --profile-startup`, `top`, `ps` and `stop` of apps in a virtual camera."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.terminal import Terminal

from ...waiting import wait_until
from ..cameras import inside
from ..command import Run, Running, command_environment, running
from .conftest import with_others

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera


@with_others
def test_profile_of_the_start_names_phases_and_imports(project: Path, camera: VirtualCamera, incamera: Run) -> None:
    done = incamera("run", "-C", project, "--device", camera.name, "--profile-startup", "--json")
    assert done.code == 0
    profile = json.loads(done.out)
    phases = {phase["name"]: phase for phase in profile["phases"]}
    assert {"connect", "bundle", "deploy", "start", "imports", "app"} <= phases.keys()
    assert 0 < phases["start"]["inside"] <= phases["start"]["seconds"] + 0.02
    assert profile["seconds"] == pytest.approx(sum(phase["seconds"] for phase in profile["phases"]))
    tops = {item["name"]: item for item in profile["imports"]}
    assert {"logging", "helper"} <= tops.keys()
    assert tops["logging"]["seconds"] >= sum(child["seconds"] for child in tops["logging"]["children"])
    assert phases["imports"]["seconds"] == pytest.approx(sum(item["seconds"] for item in profile["imports"]))
    assert "42\n" in done.err
    assert "import time:" not in done.err


@with_others
def test_running_app_is_listed_measured_and_stopped(
    project: Path, camera: VirtualCamera, looping: Running, incamera: Run
) -> None:
    device = ("--device", camera.name)
    first = json.loads(incamera("top", *device, "--once", "--json").out)["processes"]
    assert [process["role"] for process in first] == ["app", "guard"]
    process = first[0]
    assert (process["app"], process["command"]) == ("bell", "python3 app.py loop 'two words'")
    assert process["resident"] > 1_000_000
    assert process["threads"] == 2  # one waits for a console to attach
    assert process["files"] >= 3
    inner = inside(camera, f"grep VmHWM /proc/{process['pid']}/status").split()[1]
    assert process["peak"] <= int(inner) * 1024

    with running("top", *device, "--json", "--every", "0.5", env=command_environment()) as top:
        wait_until(lambda: top.out.count(b"\n") >= 3, "there are three samples")
        top.process.send_signal(signal.SIGINT)
        assert top.finish() == 0
    samples = [json.loads(line) for line in top.out.splitlines()]
    assert all(sample["processes"][0]["cpu_percent"] > 0 for sample in samples)

    (listed,) = json.loads(incamera("ps", *device, "--json").out)["processes"]
    assert (listed["pid"], listed["role"]) == (process["pid"], "app")
    ended = json.loads(incamera("stop", "-C", project, *device, "--json").out)["ended"]
    assert [item["pid"] for item in ended] == [process["pid"]]
    assert looping.finish() == 128 + signal.SIGTERM
    assert json.loads(incamera("ps", *device, "--json").out)["processes"] == []
    assert "no process that incamera started runs" in incamera("ps", *device).err


def test_watched_app_that_is_stopped_is_not_started_again(
    project: Path, camera: VirtualCamera, watched: Running, incamera: Run
) -> None:
    ended = json.loads(incamera("stop", "-C", project, "--device", camera.name, "--json").out)["ended"]
    assert {"app", "agent", "fork server"} <= {item["role"] for item in ended}
    assert watched.finish() == 4
    assert "the app was stopped by another command" in watched.text
    assert json.loads(incamera("ps", "--device", camera.name, "--json").out)["processes"] == []


def test_processes_are_listed_by_role(project: Path, camera: VirtualCamera, incamera: Run) -> None:
    words = ("run", "--watch", "-C", project, "--device", camera.name, "--", "parent")
    with running(*words, env=command_environment()) as command:
        command.await_output("started")
        processes = json.loads(incamera("top", "--device", camera.name, "--once", "--json").out)["processes"]
        found = {process["role"]: process["command"] for process in processes}
        assert [process["role"] for process in processes] == ["app", "child", "fork server", "agent", "guard"]
        assert {process["app"] for process in processes} == {"bell"}
        assert (found["app"], found["child"]) == ("python3 app.py parent", "sleep 600")
        assert found["guard"].startswith("incamera-guard supervise ")
        with Terminal("top", "--device", camera.name, env={**command_environment(), "TERM": "xterm"}) as user:
            for shown in ("bell runs", "python3 app.py parent", "fork server", "python3 app.py parent"):
                user.await_text(shown)  # the last one in the next refresh
            user.type("\x03")
            assert user.finish() == 0
        command.press_ctrl_c()
        command.finish()
