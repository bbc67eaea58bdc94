"""Faults that are set for a virtual camera: what an app meets, with the newest stand-ins on this computer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.acap_inference.conftest import inference, model_file
from tests.unit.acap_video.conftest import built_module, fresh_settings, video

import acap

__all__ = ["built_module", "fresh_settings", "inference", "model_file", "video"]
pytestmark = pytest.mark.usefixtures("video")


class Faults:
    """The folder that `incamera virtual fault` writes to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def set(self, name: str, value: int | str = "") -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_text(f"{value}\n")

    def clear(self, name: str) -> None:
        (self.folder / name).unlink()


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    monkeypatch.setenv("INCAMERA_FAULTS", str(tmp_path / "faults"))
    return Faults(tmp_path / "faults")


def test_stream_is_made_again_after_a_restart(faults: Faults) -> None:
    with acap.video.Stream(320, 240, "nv12", framerate=60) as stream, acap.video.Stream(320, 240) as other:
        next(stream)
        next(other)
        for number in (7, 5):
            faults.set("video-restart", number)
            next(stream)
            next(other)
        assert (stream.rebuilt, other.rebuilt) == (2, 2)
        next(stream)
        assert stream.rebuilt == 2
    with acap.video.Stream(320, 240) as later:
        next(later)
        assert later.rebuilt == 0


def test_service_that_is_down_is_an_error_until_it_is_cleared(faults: Faults) -> None:
    with acap.video.Stream(320, 240, framerate=60, timeout=0.3) as stream:
        next(stream)
        faults.set("video-down")
        with pytest.raises(acap.ServiceDown):
            next(stream)
        with pytest.raises(acap.ServiceDown):
            acap.video.Stream(320, 240, timeout=0.1)
        faults.clear("video-down")
    acap.video.Stream(320, 240).close()


@pytest.mark.parametrize("name", ["no-memory", "device-busy"])
def test_stream_is_refused(faults: Faults, name: str) -> None:
    with acap.video.Stream(320, 240) as stream:
        next(stream)
        faults.set(name)
        next(stream)  # those that run go on
        with pytest.raises(acap.NoMoreStreams):
            acap.video.Stream(320, 240)
        faults.clear(name)
        acap.video.Stream(320, 240).close()


def test_dropped_frames_are_counted(faults: Faults) -> None:
    faults.set("dropped-frames", 3)
    with acap.video.Stream(320, 240, "nv12", framerate=60, keep="all") as stream:
        sequences = [next(stream).sequence for _ in range(4)]
        assert sequences == list(range(sequences[0], sequences[0] + 16, 4))
        assert stream.dropped >= 9


def test_stream_is_made_again_when_the_camera_is_turned(faults: Faults) -> None:
    with acap.video.Stream(320, 240, "nv12", framerate=60) as stream:
        next(stream)
        assert stream.given.rotation == 0
        faults.set("rotation", 90)
        next(stream)
        assert (stream.given.rotation, stream.rebuilt) == (90, 1)


@pytest.mark.usefixtures("inference")
def test_model_meets_its_faults(faults: Faults, model_file: Callable[[], Path]) -> None:
    path = model_file()
    refusals = {
        "model-refused": acap.BadModel,
        "no-power": acap.NoPower,
        "no-memory": acap.InferenceFailed,
        "device-busy": acap.InferenceFailed,
        "inference-down": acap.InferenceDown,
    }
    for name, kind in refusals.items():
        faults.set(name)
        with pytest.raises(kind):
            acap.inference.Model(path, power_timeout=0.1, restart_timeout=0.1)
        faults.clear(name)
    with acap.inference.Model(path) as model:
        picture = bytes(32 * 32 * 3)
        import numpy as np

        values = np.frombuffer(picture, "uint8").reshape(32, 32, 3)
        model.run(values)
        faults.set("inference-restart", 9)
        model.run(values)
        assert model.restarted == 1
