"""Streams: which frames come, what is lost, what the camera gives, and how a stream fails and comes back."""

from __future__ import annotations

import gc
import threading
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import acap

from .scene import read_code

pytestmark = pytest.mark.usefixtures("video")
Set = Callable[[str, int], None]


def make(**options: Any) -> Any:
    return acap.video.Stream(320, 240, options.pop("format", "nv12"), **{"framerate": 100, **options})


def test_given_size_is_told_apart_from_the_asked(camera_setting: Set) -> None:
    camera_setting("PITCH_STEP", 64)
    with acap.video.Stream(637, 359, "nv12", framerate=20) as stream:
        assert (stream.asked.width, stream.asked.height, stream.asked.pitch) == (637, 359, 0)
        assert (stream.given.width, stream.given.height, stream.given.pitch) == (632, 358, 640)
        assert (stream.width, stream.height, stream.pitch, stream.framerate) == (632, 358, 640, 20.0)
        assert np.asarray(next(stream).y).shape == (358, 632)


def test_slow_program_gets_the_newest_frame() -> None:
    with make() as stream:
        first = next(stream).sequence
        second = next(stream).sequence
        time.sleep(0.2)  # 20 frames, of which 3 fit into the buffers
        third = next(stream).sequence
    assert third - second > 10
    assert stream.dropped == third - first - 2


def test_program_that_is_always_too_slow_gets_no_old_frames() -> None:
    with make() as stream:
        ages = []
        for _ in range(5):
            time.sleep(0.1)  # ten frame times, with room for three frames
            ages.append(time.monotonic() - next(stream).timestamp)
    assert sorted(ages)[2] < 0.05  # without a wait for a new frame, it is that of the first that found room: 0.07


def test_keep_all_gives_the_frames_that_wait_in_the_buffers() -> None:
    with make(keep="all", buffers=5) as stream:
        first = next(stream).sequence
        time.sleep(0.2)
        numbers = [next(stream).sequence for _ in range(4)]
    assert numbers == list(range(first + 1, first + 5))
    assert stream.dropped == 0


def test_what_the_camera_could_not_deliver_is_counted() -> None:
    with make(keep="all") as stream:
        numbers = []
        for _ in range(5):
            numbers.append(next(stream).sequence)
            time.sleep(0.05)
    gaps = sum(later - earlier - 1 for earlier, later in pairwise(numbers))
    assert stream.dropped == gaps > 0


def test_fresh_frame_is_captured_after_the_call() -> None:
    with make(keep="all") as stream:
        next(stream)
        time.sleep(0.1)
        now = time.monotonic()
        assert stream.fresh().timestamp >= now


def test_rate_is_changed_on_the_running_stream() -> None:
    with make(framerate=1) as stream:
        stream.framerate = 100
        frames = [next(stream).timestamp for _ in range(3)]
        assert stream.framerate == 100
    assert frames[2] - frames[1] < 0.9


def test_waiting_releases_the_gil() -> None:
    moments: list[float] = []
    done = threading.Event()

    def note() -> None:
        while not done.wait(0.001):
            moments.append(time.monotonic())

    thread = threading.Thread(target=note)
    with make(framerate=4) as stream:
        thread.start()
        try:
            # A busy computer may keep the thread from running during one wait.
            for _ in range(20):
                start = time.monotonic()
                next(stream)
                end = time.monotonic()
                if any(start + 0.05 < moment < end - 0.05 for moment in moments):
                    return
            pytest.fail("the other thread never ran while this one waited")
        finally:
            done.set()
            thread.join()


def test_wait_ends_after_the_timeout() -> None:
    with make(framerate=0.1, timeout=0.05) as stream, pytest.raises(TimeoutError, match=r"within 0\.05 s") as caught:
        next(stream)
    assert isinstance(caught.value, acap.NoFrame)


def hold_all(stream: Any, held: list[Any]) -> None:
    while True:
        held.append(np.asarray(next(stream).y))


def test_held_frames_are_named_then_refused() -> None:
    with make() as stream:
        held: list[Any] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(BufferError, match="buffers=") as refused:
                hold_all(stream, held)
        assert [warning.category for warning in caught] == [acap.FramesHeldWarning]
        said, _, line = str(caught[0].message).rpartition(":")
        assert said.startswith("all 3 buffers")
        assert said.endswith("test_streams.py")
        assert "held.append" in Path(__file__).read_text("utf-8").splitlines()[int(line) - 1]
        assert isinstance(refused.value, acap.Starved)
        held.clear()
        assert next(stream).sequence > 3


def test_stream_is_rebuilt_after_the_service_restarted(camera_setting: Set) -> None:
    camera_setting("RESTART_AFTER", 4)
    camera_setting("DOWN_FOR", 2)
    with make(keep="all") as stream:
        kept = next(stream)
        code = read_code(kept.y)
        frames = [next(stream) and None for _ in range(10)]
        assert len(frames) == 10
        assert stream.rebuilt == 2
        assert read_code(kept.y) == code  # a frame of the first stream is still there


