"""An app that runs a neural network on the camera's frames, in the virtual camera and on this computer."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ..unit.acap_inference.conftest import built_module, inference
from ..unit.acap_inference.networks import example
from ..unit.acap_inference.reference import convert
from .cameras import DEFAULT_PROFILE, PROFILES, on
from .paths import REPOSITORY

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from .command import Run

__all__ = ["built_module", "inference"]


class Frame:
    """A frame that the app has printed."""

    def __init__(self, seen: dict[str, str]) -> None:
        self.y, self.uv = _array(seen["y"], (90, 160)), _array(seen["uv"], (45, 80, 2))


def _array(text: str, shape: tuple[int, ...]) -> Any:
    return np.frombuffer(base64.b64decode(text), "uint8").reshape(shape)


@pytest.mark.usefixtures("inference")
@on(DEFAULT_PROFILE, matrix=[profile for profile in PROFILES if profile != DEFAULT_PROFILE])
def test_model_gives_the_same_in_the_camera_and_on_the_host(
    camera: VirtualCamera, incamera: Run, tmp_path: Path
) -> None:
    import acap

    shutil.copytree(Path(__file__).parent / "projects/inference", tmp_path / "inference")
    shutil.copytree(REPOSITORY / "packages/acap", tmp_path / "acap", ignore=shutil.ignore_patterns("_*.c", "build"))
    for name in ("uint8", "int8"):
        (tmp_path / f"inference/{name}.tflite").write_bytes(example(name).render())
    done = incamera("run", "--device", camera.name, cwd=tmp_path / "inference")
    assert done.code == 0, done.err
    seen = json.loads(done.out.splitlines()[-1])
    assert seen["device"] == ["cpu-tflite", "cpu-tflite"]
    frame = Frame(seen)
    assert len(np.unique(frame.y)) > 50
    for name in ("uint8", "int8"):
        with acap.inference.Model(tmp_path / f"inference/{name}.tflite") as model:
            for fit, part in (("scale", None), ("crop", (34, 0, 90, 90))):
                picture = convert(frame, 32, 32, part)
                outputs = model.run(picture if name == "uint8" else (picture ^ 0x80).view("int8"))
                given = [base64.b64encode(np.asarray(output).tobytes()).decode() for output in outputs]
                assert seen[f"{name} {fit}"] == given, f"{name} {fit}"
