"""Models that need LiteRT, in virtual cameras and on this computer; and what happens when its process ends."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from incamera.build.litert import ensure_litert
from incamera.targets.profile import require_profile
from incamera.virtual.camera import Extras, require_camera, stop_camera
from incamera.virtual.start import start_virtual

from ..unit.acap_inference.conftest import built_module, inference
from ..unit.acap_inference.networks import real
from ..waiting import wait_until
from .cameras import DEFAULT_PROFILE, PROFILES, on
from .command import Finished, Running, command_environment, running
from .paths import REPOSITORY, STORE

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.store import Store
    from incamera.virtual.camera import VirtualCamera

    from .command import Run

__all__ = ["built_module", "inference"]

GAINS = np.arange(4, dtype="float32").reshape(1, 1, 1, 4)
PICTURE = np.linspace(-1, 1, 768, dtype="float32").reshape(1, 16, 16, 3)


def hostile() -> bytes:
    """Return a damaged model. LiteRT takes it for a good one, and reads and writes what is not its own."""
    data, chance = bytearray(real().render()), random.Random(579)
    for _ in range(chance.randrange(1, 7)):
        data[chance.randrange(8, len(data))] = chance.choice([0, 255, chance.randrange(256)])
    return bytes(data)


@pytest.fixture
def project(context: Context, tmp_path: Path) -> Path:
    """The app, for which the store has LiteRT."""
    ensure_litert(context)
    shutil.copytree(Path(__file__).parent / "projects/litert", tmp_path / "litert")
    shutil.copytree(REPOSITORY / "packages/acap", tmp_path / "acap", ignore=shutil.ignore_patterns("_*.c", "build"))
    (tmp_path / "litert/real.tflite").write_bytes(real().render())
    (tmp_path / "litert/hostile.tflite").write_bytes(hostile())
    return tmp_path / "litert"


@pytest.fixture
def on_this_computer(inference: None, project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Runs the model here, over the library that stands alone."""
    import sys

    import acap

    monkeypatch.setenv("INCAMERA_LITERT", sys.executable)
    monkeypatch.setenv("INCAMERA_STORE", str(STORE))

    def run() -> list[str]:
        with acap.inference.Model(project / "real.tflite") as model:
            return [base64.b64encode(np.asarray(one).tobytes()).decode() for one in model.run(GAINS, PICTURE)]

    return run


def told(done: Finished) -> dict[str, list[str]]:
    assert done.code == 0, done.err
    return {name: values for name, *values in map(json.loads, done.out.splitlines())}


def told_by(command: Running) -> list[list[str]]:
    """Return what the app has told in whole lines."""
    whole = command.out.rpartition(b"\n")[0].decode()
    return [json.loads(line) for line in whole.splitlines() if line.startswith("[")]


def inference_processes(camera: VirtualCamera) -> list[int]:
    """Return the processes in which the camera's models run."""
    children = Path(f"/proc/{camera.pid}/task/{camera.pid}/children").read_text().split()
    return [pid for pid in map(int, children) if b"inference_service" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def is_paused(store: Store, name: str) -> bool:
    return require_camera(store, name).paused


@on(DEFAULT_PROFILE, matrix=[profile for profile in PROFILES if profile != DEFAULT_PROFILE])
def test_model_gives_the_same_in_the_camera_and_here_also_after_a_hostile_one(
    camera: VirtualCamera, incamera: Run, project: Path, on_this_computer: Callable[[], list[str]]
) -> None:
    seen = told(incamera("run", "--device", camera.name, "-C", project, "--", "once"))
    assert seen["hostile"][0] == "InferenceFailed"
    assert "LiteRT ended" in seen["hostile"][1]
    assert seen["outputs"] == on_this_computer()
    scaled, features = (np.frombuffer(base64.b64decode(text), "float32") for text in seen["outputs"])
    np.testing.assert_array_equal(scaled, features * np.tile(GAINS.ravel(), 256))
    assert len(set(features)) > 100


@on(DEFAULT_PROFILE)
def test_app_goes_on_when_the_process_of_its_models_is_killed(
    camera: VirtualCamera, project: Path, on_this_computer: Callable[[], list[str]]
) -> None:
    wanted = json.dumps(["outputs", *on_this_computer()])
    words = ("run", "-C", project, "--device", camera.name, "--", "loop")
    with running(*words, env=command_environment()) as command:

        def another(gone: int) -> bool:
            return inference_processes(camera) not in ([gone], [])

        command.await_output(wanted)
        for _ in range(3):
            [process] = wait_until(lambda: inference_processes(camera), "the process runs")
            os.kill(process, signal.SIGKILL)
            wait_until(partial(another, process), lambda: f"there is another: {command.out!r} {command.text}")
        wait_until(lambda: told_by(command)[-1] == json.loads(wanted), lambda: f"the app goes on: {command.text}")
        command.press_ctrl_c()
        command.finish()
    lines = told_by(command)
    assert all(line in (json.loads(wanted), ["InferenceFailed"]) for line in lines), lines


@pytest.mark.matrix
def test_two_cameras_and_a_pause(
    context: Context, store: Store, incamera: Run, project: Path, on_this_computer: Callable[[], list[str]]
) -> None:
    """Each camera has a process of its own, which a pause does not end."""
    wanted = on_this_computer()
    cameras = [
        start_virtual(
            context,
            require_profile(profile),
            name=f"litert-{number}-{os.getpid()}",
            owner_pid=os.getpid(),
            extras=Extras(pause_after=0.2),
        )
        for number, profile in enumerate(("axis-os-11-armv7hf", "axis-os-11-aarch64"))
    ]
    try:
        for _ in range(2):
            for camera in cameras:
                seen = told(incamera("run", "--device", camera.name, "-C", project, "--", "once"))
                assert seen["outputs"] == wanted
            for camera in cameras:
                incamera("connections", "close")
                wait_until(partial(is_paused, store, camera.name), "the camera is paused")
        assert all(len(inference_processes(require_camera(store, camera.name))) == 1 for camera in cameras)
    finally:
        for camera in cameras:
            stop_camera(store, camera.name)
