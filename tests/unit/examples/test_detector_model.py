"""How many shapes the model of the example `detector` finds, and that its script still makes such a model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.unit.acap_inference.conftest import fresh_settings, inference, video
from tests.unit.acap_video.conftest import ROOT
from tests.unit.acap_video.scene import square_left

from .loading import load

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["fresh_settings", "inference", "video"]

EXAMPLE = ROOT / "examples/detector"
pytestmark = pytest.mark.usefixtures("video", "inference")


@pytest.fixture(scope="module")
def app(inference: None) -> ModuleType:
    return load(EXAMPLE / "app.py")


@pytest.fixture
def model(app: ModuleType) -> Any:
    import acap

    with acap.inference.Model(app.MODEL) as model:
        yield model


Box = tuple[float, float, float, float]


def overlap(one: Box, other: Box) -> float:
    """Return the part of both boxes that they share."""
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def box_of(shape: Any) -> Box:
    """Return the box of a shape in a picture of the size that the network takes."""
    x1, y1, x2, y2 = (place + sign * shape.radius for sign in (-1, 1) for place in (shape.x, shape.y))
    return x1 / 128, y1 / 72, x2 / 128, y2 / 72


def count_hits(found: list[Any], shapes: list[tuple[str, Box]]) -> int:
    """Return how many of *shapes* were found, with the right kind and a box that fits."""
    rest = list(found)
    hits = 0
    for kind, box in shapes:
        fitting = [each for each in rest if each.kind == kind and overlap(each.box, box) > 0.5]
        if fitting:
            rest.remove(fitting[0])
            hits += 1
    return hits


def test_model_finds_shapes_that_it_has_not_seen(app: ModuleType, model: Any) -> None:
    pictures = load(EXAMPLE / "training/pictures.py")
    random = np.random.default_rng(2026)
    hits = told = there = 0
    for _ in range(150):
        picture, drawn = pictures.draw(random)
        (output,) = model.run((picture ^ 0x80).view("int8"))
        found = app.shapes(output.real[0])
        hits += count_hits(found, [(pictures.KINDS[shape.kind], box_of(shape)) for shape in drawn])
        told += len(found)
        there += len(drawn)
    assert there > 200
    assert hits / told > 0.9
    assert hits / there > 0.85


def test_model_finds_the_square_of_the_known_scene_and_nothing_else(app: ModuleType, model: Any) -> None:
    import acap

    hits = told = there = 0
    with acap.video.Stream(640, 360, "nv12", framerate=60) as stream:
        for frame in stream:
            (output,) = model.run(frame)
            found = app.shapes(output.real[0])
            left = square_left(640, 360, round(frame.timestamp * 1e6))
            hits += count_hits(found, [("square", (left / 640, 180 / 360, (left + 90) / 640, 270 / 360))])
            told += len(found)
            there += 1
            if frame.sequence > 200:
                break
    assert there > 20
    assert hits / told > 0.95
    assert hits / there > 0.95


@pytest.mark.starts_processes
def test_script_makes_a_model_of_this_kind(tmp_path: Path, app: ModuleType) -> None:
    import acap

    file = tmp_path / "made.tflite"
    done = subprocess.run(
        [sys.executable, EXAMPLE / "training/train.py", "--steps", "3", "--output", file],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "step 2: error" in done.stdout
    assert file.stat().st_size == app.MODEL.stat().st_size
    with acap.inference.Model(file) as made, acap.inference.Model(app.MODEL) as model:
        assert made.outputs[0].shape == model.outputs[0].shape == (1, 9, 16, 7)
        assert made.inputs[0].scale == model.inputs[0].scale == pytest.approx(1 / 255)
