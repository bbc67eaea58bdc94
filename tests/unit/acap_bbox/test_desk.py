"""Boxes on a desk are drawn into a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.acap_video.scene import decode_picture
from tests.unit.acap_video.test_desk import write_video

import acap

from .test_boxes import is_color


@pytest.fixture(autouse=True)
def desk(video: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ACAP_PICTURE", str(tmp_path / "desk/picture.png"))
    monkeypatch.setattr("acap.desk.latest.picture", None)
    monkeypatch.setattr("acap.desk.picture._SECONDS", 0.0)
    return tmp_path / "desk"


def saved(desk: Path) -> Any:
    return decode_picture((desk / "picture.png").read_bytes()).to_ndarray(format="rgb24").astype(int)


def test_boxes_are_drawn_into_a_black_picture_without_a_camera(desk: Path) -> None:
    with acap.bbox.Boxes() as boxes:
        boxes.show([(0.25, 0.5, 0.75, 0.9)], color="lime", thickness="thick")
    seen = saved(desk)
    assert seen.shape == (720, 1280, 3)
    green = is_color(seen, (0, 255, 0))
    rows, columns = np.nonzero(green)
    assert (abs(rows.min() - 360) <= 4, abs(rows.max() - 647) <= 4) == (True, True)
    assert (abs(columns.min() - 320) <= 4, abs(columns.max() - 959) <= 4) == (True, True)
    assert seen[~green].max() == 0


def test_corners_lines_and_paths_are_drawn(desk: Path) -> None:
    with acap.bbox.Boxes() as boxes:
        boxes.rectangle(0.25, 0.5, 0.75, 0.9, color="lime", style="corners")
        boxes.path([(0.1, 0.1), (0.1, 0.3), (2, 0.3)], color="#0000ff80", thickness="thick")
        boxes.commit()
    seen = saved(desk)
    assert is_color(seen[360, 330:470], (0, 255, 0)).all()
    assert not is_color(seen[360, 490:790], (0, 255, 0)).any()
    assert (seen[216, 140:1270, 2] >= 127).all()


def test_boxes_are_drawn_over_the_latest_frame(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACAP_VIDEO", str(write_video(tmp_path / "film.mkv")))
    with acap.video.Stream(320, 240, framerate=30) as stream, acap.bbox.Boxes() as boxes:
        frame = next(stream)
        boxes.show([(0.25, 0.25, 0.75, 0.75)], color="red", thickness="thick", at=frame)
    seen = saved(desk)
    assert is_color(seen, (255, 0, 0)).any()
    assert seen.shape[:2] == (240, 320)
    assert is_color(seen, (255, 0, 0)).mean() < 0.2
    assert seen[0].max() > 20


def test_folder_that_cannot_be_written_is_told(desk: Path) -> None:
    desk.write_text("a file")
    with acap.bbox.Boxes() as boxes, pytest.raises(OSError, match=r"cannot write .*picture\.png"):
        boxes.show([])
