"""An app that uses acap.video, built for the camera and run in the virtual one, and run on this computer."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..unit.acap_video.scene import brightness, decode_h264, decode_picture, read_code
from .cameras import DEFAULT_PROFILE, PROFILES, on
from .paths import REPOSITORY

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from .command import Run


@on(DEFAULT_PROFILE, matrix=[profile for profile in PROFILES if profile != DEFAULT_PROFILE])
def test_app_sees_the_virtual_cameras_scene(camera: VirtualCamera, incamera: Run, tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent / "projects/video", tmp_path / "video")
    shutil.copytree(REPOSITORY / "packages/acap", tmp_path / "acap", ignore=shutil.ignore_patterns("_*.c", "build"))
    done = incamera("run", "--device", camera.name, cwd=tmp_path / "video")
    assert done.code == 0, done.err
    check([json.loads(line) for line in done.out.splitlines()])


def check(lines: list[Any]) -> None:
    """Compare what the app has told of its frames with the scene."""
    told: dict[str, list[Any]] = {"nv12": [], "h264": [], "jpeg": [], "refused": []}
    for kind, *rest in lines:
        told[kind].append(rest)
    assert told["nv12"][-1][0] >= 2
    for sequence, microseconds, mean, strides, pitch in told["nv12"]:
        assert mean == brightness(320, 240, sequence, microseconds).mean()
        assert strides == [pitch, 1]
    pictures = decode_h264([base64.b64decode(data) for _, _, data in told["h264"]])
    assert len(pictures) == len(told["h264"])
    for (sequence, microseconds, _), picture in zip(told["h264"], pictures, strict=True):
        y = picture.to_ndarray(format="yuv420p")[:240]
        assert np.array_equal(y, brightness(320, 240, sequence, microseconds))
    [[sequence, microseconds, data]] = told["jpeg"]
    assert read_code(decode_picture(base64.b64decode(data)).to_ndarray(format="gray")) == (sequence, microseconds)
    [[refused]] = told["refused"]
    assert "it has nv12, y800, rgb, planar-rgb, jpeg, h264" in refused
