"""Apps that run: their log, run modes, the start limit, and how they are stopped."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.vapix.packages import manifest, public_key, sign
from tests.waiting import wait_until

from incamera.axis_os import running
from incamera.axis_os.applications import Code, Refused
from incamera.axis_os.camera import Camera, Places
from incamera.axis_os.facts import Facts

pytestmark = pytest.mark.starts_processes
Install = Callable[..., None]


def open_camera(folder: Path) -> Camera:
    places = Places(packages=folder / "packages", kept=folder / "kept" / "state.json", parameters=folder / "parameters")
    facts = Facts(version="12.9.57", architecture="armv7hf", serial="0123456789AB")
    camera = Camera(facts, places, signing_key=public_key())
    camera.prepare()
    camera.boot()
    return camera


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    camera = open_camera(tmp_path)
    yield camera
    for app, is_running in camera.apps():
        if is_running:
            camera.control("stop", app.name)


def install(camera: Camera, script: str, *, files: dict[str, str] | None = None, **setup: Any) -> None:
    packed = io.BytesIO()
    contents = {
        "own_app": f"#!/bin/sh\n{script}\n",
        "package.conf": "",
        "manifest.json": json.dumps(manifest(**setup)),
        **(files or {}),
    }
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, text in contents.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o755
            archive.addfile(info, io.BytesIO(text.encode()))
    path = camera.places.kept.with_name("own.eap")
    path.write_bytes(sign(gzip.compress(packed.getvalue())))
    camera.install(path)


def shown(camera: Camera) -> list[str]:
    return [line.partition("] ")[2] for line in camera.log.show(None).splitlines()[2:]]


def test_output_of_an_app_is_in_the_log_and_it_ends_with_sigterm(camera: Camera) -> None:
    install(camera, 'echo "hello $G_SLICE $(pwd)"; echo oops >&2; sleep 60 & wait', runOptions="a 'b c'")
    camera.control("start", "own_app")
    folder = camera.places.packages / "own_app"
    wait_until(lambda: any("oops" in line for line in shown(camera)), "the app's output is in the log")
    assert any(line.endswith(f"]: hello always-malloc {folder}") for line in shown(camera))
    assert camera.apps()[0][1]
    with pytest.raises(Refused) as caught:
        camera.control("start", "own_app")
    assert caught.value.code == Code.already_running
    camera.control("stop", "own_app")
    assert not camera.apps()[0][1]
    assert shown(camera)[-1] == "systemd[1]: Stopped sdkown_app.service - own_app."


def test_app_is_told_which_resources_its_manifest_asks_for(camera: Camera) -> None:
    resources = {"overlay": {"enabled": True, "required": False}, "deviceDataHub": {"enabled": False}}
    document = manifest() | {"schemaVersion": "2.2.0", "resources": resources}
    install(camera, 'echo "may: $INCAMERA_RESOURCES."', files={"manifest.json": json.dumps(document)})
    camera.control("start", "own_app")
    wait_until(lambda: any(line.endswith("may: overlay.") for line in shown(camera)), lambda: str(shown(camera)))


def test_app_that_ignores_sigterm_is_killed(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "STOP_SECONDS", 0.2)
    install(camera, "trap '' TERM; echo up; while :; do sleep 1; done")
    camera.control("start", "own_app")
    wait_until(lambda: any(line.endswith(": up") for line in shown(camera)), "the app has started")
    camera.control("stop", "own_app")
    assert any("'stop-sigterm' timed out. Killing." in line for line in shown(camera))


@pytest.mark.parametrize(
    ("mode", "code", "starts"),
    [("respawn", 0, 5), ("respawnOnFailure", 1, 5), ("respawnOnFailure", 0, 1), ("once", 1, 1), ("never", 1, 1)],
)
def test_app_that_ends_is_started_again_by_its_run_mode_until_the_limit(
    mode: str, code: int, starts: int, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "START_LIMIT_SECONDS", 1e6)  # on a busy computer, five starts take long
    install(camera, f"echo up; exit {code}", runMode=mode)
    camera.control("start", "own_app")
    last = "Failed to start" if starts > 1 else "Deactivated" if code == 0 else "Failed with result 'exit-code'."
    wait_until(lambda: any(last in line for line in shown(camera)), "the app has ended")
    wait_until(lambda: not camera.apps()[0][1], "the app is seen to have ended")
    assert sum(line.endswith(": up") for line in shown(camera)) == starts
    if starts > 1:
        assert any("Start request repeated too quickly." in line for line in shown(camera))


def test_program_that_cannot_be_executed_is_told_as_systemd_does(camera: Camera) -> None:
    install(camera, "")
    (camera.places.packages / "own_app" / "own_app").write_bytes(b"\x7fELF\1\1\1")
    with pytest.raises(Refused) as caught:
        camera.control("start", "own_app")
    assert caught.value.code == Code.not_started
    assert any("Failed at step EXEC spawning" in line for line in shown(camera))


@pytest.mark.parametrize(("mode", "runs"), [("respawn", True), ("once", True), ("never", False)])
def test_started_app_runs_after_a_restart_of_the_camera_by_its_run_mode(
    mode: str, runs: bool, camera: Camera, tmp_path: Path
) -> None:
    install(camera, "sleep 60", runMode=mode)
    camera.control("start", "own_app")
    again = open_camera(tmp_path)
    assert again.apps()[0][1] is runs
    if runs:
        again.control("stop", "own_app")
        assert not open_camera(tmp_path).apps()[0][1]


def test_running_app_runs_again_after_an_upgrade_in_its_new_version(camera: Camera) -> None:
    install(camera, "echo one; sleep 60")
    camera.control("start", "own_app")
    install(camera, "echo two; sleep 60", version="2.0.0")
    assert camera.apps()[0][1]
    wait_until(lambda: any(line.endswith(": two") for line in shown(camera)), "the new version has started")


@pytest.mark.parametrize(("script", "installed"), [("echo ready >localdata/x", True), ("exit 77", False)])
def test_install_script_decides(script: str, installed: bool, camera: Camera) -> None:
    files = {"post.sh": f"#!/bin/sh\n{script}\n", "package.conf": 'POSTINSTALLSCRIPT="post.sh"\n'}
    if installed:
        install(camera, "", files=files)
        assert (camera.places.packages / "own_app" / "localdata" / "x").exists()
    else:
        with pytest.raises(Refused, match="exit code 77"):
            install(camera, "", files=files)
        assert camera.apps() == []


def test_parameters_of_the_package_keep_their_values_over_an_upgrade(camera: Camera) -> None:
    files = {"param.conf": 'Level="3" type="string"\nSecret="x" type="password"\n'}
    install(camera, "", files=files)
    assert camera.parameters()["root.Own_app.Level"] == "3"
    assert camera.parameters()["root.Own_app.Secret"] == "******"
    camera.set_parameters({"root.Own_app.Level": '4 "'})
    install(camera, "", files={"param.conf": files["param.conf"] + "New=1\n"}, version="2.0.0")
    assert {name: value for name, value in camera.parameters().items() if "Own_app" in name} == {
        "root.Own_app.Level": '4 "',
        "root.Own_app.Secret": "******",
        "root.Own_app.New": "1",
    }
    camera.control("remove", "own_app")
    assert not any("Own_app" in name for name in camera.parameters())


def test_refused_install_leaves_the_installed_app_running(camera: Camera) -> None:
    install(camera, "sleep 60")
    camera.control("start", "own_app")
    with pytest.raises(Refused):
        install(camera, "", architecture="aarch64")
    assert camera.apps()[0][1]
