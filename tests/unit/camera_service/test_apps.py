"""Two apps with one service, as in a camera: this process is one of them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
from tests.unit.acap_video.conftest import NEWEST, PACKAGE, STAND_INS, built_module, fresh_settings, video
from tests.unit.acap_video.scene import decode_picture
from tests.waiting import wait_until

import acap

if TYPE_CHECKING:
    from .conftest import Service

__all__ = ["built_module", "fresh_settings", "video"]
pytestmark = [pytest.mark.starts_processes, pytest.mark.usefixtures("video", "shared")]

START = """
import ctypes, sys, time
for library in ("libvdostream.so.1", "libbbox.so.1"):
    ctypes.CDLL(f"{sys.argv[1]}/{library}")
import acap
acap.__path__.append(sys.argv[2])
def make(**options):
    return acap.video.Stream(320, 240, **{"framerate": 50, **options})
def tell(*words):
    print(*words, flush=True)
"""
WAIT = "\ntime.sleep(600)\n"


@pytest.fixture
def shared(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries of this process, and of those that it starts, use the service."""
    monkeypatch.setenv("INCAMERA_CAMERA_SERVICE", str(service.path))
    ctypes.CDLL(str(STAND_INS / NEWEST / "libbbox.so.1"))


class App:
    """Another app, in a process of its own."""

    def __init__(self, built_module: Path, code: str) -> None:
        words = [sys.executable, "-c", START + code, str(STAND_INS / NEWEST), str(built_module)]
        environment = os.environ | {"PYTHONPATH": str(PACKAGE / "src")}
        self.process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self.process.stdout
        self.process.stdout.close()

    def told(self) -> list[str]:
        assert self.process.stdout
        return self.process.stdout.readline().split()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def events_of(events: Any) -> Iterator[tuple[str, int]]:
    for event in events:
        yield event.kind, event.stream


def test_streams_of_another_app_are_seen(built_module: Path) -> None:
    code = "stream = make()\nother = make()\nother.close()\nnext(stream)\ntell(stream.id)" + WAIT
    with App(built_module, code) as app, acap.video.Events(timeout=30) as events:
        [number] = app.told()
        from acap import _video

        assert _video.stream_size(int(number)) == (320, 240)
        app.kill()
        told = []
        for one in events_of(events):
            told.append(one)
            if one == ("closed", int(number)):
                break
        assert told[-1] == ("closed", int(number))
        assert ("existing", int(number)) in told or ("created", int(number)) in told


def test_apps_share_the_cameras_limit(built_module: Path) -> None:
    with App(built_module, "streams = [make() for _ in range(5)]\ntell(len(streams))" + WAIT) as app:
        assert app.told() == ["5"]
        streams = [acap.video.Stream(320, 240) for _ in range(3)]
        with pytest.raises(acap.NoMoreStreams):
            acap.video.Stream(320, 240)
        app.kill()
        wait_until(can_make_stream, "a stream of the killed app is free")
        for stream in streams:
            stream.close()


def test_app_cannot_take_all_of_the_cameras_memory() -> None:
    """Eight streams of the largest size fit, and no more buffers than 1.5 times theirs."""
    with contextlib.ExitStack() as stack:
        for _ in range(7):
            stack.enter_context(acap.video.Stream(1920, 1080, "rgb"))
        with pytest.raises(acap.NoMoreStreams):
            acap.video.Stream(1920, 1080, "rgb", buffers=30)
        stack.enter_context(acap.video.Stream(1920, 1080, "rgb"))


def can_make_stream() -> bool:
    try:
        acap.video.Stream(320, 240).close()
    except acap.NoMoreStreams:
        return False
    return True


def is_boxed() -> bool:
    picture = decode_picture(bytes(acap.video.snapshot(320, 240))).to_ndarray(format="rgb24").astype(int)
    row = picture[61, 90:230]
    return bool((row[:, 1] > row[:, 0] + 60).all())


BOX = """
boxes = acap.bbox.Boxes()
boxes.show([(0.25, 0.25, 0.75, 0.75)], color="lime", thickness="thick")
tell("shown")
"""


def test_boxes_are_in_the_pictures_of_another_app_and_end_with_theirs(built_module: Path) -> None:
    assert not is_boxed()
    with App(built_module, BOX + WAIT) as app:
        assert app.told() == ["shown"]
        assert is_boxed()
        app.kill()
        wait_until(lambda: not is_boxed(), "the box is gone")


def test_many_boxes_are_shown_at_once() -> None:
    """They come in several messages."""
    with acap.bbox.Boxes() as boxes:
        left = [(x / 2000, 0.25, x / 2000 + 0.0001, 0.75) for x in range(2000)]
        boxes.show([*left, (0.25, 0.25, 0.75, 0.75)], color="lime", thickness="thick")
        assert is_boxed()
    assert not is_boxed()


