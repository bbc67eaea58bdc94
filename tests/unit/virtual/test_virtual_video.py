"""A video of the host as the scene of a virtual camera: its pictures by time, and the process that reads it."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from incamera.errors import DeviceError, UsageError
from incamera.proc import Result
from incamera.virtual.agreed import SCENE, SCENE_FAILED
from incamera.virtual.video_service import GREETING
from incamera.virtual.video_source import (
    FULL_NV12,
    NV12,
    PLANAR_RGB,
    RGB,
    Y800,
    BadVideo,
    Film,
    Folder,
    View,
    open_source,
    opened,
    render,
)
from incamera.workflows import virtual_scene
from incamera.workflows.virtual_scene import describe_video, read_scene

pytestmark = pytest.mark.starts_processes

COLORS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
SIZE = 320, 180


def make_video(path: Path, *, rate: int = 5, size: tuple[int, int] = SIZE, codec: str = "mpeg4") -> Path:
    """Write a video that has one of COLORS for each second."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.time_base = Fraction(1, rate)
        for number in range(rate * len(COLORS)):
            pixels = np.full((size[1], size[0], 3), COLORS[number // rate], np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def picture(source: Film | Folder, seconds: float, view: View | None = None) -> Any:
    view = view or View(RGB, *(SIZE[0], 0), *SIZE, 3 * SIZE[0])
    data = render(source.at(seconds), source.aspect, view)
    assert len(data) == view.size
    return np.frombuffer(data, np.uint8)


def second_of(source: Film | Folder, seconds: float) -> int:
    """Return which of COLORS is shown at *seconds*."""
    color = picture(source, seconds).reshape(SIZE[1], SIZE[0], 3)[90, 160].astype(int)
    return int(np.argmin([abs(color - wanted).sum() for wanted in COLORS]))


@pytest.mark.parametrize("name", ["film.mp4", "film.avi", "film.mkv"])
def test_pictures_follow_the_time_and_begin_again_after_the_end(tmp_path: Path, name: str) -> None:
    with opened(av, make_video(tmp_path / name)) as source:
        # Also backwards by less than a picture, as streams ask that take turns, and far ahead after a pause.
        for seconds in (0, 0.9, 1.0, 0.95, 1.9, 2.9, 3.0, 4.1, 3.9, 3600.0, 3601.5, 3602.9, 1.1):
            assert second_of(source, seconds) == int(seconds % 3), seconds


def test_pictures_have_the_planes_of_each_format(tmp_path: Path) -> None:
    with opened(av, make_video(tmp_path / "film.mp4")) as source:
        red = picture(source, 0, View(PLANAR_RGB, 320, 0, 320, 180, 320)).reshape(3, 180, 320)
        assert [int(plane.mean().round(-1)) for plane in red] == [200, 40, 40]
        nv12 = picture(source, 0, View(NV12, 320, 0, 320, 180, 384)).reshape(270, 384)
        y800 = picture(source, 0, View(Y800, 320, 0, 320, 180, 384)).reshape(180, 384)
        assert np.array_equal(nv12[:180], y800)
        assert not nv12[:, 320:].any()
        full = picture(source, 0, View(FULL_NV12, 320, 0, 320, 180, 320)).reshape(270, 320)
        brightness = 0.299 * COLORS[0][0] + 0.587 * COLORS[0][1] + 0.114 * COLORS[0][2]
        assert abs(full[:180].mean() - brightness) < 2
        assert abs(nv12[:180, :320].mean() - (16 + brightness * 219 / 255)) < 2
        assert nv12[180:, 1:320:2].mean() > 180 > 128 > nv12[180:, 0:320:2].mean()


@pytest.mark.parametrize("size", [(240, 180), (320, 100)], ids=["high", "wide"])
def test_a_video_of_another_shape_has_black_beside_it(tmp_path: Path, size: tuple[int, int]) -> None:
    with opened(av, make_video(tmp_path / "film.mp4", size=size)) as source:
        pixels = picture(source, 0).reshape(180, 320, 3)
        edges = (pixels[:, :36], pixels[:, -36:]) if size[0] == 240 else (pixels[:36], pixels[-36:])
        assert all(not edge.any() for edge in edges)
        assert abs(pixels[90, 160].astype(int) - COLORS[0]).max() < 10
        # A stream that cuts the middle out sees less of what is black.
        cut = picture(source, 0, View(RGB, 320, 40, 240, 180, 720)).reshape(180, 240, 3)
        assert np.array_equal(cut, pixels[:, 40:280])


def test_a_picture_stays_and_those_of_a_folder_take_turns(tmp_path: Path) -> None:
    for number, color in enumerate(COLORS):
        frame = av.VideoFrame.from_ndarray(np.full((180, 320, 3), color, np.uint8), format="rgb24")
        frame.save(str(tmp_path / f"{number}.png"))
    with opened(av, tmp_path / "1.png") as source:
        assert [second_of(source, seconds) for seconds in (0, 100)] == [1, 1]
    with opened(av, tmp_path) as source:
        assert [second_of(source, seconds) for seconds in (0.5, 1.5, 2.5, 3.5)] == [0, 1, 2, 0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadVideo, match="has no pictures"):
        open_source(av, tmp_path / "empty")


def test_a_video_that_ends_too_soon_shows_what_there_is(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "film.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    with opened(av, tmp_path / "cut.mkv") as source:
        assert second_of(source, 0) == 0
        assert second_of(source, 1000) in range(3)


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes(range(256)) * 100)
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/film.ts\n#EXT-X-ENDLIST\n")
    for path in (noise, playlist):
        with pytest.raises(UsageError, match="shows no video"):
            describe_video(path)
    with pytest.raises(UsageError, match="there is no video"):
        describe_video(tmp_path / "missing.mp4")
    told = describe_video(make_video(tmp_path / "film.mp4"))
    assert (told.width, told.height, told.rate, told.seconds) == (320, 180, 5, 3)


def test_without_pyav_an_error_shows_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_without_pyav(words: list[str], **_: object) -> Result:
        code = "import sys; sys.modules['av'] = None; from incamera.virtual.video_service import main; main()"
        done = subprocess.run([words[0], "-P", "-c", code, *words[4:]], capture_output=True, check=True)
        return Result(done.stdout, done.stderr)

    monkeypatch.setattr(virtual_scene, "run", run_without_pyav)
    with pytest.raises(DeviceError, match="needs PyAV") as caught:
        describe_video(make_video(tmp_path / "film.mp4"))
    assert "-m pip install av" in (caught.value.hint or "")


class Camera:
    """The camera's end of the line to a process that reads a video."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket, other = socket.socketpair()
        self.socket.settimeout(60)
        words = [sys.executable, "-P", "-m", "incamera.virtual.video_service", str(folder)]
        self.process = subprocess.Popen(words, stdin=other.fileno())
        other.close()
        self.socket.sendall(b"the rest of a request" + GREETING + b"12345678")
        assert self.receive(len(GREETING) + 8) == GREETING + b"12345678"

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self.socket.recv(size - len(data)) or pytest.fail("the line has ended")
        return data

    def choose(self, number: int, source: Path) -> None:
        (self.folder / SCENE).write_text(json.dumps({"number": number, "source": str(source)}))

    def ask(self, number: int, seconds: float) -> tuple[int, bytes]:
        self.socket.sendall(struct.pack("<IIQ6I", number, RGB, int(seconds * 1e6), 320, 0, 320, 180, 960, 0))
        failed, _, size = struct.unpack("<IIQ", self.receive(16))
        return failed, self.receive(size)

    def second(self, number: int, seconds: float) -> int:
        failed, data = self.ask(number, seconds)
        assert not failed, data
        color = np.frombuffer(data, np.uint8)[960 * 90 : 960 * 90 + 3].astype(int)
        return int(np.argmin([abs(color - wanted).sum() for wanted in COLORS]))


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    folder = tmp_path / "camera"
    folder.mkdir()
    found = Camera(folder)
    yield found
    found.socket.close()
    found.process.kill()
    found.process.wait()


def test_video_begins_with_the_first_picture_that_is_asked_for(camera: Camera, tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4")
    camera.choose(7, film)
    assert [camera.second(7, 500 + seconds) for seconds in (0, 1.1, 2.1, 3.1)] == [0, 1, 2, 0]
    film.unlink()  # it is open
    assert [camera.second(7, 500 + seconds) for seconds in (4.1, 6.1)] == [1, 0]
    camera.choose(8, film)
    failed, text = camera.ask(8, 510)
    assert (failed, "No such file" in text.decode()) == (1, True)
    assert json.loads((camera.folder / SCENE_FAILED).read_bytes())["number"] == 8
    assert "No such file" in (read_scene(camera.folder).error or "")
    camera.choose(9, make_video(tmp_path / "other.mp4"))
    assert [camera.second(9, 600 + seconds) for seconds in (0, 1.1)] == [0, 1]
    assert read_scene(camera.folder).error is None


def test_further_greeting_is_answered(camera: Camera, tmp_path: Path) -> None:
    camera.choose(7, make_video(tmp_path / "film.mp4"))
    camera.socket.sendall(GREETING + b"firsttok" + GREETING + b"12345678")
    assert camera.receive(2 * len(GREETING) + 16) == GREETING + b"firsttok" + GREETING + b"12345678"
    assert camera.second(7, 0) == 0


def test_process_ends_with_the_line_and_with_a_request_that_no_stream_makes(camera: Camera) -> None:
    camera.socket.sendall(struct.pack("<IIQ6I", 1, RGB, 0, 1 << 30, 0, 1 << 30, 1 << 30, 1 << 31, 0))
    assert camera.process.wait(60) == 0
