"""Overlays with the camera's older library, where axoverlay2 is not there."""

from __future__ import annotations

import ctypes
from functools import partial
from typing import Any

import numpy as np
import pytest
from tests.unit.acap_bbox.conftest import boxes
from tests.unit.acap_bbox.test_boxes import is_color
from tests.unit.acap_video.conftest import NEWEST, STAND_INS, built_module, fresh_settings, video

import acap

from .test_overlay import LIME, Viewer, image, is_covered

__all__ = ["boxes", "built_module", "fresh_settings", "video"]


@pytest.fixture(autouse=True)
def older(video: None, boxes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`acap.overlay`, in a camera that has axoverlay only."""
    from acap import _overlay

    try:
        ctypes.CDLL("libcairo.so.2")
    except OSError as error:
        pytest.skip(f"needs cairo: {error}")
    ctypes.CDLL(str(STAND_INS / NEWEST / "libaxoverlay.so.1"))

    def missing() -> None:
        raise acap.LibraryMissing("no axoverlay2")

    monkeypatch.setattr(_overlay, "open_library", missing)


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


def test_next_picture_replaces_the_one_before() -> None:
    with Viewer() as viewer, acap.overlay.Overlay(64, 32) as overlay:
        for color in (LIME, (255, 0, 0), (0, 0, 255)):
            overlay.draw(image(color=color))
            viewer.sees(partial(is_covered, color=color))
        overlay.clear()
        viewer.sees(lambda picture: not is_color(picture, (0, 0, 255)).any())
        overlay.draw(image())
    with Viewer() as viewer:
        assert not is_color(viewer.look(), LIME).any()


def test_half_transparent_picture_lets_the_scene_through() -> None:
    with Viewer() as viewer, acap.overlay.Overlay(64, 32, position="bottom-left") as overlay:
        before = viewer.look()[-20, 40]
        overlay.draw(image(color=(255, 255, 255, 128)))
        seen = viewer.sees(lambda picture: bool(picture[-20, 40, 1] > before[1] + 50))
        assert np.abs(seen[-20, 40] - (before + 255) / 2).max() < 12


def test_streams_that_begin_later_get_the_overlay_too() -> None:
    with acap.overlay.Overlay(64, 32) as overlay:
        overlay.draw(image())
        with Viewer() as first, Viewer(320, 240) as second:
            for viewer in (first, second):
                viewer.sees(lambda picture: is_color(picture[:32, :64], LIME).all())


def test_camera_without_overlays_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from acap import _axoverlay

    class Missing:
        def __init__(self, *_: object) -> None:
            raise acap.LibraryMissing("no axoverlay")

    monkeypatch.setattr(_axoverlay, "Picture", Missing)
    with pytest.raises(NotImplementedError, match=r"no axoverlay2; no axoverlay: .*ACAP_PICTURE") as caught:
        acap.overlay.Overlay(64, 32)
    assert isinstance(caught.value, OSError)
