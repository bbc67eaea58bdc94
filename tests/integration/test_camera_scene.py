"""A video of this computer as the scene of a virtual camera, as an app there sees it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from ..unit.acap_video.scene import decode_picture
from .cameras import DEFAULT_PROFILE, PROFILES, on

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from .command import Run

COLORS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))


def make_video(path: Path) -> Path:
    """Write a video that has one of COLORS for each second, at the left; the right half is white."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 640, 360, "yuv420p", Fraction(1, 5)
        for number in range(5 * len(COLORS)):
            pixels = np.full((360, 640, 3), 255, np.uint8)
            pixels[:, :320] = COLORS[number // 5]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def color_of(pixel: Any) -> int | None:
    """Return which of COLORS a pixel has; None for another colour, as those of the known scene."""
    differences = [np.abs(np.asarray(pixel, int) - color).max() for color in COLORS]
    return int(np.argmin(differences)) if min(differences) < 12 else None


@on(DEFAULT_PROFILE, matrix=[profile for profile in PROFILES if profile != DEFAULT_PROFILE])
def test_app_sees_a_video_of_the_host_in_time(camera: VirtualCamera, incamera: Run, tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent / "projects/scene", tmp_path / "scene")

    def scene(*words: str) -> dict[str, Any]:
        done = incamera("virtual", "scene", *words, "--device", camera.name, "--json")
        assert done.code == 0, done.err
        document: dict[str, Any] = json.loads(done.out)
        return document

    def look() -> list[list[Any]]:
        done = incamera("run", "--device", camera.name, cwd=tmp_path / "scene")
        assert done.code == 0, done.err
        return [json.loads(line) for line in done.out.splitlines() if line.startswith("[")]

    film = make_video(tmp_path / "film.mp4")
    told = scene(str(film))
    assert (told["source"], told["video"]) == (str(film), {"width": 640, "height": 360, "rate": 5, "seconds": 3})
    try:
        seen = look()
        begin = check_pictures(seen, seen[0][1])
        # The process that reads the video has it open. The video goes on where it would be.
        film.unlink()
        check_pictures(look(), begin)
        # Without that process, the known scene is seen, and why is told.
        os.kill(reader_of(camera), signal.SIGKILL)
        assert None in {color_of(pixel) for kind, _, pixel in look() if kind == "rgb"}
        assert scene()["scene"] == "video"
        noise = tmp_path / "noise.mp4"
        noise.write_bytes(bytes(range(256)) * 100)
        refused = incamera("virtual", "scene", str(noise), "--device", camera.name)
        assert refused.code != 0
        assert "shows no video" in refused.err
    finally:
        assert scene("known")["scene"] == "known"
    assert {color_of(pixel) for kind, _, pixel in look() if kind == "rgb"} == {None}


def check_pictures(seen: list[list[Any]], begin: int) -> int:
    """Compare what the app has seen with the video, which began at *begin*. Returns that."""
    for kind, microseconds, shown in seen:
        wanted = (microseconds - begin) // 1_000_000 % len(COLORS)
        if kind == "rgb":
            assert color_of(shown) == wanted
        elif kind == "turned":
            assert shown[0] < 200 < shown[1]
        else:
            picture = decode_picture(base64.b64decode(shown)).to_ndarray(format="rgb24")
            assert color_of(picture[90, 80]) == wanted
            assert picture[90, 240].min() > 200
    assert {kind for kind, _, _ in seen} == {"rgb", "turned", "jpeg"}
    return begin


def reader_of(camera: VirtualCamera) -> int:
    """Return the process that reads the camera's video: a child of its supervisor."""
    for child in Path(f"/proc/{camera.pid}/task/{camera.pid}/children").read_text().split():
        if b"incamera.virtual.video_service" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise AssertionError("no process reads a video")
