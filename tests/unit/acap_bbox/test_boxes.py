"""Boxes appear in the pictures that the camera encodes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.unit.acap_video.conftest import PACKAGE

import acap

if TYPE_CHECKING:
    from .conftest import Look

pytestmark = pytest.mark.usefixtures("boxes")


def is_color(pixels: Any, color: tuple[int, int, int]) -> Any:
    """Where pixels have *color*, as far as JPEG lets it through."""
    return (np.abs(pixels - np.array(color)) < 60).all(axis=-1)


def test_rectangle_is_drawn_where_it_was_asked_for(look: Look) -> None:
    before = look()
    with acap.bbox.Boxes() as boxes:
        boxes.show([(0.25, 0.5, 0.75, 0.9)], color="lime", thickness="thick")
        seen = is_color(look(), (0, 255, 0))
        assert seen[240, 170:470].all()
        assert seen[230:430, 479].any()
        rows, columns = np.nonzero(seen)
        assert (abs(rows.min() - 240) < 8, abs(rows.max() - 431) < 8) == (True, True)
        assert (abs(columns.min() - 160) < 8, abs(columns.max() - 479) < 8) == (True, True)
        assert not seen[260:410, 180:460].any()
    assert not is_color(look(), (0, 255, 0)).any()
    assert not is_color(before, (0, 255, 0)).any()


def test_commit_replaces_what_was_shown(look: Look) -> None:
    with acap.bbox.Boxes() as boxes:
        boxes.line(0, 0.75, 1, 0.75, color="#ff0000", thickness="thick")
        assert not is_color(look(), (255, 0, 0)).any(), "shown before commit"
        boxes.commit()
        assert is_color(look()[360], (255, 0, 0)).mean() > 0.9
        boxes.path([(0.5, 0.3), (0.5, 0.6), (0.7, 0.6)], color=(0, 0, 255), thickness="thick")
        boxes.commit()
        seen = look()
        assert not is_color(seen[360], (255, 0, 0)).any()
        assert is_color(seen[150:280, 320], (0, 0, 255)).all()
        assert is_color(seen[287, 330:440], (0, 0, 255)).all()
        boxes.show([])
        assert not is_color(look(), (0, 0, 255)).any()


def test_corners_leave_out_the_middle_of_the_sides(look: Look) -> None:
    with acap.bbox.Boxes() as boxes:
        boxes.show([(0.25, 0.5, 0.75, 0.9)], color="lime", thickness="thick", style="corners")
        seen = is_color(look()[240], (0, 255, 0))
        assert seen[170:230].all()
        assert seen[410:470].all()
        assert not seen[260:380].any()


def test_scene_coordinates_follow_the_rotation(look: Look) -> None:
    with acap.bbox.Boxes(coordinates="scene") as boxes:
        # The lower edge of the scene is the left one of a picture that is turned clockwise.
        boxes.line(0, 0.9, 1, 0.9, color="lime", thickness="thick")
        boxes.commit()
        seen = is_color(look(240, 320, rotation=90), (0, 255, 0))
        assert seen[:, 24].mean() > 0.9
        assert not seen[:, 120:].any()


def test_boxes_of_another_channel_are_not_shown(look: Look) -> None:
    with acap.bbox.Boxes(0) as boxes:
        boxes.show([(0.1, 0.1, 0.9, 0.9)], color="lime", thickness="thick")
        assert not is_color(look(), (0, 255, 0)).any()
        assert is_color(look(channel=0), (0, 255, 0)).any()


def test_raw_frames_have_no_boxes() -> None:
    with acap.bbox.Boxes() as boxes, acap.video.Stream(320, 240, framerate=60) as stream:
        boxes.show([(0.1, 0.5, 0.9, 0.9)], color="white", thickness="thick")
        frame = next(stream)
        assert not (np.asarray(frame.y)[215, :100] == 255).any()


def test_rows_of_a_model_may_have_y_first(look: Look) -> None:
    rows = np.array([[0.5, 0.25, 0.9, 0.75]], "float32")
    acap.bbox.show(rows, order="yxyx", color="lime", thickness="thick", at=12.5)
    assert is_color(look()[240, 170:470], (0, 255, 0)).all()
    acap.bbox.show([])
    assert not is_color(look(), (0, 255, 0)).any()


def test_what_is_outside_is_cut_off(look: Look) -> None:
    with acap.bbox.Boxes() as boxes:
        boxes.show([(-1e30, 0.5, 1e30, 5)], color="lime", thickness="thick")
        assert is_color(look()[240], (0, 255, 0)).mean() > 0.9


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda boxes: boxes.show([(0, 0, 1)]), "a rectangle has 4 numbers, not 3"),
        (lambda boxes: boxes.show([(0, 0, 1, float("nan"))]), "numbers from 0 to 1"),
        (lambda boxes: boxes.show([(0, 0, 1, 1)], color="reddish"), "'reddish' is no colour: use .*red"),
        (lambda boxes: boxes.show([(0, 0, 1, 1)], color=(300, 0, 0)), "is no colour"),
        (lambda boxes: boxes.path([(0, 0)]), "at least 2 points"),
        (lambda boxes: boxes.quad([(0, 0), (1, 1)]), "4 corners, not 2"),
    ],
)
def test_bad_drawings_are_refused(draw: Callable[[Any], None], said: str) -> None:
    with acap.bbox.Boxes() as boxes, pytest.raises(ValueError, match=said) as caught:
        draw(boxes)
    assert isinstance(caught.value, acap.BadDrawing)


def test_channel_that_the_camera_lacks_is_refused() -> None:
    with pytest.raises(LookupError, match="no such channel or view") as caught:
        acap.bbox.Boxes(7)
    assert isinstance(caught.value, acap.NoSuchView)
    with pytest.raises(acap.NoSuchView):
        acap.bbox.Boxes(view=9)
    acap.bbox.Boxes(view=1).close()


def test_app_without_the_group_is_told_what_the_manifest_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCAMERA_BBOX_DENIED", "1")
    with pytest.raises(PermissionError, match=r'add "video" to resources\.linux\.user\.groups'):
        acap.bbox.Boxes()


def test_closed_boxes_are_refused() -> None:
    boxes = acap.bbox.Boxes()
    boxes.close()
    boxes.close()
    with pytest.raises(acap.DrawingClosed):
        boxes.show([])


def test_boxes_are_refused_after_a_fork() -> None:
    with acap.bbox.Boxes() as boxes:
        pid = os.fork()
        if pid == 0:
            try:
                boxes.show([])
            except RuntimeError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


@pytest.mark.starts_processes
def test_camera_without_the_library_says_what_has_it(built_module: Any) -> None:
    program = f"import acap; acap.__path__.append({str(built_module)!r}); acap.bbox.Boxes()"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE / "src")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert "LibraryMissing: the library for boxes libbbox.so.1 cannot be opened" in done.stderr
    assert "AXIS OS 11.11 and newer have it" in done.stderr