def test_picture_has_what_all_apps_draw(built_module: Path, service: Service) -> None:
    def take() -> subprocess.CompletedProcess[bytes]:
        words = [service.program, "--drawn"]
        return subprocess.run(words, capture_output=True, check=False, timeout=60)

    assert (take().returncode, take().stdout) == (3, b"")
    with App(built_module, BOX + WAIT) as app, acap.bbox.Boxes() as boxes:
        assert app.told() == ["shown"]
        boxes.show([(0.1, 0.25, 0.2, 0.75)], color="lime", thickness="thick")
        with acap.video.Stream(320, 240, "nv12") as stream:
            picture = decode_picture(take().stdout).to_ndarray(format="rgb24").astype(int)
            assert stream.held == 0
        assert picture.shape == (240, 320, 3)
        assert (picture[61, 90:230, 1] > picture[61, 90:230, 0] + 60).all()
        assert (picture[61, 34:60, 1] > picture[61, 34:60, 0] + 60).all()
        assert decode_picture(take().stdout).to_ndarray(format="rgb24").shape == (720, 1280, 3)


def test_stream_is_made_again_when_the_service_was_killed(service: Service) -> None:
    with acap.video.Stream(320, 240, "nv12", framerate=50) as stream, acap.video.Events(timeout=0) as events:
        kept = next(stream)
        before = np.array(kept.y)
        assert list(events_of(events)) == [("existing", stream.id)]
        service.restart()
        assert next(stream).sequence < 100
        assert stream.rebuilt == 1
        assert np.array_equal(kept.y, before), "a frame outlives its service"
        assert list(events_of(events)) == [("existing", stream.id)]
        assert events.rebuilt == 1


def test_service_that_does_not_come_back_is_an_error(service: Service) -> None:
    with acap.video.Stream(320, 240, "nv12", framerate=50, timeout=0.5) as stream:
        next(stream)
        service.kill()
        with pytest.raises(acap.ServiceDown):
            next(stream)
        with pytest.raises(acap.ServiceDown):
            acap.video.Stream(320, 240, timeout=0.1)


def test_boxes_are_shown_again_when_the_service_was_killed(service: Service) -> None:
    with acap.bbox.Boxes() as boxes:
        service.restart()
        boxes.show([(0.25, 0.25, 0.75, 0.75)], color="lime", thickness="thick")
        assert is_boxed()
        service.kill()
        with pytest.raises(OSError, match="draw over the video"):
            boxes.show([(0.25, 0.25, 0.75, 0.75)])


OVERLAY = """
import contextlib, numpy
ctypes.CDLL(f"{sys.argv[1]}/lib%s.so.1")
from acap import _overlay
def missing():
    raise acap.LibraryMissing("no axoverlay2")
if "%s" == "axoverlay":
    _overlay.open_library = missing
overlay = acap.overlay.Overlay(64, 32)
while True:
    with contextlib.suppress(acap.Error):
        overlay.draw(numpy.full((32, 64, 4), (0, 255, 0, 255), "uint8"))
    time.sleep(0.05)
"""


@pytest.mark.parametrize("library", ["axoverlay2", "axoverlay"])
def test_overlay_of_another_app_is_in_a_stream(built_module: Path, service: Service, library: str) -> None:
    if library == "axoverlay":
        try:
            ctypes.CDLL("libcairo.so.2")
        except OSError as error:
            pytest.skip(f"needs cairo: {error}")
    with (
        acap.video.Stream(320, 240, "jpeg", framerate=50) as stream,
        App(built_module, OVERLAY.replace("%s", library)) as app,
    ):

        def is_covered() -> bool:
            picture = decode_picture(bytes(stream.fresh())).to_ndarray(format="rgb24").astype(int)
            return bool((picture[4:28, 4:60, 1] > picture[4:28, 4:60, 0] + 60).all())

        wait_until(is_covered, "the overlay is seen")
        service.restart()
        wait_until(is_covered, "the overlay is seen again")
        app.kill()
        wait_until(lambda: not is_covered(), "the overlay is gone")
        assert stream.rebuilt == 1


def test_killed_apps_leave_nothing_in_the_service(built_module: Path, service: Service) -> None:
    code = BOX + "streams = [make(format=f) for f in ('nv12', 'jpeg', 'h264')]\nevents = acap.video.Events()\n"
    code += "for stream in streams: next(stream)\ntell('ready')" + WAIT
    folder = Path(f"/proc/{service.process.pid}")

    def used() -> tuple[int, int]:
        return len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))

    before, sizes = used(), []
    for _ in range(6):
        with App(built_module, code) as app:
            assert [app.told(), app.told()] == [["shown"], ["ready"]]
            assert used() > before
            app.kill()
        wait_until(lambda: used() == before, lambda: f"{used()} is {before}")
        sizes.append(int((folder / "statm").read_text().split()[1]))
    # A sanitizer keeps what was freed.
    assert max(sizes[2:]) <= sizes[1] + 64 or "INCAMERA_TEST_SERVICE" in os.environ, f"pages in memory: {sizes}"


def test_idle_service_uses_no_processor_time(service: Service) -> None:
    def ticks() -> int:
        return sum(map(int, Path(f"/proc/{service.process.pid}/stat").read_text().split()[13:15]))

    with acap.video.Stream(320, 240, "nv12", framerate=50) as stream:
        next(stream)
        time.sleep(0.2)  # its buffers are full: nobody takes frames
        before = ticks()
        time.sleep(0.5)
        assert ticks() - before <= 1
