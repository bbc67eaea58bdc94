"""The programs of the tutorial's third chapter on this computer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.unit.acap_video.conftest import ROOT

from .pictures import is_green, read_picture
from .tutorial import program, programs

if TYPE_CHECKING:
    from .conftest import Locally

pytestmark = pytest.mark.starts_processes


@pytest.fixture
def doorway(tmp_path: Path) -> Path:
    folder = tmp_path / "doorway"
    folder.mkdir()
    settings = '[project]\nname = "doorway"\nversion = "1"\ndependencies = ["acap", "numpy"]\n'
    (folder / "pyproject.toml").write_text(settings, "utf-8")
    shutil.copy(ROOT / "examples/detector/shapes.tflite", folder)
    return folder


def assert_shapes(printed: str) -> None:
    """Check what the program with the boxes prints: a square on the edge of two cells may have two boxes."""
    counts = [line.split(" ", 1)[1] for line in printed.splitlines()]
    assert len(counts) == 6
    assert set(counts) <= {"1 shapes", "2 shapes"}


def test_each_program_is_run_by_a_test() -> None:
    names = ["Prints how", "Asks a", "Draws boxes", "Saves a", "Says whether", "Shows a half", "Sends a", "Reads a"]
    assert programs() == [program(name) for name in names]


def test_pictures_network_and_boxes(doorway: Path, locally: Locally) -> None:
    (doorway / "app.py").write_text(program("Prints how"))
    done = locally(doorway)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == ["0", "(360,", "640)"]
    (doorway / "app.py").write_text(program("Asks a"))
    done = locally(doorway)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "on cpu-tflite in: (1, 72, 128, 3) out: (1, 9, 16, 7)"
    assert second.startswith("row 5, column 1: ")
    (doorway / "app.py").write_text(program("Draws boxes"))
    done = locally(doorway)
    assert done.returncode == 0, done.stderr
    assert_shapes(done.stdout)
    picture = read_picture(doorway / "picture.jpg")
    assert picture.shape == (360, 640, 3)
    rows, columns = np.nonzero(is_green(picture))
    # The square's box, around rows 180 to 270. It moves, and is 90 pixels wide.
    assert 170 < rows.min() < 190
    assert 260 < rows.max() < 280
    assert 80 < np.ptp(columns) < 110
    done = locally(doorway, "--video", "picture.jpg", ACAP_PICTURE="boxes.png")
    assert done.returncode == 0, done.stderr
    assert is_green(read_picture(doorway / "boxes.png")).sum() > 500


def test_storage_license_and_overlay(doorway: Path, locally: Locally) -> None:
    (doorway / "card/SD_DISK").mkdir(parents=True)
    for file, name in (("disk.py", "Saves a"), ("key.py", "Says whether"), ("label.py", "Shows a half")):
        (doorway / file).write_text(program(name))
    done = locally(doorway, "disk.py", ACAP_STORAGE="card")
    assert (done.returncode, done.stdout) == (0, "['picture.jpg']\n"), done.stderr
    [saved] = (doorway / "card").rglob("picture.jpg")
    assert read_picture(saved).shape == (360, 640, 3)
    done = locally(doorway, "key.py")
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    done = locally(doorway, "label.py", ACAP_PICTURE="label.png")
    assert done.returncode == 0, done.stderr
    red, green, blue = read_picture(doorway / "label.png")[30, 160].astype(int)
    assert red > green > blue


def test_events_and_parameters(doorway: Path, locally: Locally) -> None:
    for file, name in (("event.py", "Sends a"), ("interval.py", "Reads a")):
        (doorway / file).write_text(program(name))
    done = locally(doorway, "event.py")
    topic = "tnsaxis:CameraApplicationPlatform/doorway/Door"
    assert (done.returncode, done.stdout) == (0, f"{topic}\n"), done.stderr
    assert f"event: {topic} open=true\n" in done.stderr
    done = locally(doorway, "interval.py")
    assert (done.returncode, done.stdout) == (0, "60\n"), done.stderr
