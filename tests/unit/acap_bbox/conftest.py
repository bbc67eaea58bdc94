"""`acap.bbox` and `acap.video` over the newest stand-ins of the camera's libraries."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.unit.acap_video.conftest import NEWEST, STAND_INS, built_module, fresh_settings, video
from tests.unit.acap_video.scene import decode_picture

import acap

__all__ = ["built_module", "fresh_settings", "video"]

Look = Callable[..., Any]


@pytest.fixture
def boxes(video: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`acap.bbox`, over the newest stand-in."""
    ctypes.CDLL(str(STAND_INS / NEWEST / "libbbox.so.1"))
    monkeypatch.delenv("ACAP_PICTURE", raising=False)


@pytest.fixture
def look(boxes: None) -> Look:
    """Returns the pixels of a JPEG of the camera: look(320, 240, rotation=90), (height, width, RGB)."""

    def take(width: int = 640, height: int = 480, **options: Any) -> Any:
        with acap.video.Stream(width, height, "jpeg", extra={"compression": 0}, framerate=60, **options) as stream:
            return np.asarray(decode_picture(bytes(next(stream))).to_ndarray(format="rgb24")).astype(int)

    return take
