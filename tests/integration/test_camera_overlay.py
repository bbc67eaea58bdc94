"""An overlay in cameras that have the older axoverlay alone, which draws with cairo."""

from __future__ import annotations

import base64
import collections
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..unit.acap_video.scene import decode_h264, decode_picture
from ..unit.examples.pictures import is_green
from .cameras import DEFAULT_PROFILE, PROFILES, on

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from .command import Run


@on(DEFAULT_PROFILE, matrix=[profile for profile in PROFILES if profile != DEFAULT_PROFILE])
def test_overlay_lies_over_encoded_streams(camera: VirtualCamera, incamera: Run, tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent / "projects/overlay", tmp_path / "overlay")
    done = incamera("run", "--device", camera.name, cwd=tmp_path / "overlay")
    assert done.code == 0, done.err
    told: dict[str, Any] = collections.defaultdict(list)
    for line in done.out.splitlines():
        kind, encoded = json.loads(line)
        told[kind] = [base64.b64decode(data) for data in encoded]
    seen = {kind: decode(told[kind])[-1].to_ndarray(format="rgb24") for kind, decode in DECODERS.items()}
    for kind in ("jpeg", "h264"):
        rows, columns = np.nonzero(is_green(seen[kind]))
        edges = [rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]
        # Colours have half of the resolution, and JPEG blurs edges: 64 × 32 pixels, 8 from the corner of 320 × 240.
        assert np.allclose(edges, [200, 232, 248, 312], atol=3), (kind, edges)
        assert is_green(seen[kind])[204:228, 252:308].all(), kind
    assert not is_green(seen["cleared"]).any()


def decode_pictures(encoded: list[bytes]) -> list[Any]:
    return [decode_picture(data) for data in encoded]


DECODERS = {"jpeg": decode_pictures, "h264": decode_h264, "cleared": decode_pictures}