def test_service_that_does_not_come_back_is_an_error(camera_setting: Set) -> None:
    camera_setting("RESTART_AFTER", 1)
    camera_setting("DOWN_FOR", 1000)
    with make(timeout=0.1) as stream:
        next(stream)
        with pytest.raises(ConnectionError, match="does not come back") as caught:
            next(stream)
    assert isinstance(caught.value, acap.ServiceDown)
    camera_setting("RESTART_AFTER", 0)
    with pytest.raises(acap.ServiceDown):  # the same when a stream is made
        make()
    camera_setting("DOWN_FOR", 0)
    make().close()


def test_size_that_the_camera_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(ValueError, match=r"the camera has 160×90, .*1920×1080") as caught:
        acap.video.Stream(8000, 6000)
    assert isinstance(caught.value, acap.FormatError)
    assert (caught.value.code, caught.value.domain) == (3, "vdo")
    assert "160×90" in caught.value.hint


@pytest.mark.parametrize("format", ["h265", "av1"])
def test_format_that_the_camera_lacks_is_refused_with_those_it_has(format: str) -> None:
    with pytest.raises(
        acap.FormatError, match=f"does not have the format {format}, it has nv12, y800, .*, jpeg, h264$"
    ):
        make(format=format)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "yuv"}, "no format 'yuv': use one of nv12, y800"),
        ({"keep": "last"}, "keep must be"),
        ({"buffers": 1}, "at least 2 buffers"),
        ({"framerate": 0}, "must be positive"),
        ({"rotation": 45}, "rotated by 45°: use 0, 90, 180 or 270"),
        ({"fit": "contain"}, "fit must be"),
        ({"format": "h264", "keep": "newest"}, 'use keep="all"'),
    ],
)
def test_bad_argument_is_a_value_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_setting_of_a_wrong_type_is_refused() -> None:
    with pytest.raises(TypeError, match=r"the setting zip\.strength must be"):
        make(extra={"zip.strength": None})


def test_streams_beyond_the_cameras_limit_are_refused() -> None:
    streams: list[Any] = []
    with pytest.raises(OSError, match="no more streams") as caught:
        streams.extend(make() for _ in range(20))
    assert isinstance(caught.value, acap.NoMoreStreams)
    for stream in streams:
        stream.close()
    make().close()


def test_app_without_the_group_video_is_told_where_to_ask_for_it(camera_setting: Set) -> None:
    camera_setting("DENIED", 1)
    for use in (make, acap.video.channels, acap.video.resolutions, lambda: acap.video.snapshot(320, 240)):
        with pytest.raises(
            PermissionError, match=r'group "video": resources\.linux\.user\.groups in manifest\.json'
        ) as caught:
            use()
        assert isinstance(caught.value, acap.AccessDenied)


def test_restart_reaches_every_stream(camera_setting: Set) -> None:
    with make(keep="all") as first, make(keep="all") as second:
        next(second)
        camera_setting("RESTART_AFTER", 3)
        for _ in range(5):
            next(first)
        camera_setting("RESTART_AFTER", 0)
        next(second)
        assert (first.rebuilt, second.rebuilt) == (1, 1)


def hold_frames(stream: Any, held: list[Any]) -> None:
    while True:
        held.append(next(stream))  # taken here


def test_line_that_took_a_held_frame_is_named() -> None:
    with make() as stream:
        with pytest.warns(acap.FramesHeldWarning) as caught, pytest.raises(acap.Starved):
            hold_frames(stream, [])
        _, _, line = str(caught[0].message).rpartition(":")
        assert "# taken here" in Path(__file__).read_text("utf-8").splitlines()[int(line) - 1]


def test_stream_that_is_forgotten_is_closed() -> None:
    for _ in range(20):
        next(make())
    gc.collect()


def test_closed_stream_cannot_be_used() -> None:
    stream = make()
    stream.close()
    stream.close()
    for use in (lambda: next(stream), stream.fileno, stream.fresh):
        with pytest.raises(ValueError, match="closed") as caught:
            use()
        assert isinstance(caught.value, acap.StreamClosed)


def test_stream_is_refused_in_another_thread() -> None:
    with make() as stream:
        errors: list[BaseException] = []

        def use() -> None:
            try:
                next(stream)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        assert isinstance(errors[0], acap.WrongThread)
        assert isinstance(errors[0], RuntimeError)
        assert "another thread" in str(errors[0])


def test_frame_that_dies_in_another_thread_goes_back() -> None:
    with make(keep="all") as stream:
        for _ in range(10):
            box = [next(stream)]
            thread = threading.Thread(target=box.clear)
            thread.start()
            thread.join()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            next(stream)
        assert stream.held <= 1


def test_sizes_of_the_camera_are_listed() -> None:
    assert (1280, 720) in acap.video.resolutions("nv12")
    assert acap.video.resolutions("nv12", input=1) == acap.video.resolutions("nv12")
    assert acap.video.resolutions("av1") == []
