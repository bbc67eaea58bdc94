"""An app that uses the camera's libraries through acap, built for the camera and run in the virtual one."""

from __future__ import annotations

import base64
import collections
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..unit.acap_video.scene import brightness, decode_h264, decode_picture, read_code
from .cameras import DEFAULT_PROFILE, PROFILES, on

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.virtual.camera import VirtualCamera

    from .command import Run


@on(DEFAULT_PROFILE, matrix=[profile for profile in PROFILES if profile != DEFAULT_PROFILE])
def test_app_sees_the_virtual_cameras_scene(camera: VirtualCamera, incamera: Run, tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent / "projects/video", tmp_path / "video")
    done = incamera("run", "--device", camera.name, cwd=tmp_path / "video")
    assert done.code == 0, done.err
    told = collections.defaultdict(list)
    for line in done.out.splitlines():
        kind, *rest = json.loads(line)
        told[kind].append(rest)
    check_frames(told)
    check_storage_and_license(told)
    check_boxes(told, has_boxes=camera.profile.startswith("axis-os-11"))


def check_frames(told: Mapping[str, list[Any]]) -> None:
    """Compare what the app has told of its frames with the scene."""
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


def check_storage_and_license(told: Mapping[str, list[Any]]) -> None:
    [[ids, kind, path, text]] = told["storage"]
    assert (ids, kind, text) == (["SD_DISK"], "local", "1")
    assert path.startswith("/var/spool/storage/SD_DISK/areas/")
    assert told["license"] == [[False, ["valid", "invalid-version"]]]


def check_boxes(told: Mapping[str, list[Any]], *, has_boxes: bool) -> None:
    """A box is in the camera's picture, unless its AXIS OS is too old."""
    if not has_boxes:
        [[refused]] = told["boxes"]
        assert "AXIS OS 11.11 and newer have it" in refused
        return
    [[_, _, data]] = told["boxes"]
    picture = decode_picture(base64.b64decode(data)).to_ndarray(format="gray")
    assert (picture[179, 90:230] > 200).all()
    assert (picture[215, 90:230] < 200).all()
