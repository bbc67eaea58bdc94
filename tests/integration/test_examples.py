"""The examples in the virtual camera, as a user runs them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ..unit.acap_video.scene import decode_picture
from ..unit.examples.pictures import is_green
from ..unit.examples.test_tutorial_locally import assert_shapes
from ..unit.examples.tutorial import program
from .cameras import DEFAULT_PROFILE, on
from .paths import REPOSITORY

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from .command import Run

OTHER = "axis-os-11-aarch64"
OLD = ("axis-os-10-armv7hf", "axis-os-10-aarch64")


def copied(name: str, folder: Path) -> Path:
    """Return a copy of the example *name* in *folder*."""
    ignored = shutil.ignore_patterns("pylock.*", "__pycache__", ".*", "build", "*.egg-info", "*.so")
    return Path(shutil.copytree(REPOSITORY / "examples" / name, folder / name, ignore=ignored))


@on(DEFAULT_PROFILE, matrix=[OTHER, *OLD])
def test_barcode_is_read_by_the_apps_own_c_module(camera: VirtualCamera, incamera: Run, tmp_path: Path) -> None:
    folder = copied("barcode", tmp_path)
    done = incamera("run", "--device", camera.name, "--", "1", cwd=folder)
    assert done.code == 0, done.err
    assert done.out == "2000012345678\n"
    done = incamera("test", "--device", camera.name, cwd=folder)
    assert done.code == 0, done.out + done.err
    assert "6 passed" in done.out


@on(DEFAULT_PROFILE, matrix=[OTHER])
def test_detector_finds_and_boxes_the_square(camera: VirtualCamera, incamera: Run, tmp_path: Path) -> None:
    folder = copied("detector", tmp_path)
    done = incamera("run", "--device", camera.name, "--", "5", cwd=folder)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert len(lines) == 5
    assert sum(bool(re.fullmatch(r"square \d+% at -?0\.\d\d, 0\.[45]\d", line)) for line in lines) >= 4
    done = incamera("cp", "--device", camera.name, ":data/shapes.jpg", tmp_path / "shapes.jpg", cwd=folder)
    assert done.code == 0, done.err
    picture = decode_picture((tmp_path / "shapes.jpg").read_bytes()).to_ndarray(format="rgb24")
    assert is_green(picture).sum() > 200


@on(matrix=OLD)
def test_detector_says_which_axis_os_has_boxes(camera: VirtualCamera, incamera: Run, tmp_path: Path) -> None:
    done = incamera("run", "--device", camera.name, "--", "1", cwd=copied("detector", tmp_path))
    assert done.code == 1
    assert "AXIS OS 11.11 and newer have it" in done.out + done.err


@on(DEFAULT_PROFILE, matrix=[OTHER, *OLD])
def test_programs_of_the_tutorial_run_in_the_camera(camera: VirtualCamera, incamera: Run, tmp_path: Path) -> None:
    folder = tmp_path / "doorway"
    folder.mkdir()
    settings = '[project]\nname = "doorway"\nversion = "1"\ndependencies = ["acap", "numpy"]\n'
    (folder / "pyproject.toml").write_text(settings, "utf-8")
    shutil.copy(REPOSITORY / "examples/detector/shapes.tflite", folder)
    has_boxes = camera.profile not in OLD
    told = []
    for name in (
        "Prints how",
        "Asks a",
        "Draws boxes",
        "Saves a",
        "Says whether",
        "Sends a",
        "Reads a",
        "Shows a half",
    ):
        (folder / "app.py").write_text(program(name))
        done = incamera("run", "--device", camera.name, cwd=folder)
        if name == "Draws boxes" and not has_boxes:
            assert (done.code, "AXIS OS 11.11 and newer have it" in done.out + done.err) == (1, True)
        else:
            assert done.code == 0, done.err
        told.append(done.out)
    assert "(360, 640)" in told[0]
    assert "on cpu-tflite in: (1, 72, 128, 3) out: (1, 9, 16, 7)" in told[1]
    assert told[3:5] == ["['picture.jpg']\n", "False\n"]
    assert told[5:] == ["tnsaxis:CameraApplicationPlatform/doorway/Door\n", "60\n", ""]
    if not has_boxes:
        return
    assert_shapes(told[2])
    done = incamera("cp", "--device", camera.name, ":data/picture.jpg", tmp_path / "camera.jpg", cwd=folder)
    assert done.code == 0, done.err
    picture = decode_picture((tmp_path / "camera.jpg").read_bytes()).to_ndarray(format="rgb24")
    assert is_green(picture).sum() > 500


@on(DEFAULT_PROFILE, matrix=[OTHER, *OLD])
def test_motion_timelapse_and_dashboard_use_the_cameras_services(
    camera: VirtualCamera, incamera: Run, tmp_path: Path
) -> None:
    device = ("--device", camera.name)
    done = incamera("run", *device, "--", "5", cwd=copied("motion", tmp_path))
    assert (done.code, done.out) == (0, "moving\n"), done.err
    folder = copied("timelapse", tmp_path)
    assert incamera("run", *device, "--", "1", cwd=folder).code == 0
    assert incamera("virtual", "set-param", "timelapse.Interval=1", *device).code == 0
    done = incamera("run", *device, "--", "2", cwd=folder)  # with an interval of a minute, it would take longer
    assert done.code == 0, done.err
    assert len(set(done.out.split())) == 2
    done = incamera("virtual", "send-event", "--state", "tns1:Device/tnsaxis:IO/Port", "port=1", "state=true", *device)
    assert done.code == 0, done.err
    done = incamera("run", *device, "--", "3", cwd=copied("dashboard", tmp_path))
    assert done.code == 0, done.err
    assert re.fullmatch(r"\d+ frames, [34]\d% bright, ports \{1: True\}", done.out.splitlines()[-1])
