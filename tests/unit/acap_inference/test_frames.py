"""Frames of acap.video as the input of a model: cut, scaled and converted, without a copy."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import acap

from .reference import convert, scale
from .test_models import descriptors

if TYPE_CHECKING:
    from .conftest import Set

pytestmark = pytest.mark.usefixtures("video", "inference")
Write = Callable[..., Path]


@pytest.fixture
def model(model_file: Write) -> Iterator[Any]:
    with acap.inference.Model(model_file()) as model:
        yield model


def frame_of(format: Any = "nv12", width: int = 320, height: int = 240) -> Any:
    with acap.video.Stream(width, height, format, framerate=100) as stream:
        return next(stream)


def same(outputs: Any, others: Any) -> None:
    for output, other in zip(outputs, others, strict=True):
        np.testing.assert_array_equal(np.asarray(output), np.asarray(other))


@pytest.mark.parametrize("pitch", [1, 64])
def test_frame_is_scaled_and_converted(model: Any, monkeypatch: pytest.MonkeyPatch, pitch: int) -> None:
    monkeypatch.setenv("INCAMERA_VDO_PITCH_STEP", str(pitch))
    frame = frame_of(width=328)
    same(model.run(frame), model.run(convert(frame, 32, 32)))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"crop": (20, 30, 100, 80)}, (20, 30, 100, 80)),
        ({"crop": (21, 31, 101, 81)}, (20, 30, 100, 80)),
        ({"fit": "crop"}, (40, 0, 240, 240)),
        ({"crop": (0, 0, 320, 240)}, None),
    ],
)
def test_part_of_a_frame_is_used(model: Any, options: dict[str, Any], part: Any) -> None:
    frame = frame_of()
    same(model.run(frame, **options), model.run(convert(frame, 32, 32, part)))
    same(model.run(frame), model.run(convert(frame, 32, 32)))


def test_int8_takes_0_to_255_as_minus_128_to_127(model_file: Write) -> None:
    frame = frame_of()
    values = (convert(frame, 32, 32) ^ 0x80).view("int8")
    with acap.inference.Model(model_file("int8")) as model:
        same(model.run(frame), model.run(values))
        same(model.submit(frame).wait(), model.run(values))


def test_rgb_frame_is_taken(model: Any) -> None:
    frame = frame_of("rgb")
    same(model.run(frame), model.run(scale(np.asarray(frame.rgb), 32, 32)))
    part = scale(np.asarray(frame.rgb)[20:120, 10:210], 32, 32)
    same(model.run(frame, crop=(10, 20, 200, 100)), model.run(part))


def test_conversion_that_the_device_lacks_is_refused(model: Any) -> None:
    message = "cpu-proc cannot convert rgb-planar of 320×240 to rgb-interleaved of 32×32"
    with pytest.raises(acap.WrongShape, match=message):
        model.run(frame_of("planar-rgb"))


def test_copy_gives_the_same_as_the_frame(model: Any) -> None:
    frame = frame_of()
    wanted = model.run(frame)
    copy = frame.copy()
    same(model.run(copy), wanted)
    same(model.submit(copy).wait(), wanted)


def test_part_outside_of_the_frame_is_refused(model: Any) -> None:
    with pytest.raises(ValueError, match="lies outside of a picture of 320×240") as caught:
        model.run(frame_of(), crop=(300, 0, 40, 40))
    assert isinstance(caught.value, acap.WrongShape)


def test_frame_without_colours_is_refused(model: Any) -> None:
    with pytest.raises(acap.WrongShape, match="no colours that can be converted: use a stream of nv12"):
        model.run(frame_of("y800"))


def test_released_frame_is_refused(model: Any) -> None:
    frame = frame_of()
    frame.release()
    for use in (model.run, model.submit):
        with pytest.raises(ValueError, match="released") as caught:
            use(frame)
        assert isinstance(caught.value, acap.FrameReleased)


def test_frame_of_an_ended_stream_is_good(model: Any) -> None:
    with acap.video.Stream(320, 240, framerate=100) as stream:
        frame = next(stream)
        wanted = model.run(frame)
    same(model.run(frame), wanted)


def test_frame_cannot_be_released_while_a_job_reads_it(model_file: Write, service: Set) -> None:
    service("JOB_MS", 100)
    with acap.inference.Model(model_file()) as model:
        frame = frame_of()
        result = model.submit(frame)
        with pytest.raises(BufferError, match="is a view"):
            frame.release()
        result.wait()
        frame.release()


def test_streams_that_come_and_go_leave_nothing_behind(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with acap.video.Stream(320, 240, framerate=1000) as stream:
        model.run(next(stream))
    gc.collect()
    before, tracked = descriptors(), model.tracked
    monkeypatch.setenv("INCAMERA_VDO_RESTART_AFTER", "5")
    with acap.video.Stream(320, 240, framerate=1000, keep="all") as stream:
        for _ in range(60):
            model.run(next(stream))
        assert stream.rebuilt > 5
        assert model.tracked <= 32
    del stream
    gc.collect()
    assert model.tracked <= tracked
    assert descriptors() <= before


def test_more_buffers_than_the_service_tracks(model: Any) -> None:
    with acap.video.Stream(320, 240, framerate=1000, buffers=40, keep="all") as stream:
        frames = [next(stream) for _ in range(39)]
        results = [np.array(model.run(frame)[1]) for frame in frames]
        assert model.tracked == 32
        for frame, result in zip(frames[-3:], results[-3:], strict=True):
            np.testing.assert_array_equal(np.asarray(model.run(convert(frame, 32, 32))[1]), result)


def test_camera_without_the_converter_is_told(model_file: Write, service: Set) -> None:
    service("DEVICES", "cpu-tflite")
    with acap.inference.Model(model_file()) as model, pytest.raises(acap.NoSuchDevice, match="'cpu-proc' to convert"):
        model.run(frame_of())
