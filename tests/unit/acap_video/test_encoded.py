"""JPEG and H.264: what FFmpeg decodes is the scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import acap

from .scene import brightness, colors, decode_h264, decode_picture, read_code

pytestmark = pytest.mark.usefixtures("video")
Set = Callable[[str, object], None]
SIZES = [(320, 240), (328, 250), pytest.param(1280, 720, marks=pytest.mark.matrix)]


def make(format: Any) -> Any:
    return acap.video.Stream(320, 240, format, framerate=200, keep="all")


def microseconds(frame: Any) -> int:
    microseconds: int = round(frame.timestamp * 1e6)
    return microseconds


def take(stream: Any, count: int) -> list[Any]:
    return [frame.copy() for frame, _ in zip(stream, range(count), strict=False)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_h264_is_the_scene_without_a_loss(width: int, height: int, rotation: int) -> None:
    size = (width, height) if rotation % 180 == 0 else (height, width)
    with acap.video.Stream(*size, "h264", framerate=200, rotation=rotation, extra={"gop_length": 4}) as stream:
        frames = take(stream, 9)
    pictures = decode_h264([bytes(frame) for frame in frames])
    assert len(pictures) == len(frames)
    for frame, picture in zip(frames, pictures, strict=True):
        assert (picture.width, picture.height) == (frame.width, frame.height) == size
        y = np.rot90(picture.to_ndarray(format="yuv420p")[: picture.height], rotation // 90)
        assert np.array_equal(y, brightness(width, height, frame.sequence, microseconds(frame)))
    assert [frame.key for frame in frames] == [n % 4 == 0 for n in range(9)]
    assert {frame.kind for frame in frames} == {"idr", "p"}


def test_h264_has_the_colors_of_nv12() -> None:
    with make("h264") as encoded, make("nv12") as raw:
        frame, other = next(encoded), next(raw)
        [picture] = decode_h264([bytes(frame)])
        assert np.array_equal(np.asarray(other.uv), colors(320, 240, microseconds(other)))
    planes = picture.to_ndarray(format="yuv420p")[240:].reshape(2, 120, 160)
    assert np.array_equal(planes, colors(320, 240, microseconds(frame)).transpose(2, 0, 1))


def test_key_frame_has_its_parameter_sets_before_the_slice() -> None:
    with acap.video.Stream(320, 240, "h264", framerate=200) as stream:
        key, other = take(stream, 2)
    data = bytes(key)
    assert data[:5] == b"\0\0\0\1\x67"
    assert data[key.header_size : key.header_size + 5] == b"\0\0\0\1\x65"
    assert (other.key, other.header_size) == (False, 0)


def test_key_frame_is_made_when_asked_for() -> None:
    with acap.video.Stream(320, 240, "h264", framerate=200, buffers=2) as stream:
        assert [frame.key for frame in take(stream, 3)] == [True, False, False]
        stream.force_key_frame()
        assert any(frame.key for frame in take(stream, 4))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_jpeg_is_the_scene(width: int, height: int) -> None:
    with acap.video.Stream(width, height, "jpeg", framerate=100, extra={"compression": 10}) as stream:
        frame = next(stream)
    picture = decode_picture(bytes(frame))
    assert (picture.width, picture.height) == (width, height)
    y = picture.to_ndarray(format="gray").astype(int)
    assert read_code(y) == (frame.sequence, microseconds(frame))
    wrong = np.abs(y - brightness(width, height, frame.sequence, microseconds(frame)))
    assert wrong.max() < 20
    assert wrong.mean() < 1


def test_compression_makes_a_jpeg_smaller() -> None:
    small, large = (len(acap.video.snapshot(640, 360, extra={"compression": value})) for value in (90, 1))
    assert small < large / 1.5


@pytest.mark.parametrize("format", ["jpeg", "h264"])
def test_frame_of_several_parts_is_put_together(camera_setting: Set, format: Any) -> None:
    camera_setting("CHUNKS", 3)
    with acap.video.Stream(320, 240, format, framerate=200) as stream:
        frame = next(stream)
        assert stream.held == 0  # the copy that was put together holds no buffer of the camera
        number, data = frame.sequence, bytes(frame)
        frame.release()
        with pytest.raises(acap.FrameReleased):
            bytes(frame)
    if format == "h264":
        [picture] = decode_h264([data])
    else:
        picture = decode_picture(data)
    assert read_code(picture.to_ndarray(format="gray"))[0] == number


def test_encoded_frame_is_a_buffer_of_the_cameras_memory() -> None:
    with acap.video.Stream(320, 240, "jpeg", framerate=100) as stream:
        frame = next(stream)
        assert (stream.pitch, frame.format) == (0, "jpeg")
        assert memoryview(frame)[:2].tobytes() == b"\xff\xd8"
        with pytest.raises(AttributeError, match="none: it is encoded"):
            _ = frame.y


def test_held_frames_of_h264_starve_the_stream() -> None:
    with make("h264") as stream, pytest.warns(acap.FramesHeldWarning), pytest.raises(acap.Starved):
        list(stream)
