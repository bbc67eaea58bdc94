"""An app that uses acap.video, built for the camera and run in the virtual one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ..unit.acap_video.scene import brightness
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
    seen = [json.loads(line) for line in done.out.splitlines()]
    assert seen[-1][0] >= 2
    for sequence, microseconds, mean, strides, pitch in seen:
        assert mean == brightness(320, 240, sequence, microseconds).mean()
        assert strides == [pitch, 1]
