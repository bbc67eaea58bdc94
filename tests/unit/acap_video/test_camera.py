"""What the camera tells of itself, snapshots, rotation, fit, and the kinds of memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import acap

from .scene import brightness, colors, decode_picture, read_code

pytestmark = pytest.mark.usefixtures("video")
Set = Callable[[str, object], None]


def test_channels_and_inputs_are_told_with_their_rotation(camera_setting: Set) -> None:
    assert acap.video.channels() == [(0, 0, (16, 9)), (1, 0, (16, 9))]
    camera_setting("ROTATION", 90)
    assert [(channel.number, channel.rotation) for channel in acap.video.inputs()] == [(1, 90)]


@pytest.mark.parametrize("wanted", [{"channel": 7}, {"input": 3}])
def test_channel_that_the_camera_lacks_is_refused_with_those_it_has(wanted: Any) -> None:
    for use in (
        lambda: acap.video.Stream(320, 240, **wanted),
        lambda: acap.video.resolutions(**wanted),
        lambda: acap.video.snapshot(320, 240, **wanted),
    ):
        with pytest.raises(LookupError, match="the camera has the channels 0, 1") as caught:
            use()
        assert isinstance(caught.value, acap.NoSuchChannel)


def test_formats_of_the_camera_are_listed() -> None:
    assert acap.video.formats() == ["nv12", "y800", "rgb", "planar-rgb", "jpeg", "h264"]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize(
    ("format", "plane"), [("nv12", "y"), ("y800", "y"), ("rgb", "rgb"), ("planar-rgb", "rgb"), ("nv12", "uv")]
)
def test_rotated_picture_is_the_scene_turned_clockwise(
    camera_setting: Set, rotation: int, format: Any, plane: str
) -> None:
    camera_setting("PITCH_STEP", 352)
    size = (320, 240) if rotation % 180 == 0 else (240, 320)
    with acap.video.Stream(*size, format, rotation=rotation, framerate=200, keep="all") as stream:
        frame = next(stream)
        assert (stream.given.rotation, frame.width, frame.height) == (rotation, *size)
        upright = np.rot90(np.asarray(getattr(frame, plane)), rotation // 90)
    if plane == "uv":
        assert np.array_equal(upright, colors(320, 240, round(frame.timestamp * 1e6)))
        return
    assert read_code(upright) == (frame.sequence, round(frame.timestamp * 1e6))


def test_stream_is_rebuilt_when_the_camera_is_turned(camera_setting: Set) -> None:
    with acap.video.Stream(320, 240, framerate=200) as stream:
        next(stream)
        assert stream.given.rotation == 0
        camera_setting("ROTATION", 180)
        frame = next(stream)
        assert (stream.rebuilt, stream.asked.rotation, stream.given.rotation) == (1, 0, 180)
        assert read_code(np.rot90(np.asarray(frame.y), 2))[0] == frame.sequence


@pytest.mark.parametrize(("fit", "left"), [("crop", (426 - 320) // 2), ("scale", 0)])
def test_fit_shows_the_middle_of_the_scene_or_all_of_it(fit: Any, left: int) -> None:
    with acap.video.Stream(320, 240, fit=fit, framerate=200) as stream:
        assert (stream.asked.fit, stream.given.fit) == (fit, fit)
        row = np.asarray(next(stream).y)[20]
    across = 426 if left else 320
    assert row.tolist() == (32 + 128 * (np.arange(320) + left) // across).tolist()


@pytest.mark.parametrize("kind", ["memfd", "dmabuf", "vmem"])
def test_each_kind_of_memory_is_mapped_and_told(camera_setting: Set, kind: str) -> None:
    camera_setting("BUFFER_TYPE", kind)
    with acap.video.Stream(320, 240, framerate=200) as stream:
        frames = [next(stream), next(stream)]
        assert stream.memory == kind
        assert [read_code(frame.y)[0] for frame in frames] == [frame.sequence for frame in frames]
        # What a library that takes the buffer by its descriptor needs.
        for frame in frames:
            assert os.pread(frame.fd, len(frame), frame.offset) == bytes(frame)
            assert frame.capacity >= len(frame)
        assert (len({frame.offset for frame in frames}) == 2) == (kind == "vmem")
        assert (frames[0].copy().fd, frames[0].copy().capacity) == (-1, len(frames[0]))


def test_snapshot_is_a_picture_of_its_own() -> None:
    frame = acap.video.snapshot(640, 360)
    assert (frame.format, frame.width, frame.height, frame.kind, frame.key) == ("jpeg", 640, 360, "jpeg", True)
    picture = decode_picture(bytes(frame))
    assert read_code(picture.to_ndarray(format="gray"))[1] == round(frame.timestamp * 1e6)
    frame.release()
    with pytest.raises(acap.FrameReleased):
        memoryview(frame)


@pytest.mark.parametrize(
    ("format", "plane", "shape", "strides"),
    [
        ("nv12", "y", (358, 632), (704, 1)),
        ("y800", "y", (358, 632), (704, 1)),
        ("rgb", "rgb", (358, 632, 3), (2112, 3, 1)),
        ("planar-rgb", "rgb", (358, 632, 3), (704, 1, 704 * 358)),
    ],
)
def test_snapshot_has_the_size_and_pitch_that_the_camera_gives(
    camera_setting: Set, format: Any, plane: str, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    camera_setting("PITCH_STEP", 352)
    frame = acap.video.snapshot(637, 359, format)
    part = getattr(frame, plane)
    assert (part.shape, part.strides) == (shape, strides)
    assert read_code(part)[0] == 0


def test_y_plane_of_a_snapshot_is_the_scene() -> None:
    frame = acap.video.snapshot(320, 240, "nv12")
    assert np.array_equal(np.asarray(frame.y), brightness(320, 240, 0, round(frame.timestamp * 1e6)))


@pytest.mark.parametrize(
    ("format", "size", "message"),
    [
        ("h264", (320, 240), "no snapshot in the format h264: use jpeg"),
        ("jpeg", (8000, 6000), r"the camera has 160×90, .*1920×1080"),
        ("jpeg", (0, 240), "has no pixels"),
    ],
)
def test_snapshot_that_cannot_be_is_refused(format: Any, size: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        acap.video.snapshot(*size, format)
    assert isinstance(caught.value, acap.FormatError)
