"""acap.testing: known pictures for the tests of an app."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import acap

pytestmark = pytest.mark.usefixtures("video")
SIZE = (320, 180)


def gray(level: int, width: int = SIZE[0], height: int = SIZE[1]) -> Any:
    return np.full((height, width), level, np.uint8)


def levels() -> list[tuple[int, int]]:
    """What an app sees: the number and the brightness of each frame of a stream."""
    with acap.video.Stream(*SIZE) as stream:
        return [(frame.sequence, int(np.asarray(frame.y)[7, 9])) for frame in stream]


def test_each_stream_gets_each_picture_once_and_ends() -> None:
    with acap.testing.scene(gray(20), gray(255), gray(0)) as scene:
        assert len(scene) == 3
        assert levels() == [(0, 20), (1, 255), (2, 0)]
        assert levels() == [(0, 20), (1, 255), (2, 0)]


def test_brightness_is_what_the_picture_has_to_the_last_pixel() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (180, 320), dtype=np.uint8)
    with acap.testing.scene(picture, picture[::-1]):
        for format in ("nv12", "y800"):
            with acap.video.Stream(*SIZE, format) as stream:
                first, second = (np.asarray(frame.y).copy() for frame in stream)
                assert np.array_equal(first, picture)
                assert np.array_equal(second, picture[::-1])


def test_colors_are_kept_and_other_sizes_scaled() -> None:
    red = np.zeros((90, 160, 3), np.uint8)
    red[:, :, 0] = 250
    with acap.testing.scene(red), acap.video.Stream(*SIZE, "rgb") as stream:
        [seen] = [np.asarray(frame.rgb).copy() for frame in stream]
    assert seen.shape == (180, 320, 3)
    assert np.array_equal(seen[50, 50], [250, 0, 0])


def test_slow_app_misses_no_frame_and_times_advance_by_the_frame_rate() -> None:
    with acap.testing.scene(*map(gray, range(12)), framerate=2) as scene, acap.video.Stream(*SIZE) as stream:
        times = [frame.timestamp for frame in stream]
        assert len(times) == len(scene)
        assert (np.diff(times) >= 0.499).all()
        assert stream.dropped == 0
        with pytest.raises(TimeoutError, match="the test's scene is over"):
            stream.fresh()


def test_closed_stream_leaves_nothing_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with acap.testing.scene(gray(1)), acap.video.Events(timeout=0) as events:
        existing = list(events)
        levels()
        list(acap.video.Stream(*SIZE))  # forgotten
        assert [event.kind for event in events] == ["created", "closed"] * 2
    assert existing == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_loop_of_asyncio_ends_too() -> None:
    async def read() -> list[int]:
        async with acap.video.Stream(*SIZE) as stream:
            return [int(np.asarray(frame.y)[0, 0]) async for frame in stream]

    with acap.testing.scene(gray(1), gray(2)):
        assert asyncio.run(read()) == [1, 2]


def test_app_that_keeps_its_frames_starves_as_in_a_camera() -> None:
    with acap.testing.scene(*map(gray, range(9))), warnings.catch_warnings():
        warnings.simplefilter("ignore", acap.FramesHeldWarning)
        with acap.video.Stream(*SIZE) as stream, pytest.raises(acap.Starved):
            list(stream)


def test_files_are_shown_whole(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.mkv"), "w") as file:
        stream: Any = file.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for level in (30, 60, 90):
            picture = av.VideoFrame.from_ndarray(np.full((270, 320), level, np.uint8), format="yuv420p")
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    with acap.testing.scene(tmp_path / "film.mkv", gray(9)):
        assert [level for _, level in levels()] == [30, 60, 90, 9]
    with pytest.raises(acap.SourceFailed):
        acap.testing.scene(tmp_path / "none.mkv")


def test_snapshot_shows_the_first_picture() -> None:
    with acap.testing.scene(gray(77), gray(5)):
        assert np.asarray(acap.video.snapshot(*SIZE, "nv12").y)[3, 3] == 77


def test_what_gave_frames_before_gives_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with acap.testing.scene(gray(1)):
        with acap.testing.scene(gray(2)):
            assert levels() == [(0, 2)]
        assert levels() == [(0, 1)]
    with acap.video.Stream(*SIZE) as stream:
        assert next(stream).fd >= 0  # the stand-in's, which a desk has not


@pytest.mark.parametrize("picture", [[1, 2], np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.zeros(3, np.uint8)])
def test_what_is_no_picture_is_refused_with_what_it_is(picture: Any) -> None:
    with pytest.raises(acap.FormatError, match="a picture"):
        acap.testing.scene(picture)


def test_a_scene_needs_a_picture() -> None:
    with pytest.raises(ValueError, match="at least one"):
        acap.testing.scene()


def test_stream_asks_for_what_a_camera_has() -> None:
    with acap.testing.scene(gray(1)), pytest.raises(acap.FormatError, match="1280×720"):
        acap.video.Stream(100_000, 720)
