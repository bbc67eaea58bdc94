"""Overlays appear in the pictures that the camera encodes, and on a desk in a saved picture."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from tests.unit.acap_bbox.conftest import boxes
from tests.unit.acap_bbox.test_boxes import is_color
from tests.unit.acap_video.conftest import NEWEST, STAND_INS, built_module, fresh_settings, video
from tests.unit.acap_video.scene import decode_picture

import acap

__all__ = ["boxes", "built_module", "fresh_settings", "video"]
LIME = (0, 255, 0)
SECONDS = 60.0


def image(width: int = 64, height: int = 32, color: tuple[int, ...] = (*LIME, 255)) -> Any:
    return np.full((height, width, len(color)), color, np.uint8)


@pytest.fixture
def overlays(video: None, boxes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`acap.overlay`, over the newest stand-in."""
    gc.collect()  # a stream of an earlier test, which an exception may still hold, would have an overlay too
    ctypes.CDLL(str(STAND_INS / NEWEST / "libaxoverlay2.so.1"))


def is_covered(picture: Any, color: tuple[int, int, int]) -> bool:
    """Whether the top left corner has *color*."""
    return bool(is_color(picture[:32, :64], color).all())


class Viewer:
    """A stream of JPEG that somebody looks at."""

    def __init__(self, width: int = 640, height: int = 480) -> None:
        self.stream = acap.video.Stream(width, height, "jpeg", extra={"compression": 0}, framerate=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def look(self) -> Any:
        data = bytes(self.stream.fresh())
        return np.asarray(decode_picture(data).to_ndarray(format="rgb24")).astype(int)

    def sees(self, is_there: Callable[[Any], bool]) -> Any:
        """Return the first picture for which *is_there*."""
        deadline = time.monotonic() + SECONDS
        while not is_there(picture := self.look()):
            assert time.monotonic() < deadline, "it does not come"
        return picture


@pytest.mark.usefixtures("overlays")
@pytest.mark.parametrize(
    ("position", "left", "top"),
    [
        ("top-left", 8, 8), ("top-right", 568, 8), ("bottom-left", 8, 440), ("bottom-right", 568, 440),
        ("center", 288, 224),
    ],
)  # fmt: skip
def test_overlay_lies_where_it_was_asked_for(position: Any, left: int, top: int) -> None:
    with Viewer() as viewer, acap.overlay.Overlay(64, 32, position=position, margin=8) as overlay:
        overlay.draw(image())
        seen = is_color(viewer.sees(lambda picture: is_color(picture, LIME).any()), LIME)
        rows, columns = np.nonzero(seen)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (top, top + 31, left, left + 63)
        assert seen.sum() == 64 * 32
        assert overlay.streams == 1


@pytest.mark.usefixtures("overlays")
def test_next_picture_replaces_the_one_before() -> None:
    with Viewer() as viewer, acap.overlay.Overlay(64, 32) as overlay:
        for color in (LIME, (255, 0, 0), LIME, (0, 0, 255)):
            overlay.draw(image(color=color))
            viewer.sees(partial(is_covered, color=color))
        overlay.clear()
        viewer.sees(lambda picture: not is_color(picture, (0, 0, 255)).any())
        overlay.draw(image())
    with Viewer() as viewer:
        assert not is_color(viewer.look(), LIME).any()


@pytest.mark.usefixtures("overlays")
def test_half_transparent_picture_lets_the_scene_through() -> None:
    with Viewer() as viewer, acap.overlay.Overlay(64, 32, position="bottom-left") as overlay:
        before = viewer.look()[-20, 40]
        overlay.draw(image(color=(255, 255, 255, 128)))
        seen = viewer.sees(lambda picture: bool(picture[-20, 40, 1] > before[1] + 50))
        assert np.abs(seen[-20, 40] - (before + 255) / 2).max() < 12


@pytest.mark.usefixtures("overlays")
def test_streams_that_begin_later_get_the_overlay_too() -> None:
    with acap.overlay.Overlay(64, 32) as overlay:
        overlay.draw(image())
        with Viewer() as first, Viewer(320, 240) as second:
            for viewer in (first, second):
                viewer.sees(lambda picture: is_color(picture[:32, :64], LIME).all())
            assert overlay.streams == 2
        deadline = time.monotonic() + SECONDS
        while overlay.streams:
            assert time.monotonic() < deadline, "it stays over streams that have ended"
            time.sleep(0.01)


@pytest.mark.usefixtures("overlays")
def test_buffers_that_are_all_in_use_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with Viewer() as viewer, acap.overlay.Overlay(64, 32) as overlay:
        # Since the process began, as many calls may have been refused as another test has asked for.
        monkeypatch.setenv("INCAMERA_AXOVERLAY_WAIT", "7")
        overlay.draw(image())
        viewer.sees(lambda picture: is_color(picture[:32, :64], LIME).all())


@pytest.mark.usefixtures("overlays")
def test_streams_may_come_and_go_while_an_overlay_is_drawn() -> None:
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            acap.video.snapshot(160, 120)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        with acap.overlay.Overlay(64, 32, position="bottom-right") as overlay:
            for _ in range(300):
                overlay.draw(image())
    finally:
        stop.set()
        thread.join()


def bad_images() -> list[tuple[Any, str]]:
    return [
        (image(63), r"cannot draw an array of the shape \(32, 63, 4\)"),
        (image().astype(float), "and the type 'd'"),
        (np.zeros((32, 64), np.uint8), r"takes \(32, 64, 4\) or \(32, 64, 3\) of uint8"),
        ("text", "cannot draw str: use a Pillow image"),
    ]


@pytest.mark.usefixtures("overlays")
@pytest.mark.parametrize(("picture", "said"), bad_images())
def test_picture_of_another_shape_is_refused(picture: Any, said: str) -> None:
    with acap.overlay.Overlay(64, 32) as overlay, pytest.raises(ValueError, match=said) as caught:
        overlay.draw(picture)
    assert isinstance(caught.value, acap.BadDrawing)


@pytest.mark.usefixtures("overlays")
def test_closed_overlay_is_refused() -> None:
    overlay = acap.overlay.Overlay(64, 32)
    overlay.close()
    overlay.close()
    with pytest.raises(acap.DrawingClosed):
        overlay.draw(image())


@pytest.mark.usefixtures("overlays")
def test_overlays_are_refused_after_a_fork() -> None:
    acap.overlay.Overlay(64, 32).close()
    pid = os.fork()
    if pid == 0:
        try:
            acap.overlay.Overlay(64, 32)
        except RuntimeError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


class Pillow:
    """What a Pillow image has."""

    size = (64, 32)

    def convert(self, mode: str) -> Pillow:
        assert mode == "RGBA"
        return self

    def tobytes(self) -> bytes:
        return bytes(image())


@pytest.mark.parametrize("picture", [image(), image(color=LIME), Pillow()])
def test_overlay_is_drawn_into_the_desks_picture(
    video: None, picture: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "seen.png"
    monkeypatch.setenv("ACAP_PICTURE", str(path))
    monkeypatch.setattr("acap.desk.latest.picture", None)
    monkeypatch.setattr("acap.desk.picture._SECONDS", 0.0)
    with acap.overlay.Overlay(64, 32, position="bottom-right", margin=8) as overlay:
        overlay.draw(image(color=(255, 0, 0)))
        overlay.draw(picture)
    seen = decode_picture(path.read_bytes()).to_ndarray(format="rgb24").astype(int)
    rows, columns = np.nonzero(is_color(seen, LIME))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (680, 711, 1208, 1271)
    assert seen[:680].max() == 0
