"""The camera on a desk: frames out of files, pictures and URLs, in the camera's formats and pitches."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import acap

from .scene import brightness, decode_h264, decode_picture, read_code

pytestmark = pytest.mark.usefixtures("video")
SIZE = (320, 240)
FRAMES = 20


def picture(number: int, width: int = 320, height: int = 240) -> Any:
    """A picture with the code of the scene, that tells its number."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for index, plane in enumerate(frame.planes):
        rows, columns = (height, width) if index == 0 else (height // 2, width // 2)
        pixels = np.zeros((rows, plane.line_size), np.uint8)
        pixels[:, :columns] = brightness(width, height, number, 0) if index == 0 else 100 + 50 * index
        plane.update(pixels.tobytes())
    return frame


def write_video(path: Path, *, rate: int = 100, count: int = FRAMES, size: tuple[int, int] = SIZE) -> Path:
    """Write a video whose pictures are decoded as they were."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(count):
            frame = picture(number, *size)
            frame.pts, frame.time_base = number, Fraction(1, rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.fixture
def use() -> Iterator[Callable[[Path | str], None]]:
    yield acap.video.use
    acap.video.use(None)


@pytest.fixture
def film(tmp_path: Path, use: Callable[[Path], None]) -> Path:
    """A video that stands in for the camera."""
    path = write_video(tmp_path / "film.mkv")
    use(path)
    return path


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
def test_frames_have_the_cameras_formats_and_pitches(
    film: Path,
    monkeypatch: pytest.MonkeyPatch,
    format: Any,
    plane: str,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
) -> None:
    monkeypatch.setenv("ACAP_PITCH_STEP", "352")
    with acap.video.Stream(*SIZE, format) as stream:
        frame = next(stream)
        array = np.asarray(getattr(frame, plane))
        assert (array.shape, array.strides) == (shape, strides)
        assert (stream.framerate, frame.format, frame.width) == (100, format, 320)
        if plane == "uv":
            assert (array == (150, 200)).all()
        else:
            assert read_code(array)[0] == frame.sequence % FRAMES


def test_each_frame_is_the_videos_picture_of_its_time(film: Path) -> None:
    with acap.video.Stream(*SIZE, framerate=50, keep="all") as stream:
        for frame, _ in zip(stream, range(15), strict=False):
            # Twice as many pictures a second in the video, which begins again after the last.
            assert np.array_equal(np.asarray(frame.y), brightness(*SIZE, frame.sequence * 2 % FRAMES, 0))


def test_rgb_has_the_colors_of_the_video(film: Path) -> None:
    for format in ("rgb", "planar-rgb"):
        with acap.video.Stream(*SIZE, format) as stream:
            frame = next(stream)
            expected = picture(frame.sequence % FRAMES).to_ndarray(format="rgb24")
            assert np.abs(np.asarray(frame.rgb).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_picture_is_turned_clockwise(film: Path, rotation: int) -> None:
    size = SIZE if rotation == 180 else SIZE[::-1]
    with acap.video.Stream(*size, rotation=rotation) as stream:
        frame = next(stream)
        assert np.array_equal(np.rot90(np.asarray(frame.y), rotation // 90), brightness(*SIZE, frame.sequence, 0))


@pytest.mark.parametrize(("fit", "most"), [("crop", 1), ("scale", 60)])
def test_crop_cuts_the_middle_out_and_scale_shows_all(tmp_path: Path, use: Any, fit: Any, most: int) -> None:
    use(write_video(tmp_path / "wide.mkv", size=(480, 240)))
    with acap.video.Stream(*SIZE, fit=fit) as stream:
        shown = np.asarray(next(stream).y).astype(int)
    difference = np.abs(shown - brightness(480, 240, 0, 0)[:, 80:400])[60:110]
    assert (difference.max() <= 1) == (fit == "crop")
    assert difference.max() <= most
    assert shown[100, 319] == pytest.approx(32 + 128 * (400 if fit == "crop" else 480) // 480, abs=3)


@pytest.mark.parametrize("format", ["jpeg", "h264"])
def test_encoded_frames_are_decoded_by_ffmpeg(film: Path, format: Any) -> None:
    with acap.video.Stream(*SIZE, format, keep="all", extra={"gop_length": 3, "compression": 5}) as stream:
        frames = [frame.copy() for frame, _ in zip(stream, range(7), strict=False)]
    if format == "h264":
        pictures = decode_h264([bytes(frame) for frame in frames])
        assert [frame.key for frame in frames] == [n % 3 == 0 for n in range(7)]
        assert bytes(frames[0])[frames[0].header_size :].startswith((b"\0\0\1\x65", b"\0\0\0\1\x65"))
    else:
        pictures = [decode_picture(bytes(frame)) for frame in frames]
    assert [read_code(shown.to_ndarray(format="gray"))[0] for shown in pictures] == [
        frame.sequence % FRAMES for frame in frames
    ]


def test_pictures_of_a_folder_come_in_the_order_of_their_names(tmp_path: Path, use: Any) -> None:
    for number in range(3):
        picture(number).save(str(tmp_path / f"{number}.png"))
    use(tmp_path)
    with acap.video.Stream(*SIZE, framerate=100, keep="all") as stream:
        for frame, _ in zip(stream, range(5), strict=False):
            assert read_code(frame.y)[0] == frame.sequence % 3


def test_one_picture_is_shown_again_and_again(tmp_path: Path, use: Any) -> None:
    picture(7).save(str(tmp_path / "only.png"))
    use(tmp_path / "only.png")
    with acap.video.Stream(*SIZE) as stream:
        assert stream.framerate == 30
        assert [read_code(next(stream).y)[0] for _ in range(3)] == [7, 7, 7]


def test_environment_names_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACAP_VIDEO", str(write_video(tmp_path / "film.mkv")))
    with acap.video.Stream(*SIZE) as stream:
        assert stream.memory == ""
        assert read_code(next(stream).y)[0] < FRAMES


def test_desk_has_what_the_virtual_camera_has(film: Path) -> None:
    acap.video.use(None)
    virtual = (acap.video.resolutions(), acap.video.formats(), acap.video.channels(), acap.video.inputs())
    acap.video.use(film)
    assert (acap.video.resolutions(), acap.video.formats(), acap.video.channels(), acap.video.inputs()) == virtual


def test_given_size_is_told_apart_from_the_asked(film: Path) -> None:
    with acap.video.Stream(637, 239, framerate=20) as stream:
        assert (stream.width, stream.height, stream.pitch) == (632, 238, 632)
        assert np.asarray(next(stream).y).shape == (238, 632)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"width": 8000}, acap.FormatError, "the camera has 160×90"),
        ({"format": "av1"}, acap.FormatError, "does not have the format av1, it has nv12"),
        ({"channel": 5}, acap.NoSuchChannel, "the camera has the channels 0, 1"),
    ],
)
def test_what_the_desk_cannot_do_is_refused_as_by_a_camera(
    film: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        acap.video.Stream(**{"width": 320, "height": 240, **options})


def test_snapshot_is_the_first_picture(film: Path) -> None:
    frame = acap.video.snapshot(*SIZE, "nv12")
    assert np.array_equal(np.asarray(frame.y), brightness(*SIZE, 0, 0))
    assert acap.video.snapshot(*SIZE).kind == "jpeg"


def hold(stream: Any, held: list[Any]) -> None:
    while True:
        held.append(next(stream))  # taken here


def test_held_frames_are_named_then_refused(film: Path) -> None:
    with acap.video.Stream(*SIZE, framerate=100) as stream:
        held: list[Any] = []
        with pytest.warns(acap.FramesHeldWarning) as caught, pytest.raises(BufferError, match=r"test_desk\.py:"):
            hold(stream, held)
        _, _, line = str(caught[0].message).rpartition(":")
        assert "# taken here" in Path(__file__).read_text("utf-8").splitlines()[int(line) - 1]
        held.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert next(stream).sequence > 3
        assert stream.dropped > 0


def test_slow_program_gets_the_newest_frame(film: Path) -> None:
    with acap.video.Stream(*SIZE, framerate=100) as stream:
        # On a busy computer, the first frames come late themselves.
        for _ in range(20):
            before = next(stream).sequence
            threading.Event().wait(0.2)  # the program does something else
            if next(stream).sequence - before > 10:
                return
        pytest.fail("the frames came from the buffers, in which they had waited")


def test_stream_that_is_closed_or_forgotten_ends_its_thread(film: Path) -> None:
    before = threading.active_count()
    with acap.video.Stream(*SIZE) as stream:
        frame = next(stream)
    assert read_code(frame.y)[0] == frame.sequence
    with pytest.raises(acap.StreamClosed):
        next(stream)
    stream = acap.video.Stream(*SIZE)
    next(stream)
    del stream
    gc.collect()
    assert threading.active_count() == before


def test_events_tell_of_the_streams(film: Path) -> None:
    with acap.video.Events(timeout=0) as events:
        with acap.video.Stream(*SIZE, events=True) as stream:
            assert stream.events() == [("started", stream.id)]
        assert [event.kind for event in events] == ["created", "closed"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("none.mp4", None, "there is no video or picture"), ("bad.mp4", b"no video at all", "cannot use")],
)
def test_source_that_cannot_be_used_is_told(
    tmp_path: Path, use: Any, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    use(tmp_path / name)
    with pytest.raises(OSError, match=message) as caught:
        acap.video.Stream(*SIZE)
    assert isinstance(caught.value, acap.SourceFailed)
    assert name in str(caught.value)


def test_folder_without_pictures_is_told(tmp_path: Path, use: Any) -> None:
    use(tmp_path)
    with pytest.raises(acap.SourceFailed, match=r"has no pictures: they end in .*\.png"):
        acap.video.snapshot(*SIZE)


def test_damaged_video_ends_the_stream_with_an_error(film: Path) -> None:
    data = bytearray(film.read_bytes())
    film.write_bytes(data[: len(data) // 3])  # the rest is missing
    with acap.video.Stream(*SIZE, framerate=200, keep="all") as stream:
        for _ in range(3):
            assert len(next(stream)) == 320 * 360


def test_missing_pyav_says_what_to_install(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(OSError, match=r"needs PyAV .*: type `pip install 'acap\[desk\]'`") as caught:
        acap.video.Stream(*SIZE)
    assert isinstance(caught.value, acap.LibraryMissing)
