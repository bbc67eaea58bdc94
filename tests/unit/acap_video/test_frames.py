"""Frames: their planes, their pixels, and who holds the camera's buffer."""

from __future__ import annotations

import ctypes
import gc
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import acap

from .scene import brightness, read_code

pytestmark = pytest.mark.usefixtures("video")
SIZE = (320, 240)


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A stream whose rows are 352 bytes apart."""
    monkeypatch.setenv("INCAMERA_VDO_PITCH_STEP", "352")
    with acap.video.Stream(*SIZE, "nv12", framerate=200) as stream:
        yield stream


@pytest.mark.parametrize(
    ("format", "plane", "shape", "strides"),
    [
        ("nv12", "y", (240, 320), (352, 1)),
        ("nv12", "uv", (120, 160, 2), (352, 2, 1)),
        ("y800", "y", (240, 320), (352, 1)),
        ("rgb", "rgb", (240, 320, 3), (1056, 3, 1)),
        ("planar-rgb", "rgb", (240, 320, 3), (352, 1, 352 * 240)),
    ],
)
def test_plane_has_the_shape_and_strides_of_its_format(
    monkeypatch: pytest.MonkeyPatch, format: Any, plane: str, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    monkeypatch.setenv("INCAMERA_VDO_PITCH_STEP", "352")
    with acap.video.Stream(*SIZE, format, framerate=200) as stream:
        part = getattr(next(stream), plane)
        array = np.asarray(part)
    assert (part.shape, part.strides) == (shape, strides)
    assert (array.shape, array.strides, str(array.dtype)) == (shape, strides, "uint8")


@pytest.mark.parametrize(("format", "plane"), [("nv12", "y"), ("y800", "y"), ("rgb", "rgb"), ("planar-rgb", "rgb")])
def test_pixels_tell_the_number_and_time_of_their_frame(format: Any, plane: str) -> None:
    with acap.video.Stream(*SIZE, format, framerate=200) as stream:
        for frame, _ in zip(stream, range(4), strict=False):
            sequence, microseconds = read_code(getattr(frame, plane))
            assert sequence == frame.sequence
            assert microseconds == round(frame.timestamp * 1e6)


def test_y_plane_is_the_scene(stream: Any) -> None:
    for frame, _ in zip(stream, range(5), strict=False):
        sequence, microseconds = read_code(frame.y)
        assert np.array_equal(np.asarray(frame.y), brightness(*SIZE, sequence, microseconds))


@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (1000, 400)])
def test_large_scene_has_a_barcode(size: tuple[int, int]) -> None:
    with acap.video.Stream(*size, "nv12") as raw, acap.video.Stream(*size, "rgb") as colors:
        for plane in (next(raw).y, np.asarray(next(colors).rgb)[..., 0]):
            y = np.asarray(plane)
            expected = brightness(*size, *read_code(y))
            assert np.array_equal(y, expected)
            # From the label's first dark bar to its last.
            assert np.ptp(expected[size[1] * 7 // 8, size[0] // 4 : -size[0] // 4]) == 235 - 16


def test_arrays_share_the_cameras_memory(stream: Any) -> None:
    frame = next(stream)
    start = np.asarray(frame).__array_interface__["data"][0]
    y, uv = np.asarray(frame.y), np.asarray(frame.uv)
    assert y.__array_interface__["data"][0] == start
    assert uv.__array_interface__["data"][0] == start + 352 * 240
    assert len(frame) == 352 * 360
    assert ctypes.string_at(start, len(frame)) == bytes(frame)


def test_frame_is_read_only(stream: Any) -> None:
    frame = next(stream)
    assert memoryview(frame).readonly
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(frame.y)[0, 0] = 1
    with pytest.raises(TypeError):
        ctypes.c_char.from_buffer(frame)


def test_rows_with_padding_are_not_given_to_who_cannot_skip_it(stream: Any) -> None:
    with pytest.raises(BufferError, match="not contiguous"):
        hashlib.sha256(next(stream).y)


@pytest.mark.parametrize("last", ["frame", "view"])
def test_buffer_goes_back_with_the_last_of_frame_and_views(stream: Any, last: str) -> None:
    frame = next(stream)
    view = np.asarray(frame.y)[20:30, ::2]
    assert (stream.held, frame.views) == (1, 1)
    if last == "frame":
        del view
        assert (stream.held, frame.views) == (1, 0)
        del frame
    else:
        del frame
        gc.collect()
        assert stream.held == 1
        assert view[0, 0] == 32
        del view
    assert stream.held == 0


def test_released_frame_gives_its_buffer_back_at_once(stream: Any) -> None:
    frame = next(stream)
    frame.release()
    frame.release()
    assert frame.released
    assert stream.held == 0


def test_release_is_refused_with_the_number_of_views(stream: Any) -> None:
    frame = next(stream)
    views = [np.asarray(frame.y), memoryview(frame)]
    with pytest.raises(BufferError, match="there are 2 views") as caught:
        frame.release()
    assert isinstance(caught.value, acap.ViewsAlive)
    views.pop()
    with pytest.raises(acap.ViewsAlive, match="there is a view"):
        frame.release()
    views.clear()
    frame.release()


@pytest.mark.parametrize(
    "use",
    [
        memoryview,
        np.asarray,
        bytes,
        lambda frame: frame.y,
        lambda frame: frame.copy(),
        lambda frame: frame.__array__(),
    ],
)
def test_released_frame_cannot_be_used(stream: Any, use: Any) -> None:
    frame = next(stream)
    frame.release()
    with pytest.raises(ValueError, match="was released") as caught:
        use(frame)
    assert isinstance(caught.value, acap.FrameReleased)


@pytest.mark.parametrize("use", [memoryview, np.asarray, np.array])
def test_plane_of_a_released_frame_cannot_be_used(stream: Any, use: Any) -> None:
    frame = next(stream)
    plane = frame.y
    frame.release()
    with pytest.raises(acap.FrameReleased):
        use(plane)


def test_copy_outlives_frame_and_stream(stream: Any) -> None:
    frame = next(stream)
    copy = frame.copy()
    pixels = np.array(frame.y)
    frame.release()
    stream.close()
    assert np.array_equal(np.asarray(copy.y), pixels)
    assert (copy.sequence, copy.timestamp, copy.time) == (frame.sequence, frame.timestamp, frame.time)
    assert np.asarray(copy.uv).strides == (352, 2, 1)


def test_frame_outlives_its_stream(stream: Any) -> None:
    frame = next(stream)
    code = read_code(frame.y)
    stream.close()
    assert read_code(frame.y) == code
    del frame


def test_frame_has_only_the_planes_of_its_format(stream: Any) -> None:
    frame = next(stream)
    with pytest.raises(AttributeError, match="no plane 'rgb'; its planes: y, uv") as caught:
        _ = frame.rgb
    assert isinstance(caught.value, acap.NoSuchPlane)
    assert not hasattr(frame, "rgb")


def test_array_of_another_type_is_a_copy(stream: Any) -> None:
    frame = next(stream)
    array = np.asarray(frame.y, dtype=np.float32)
    assert array.dtype == np.float32
    del frame
    assert stream.held == 0


def test_frames_are_made_by_streams_only(stream: Any) -> None:
    with pytest.raises(TypeError):
        acap.video.Frame()
