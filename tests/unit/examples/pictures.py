"""Reads the pictures that the examples save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    import numpy as np


def read_picture(path: Path) -> np.ndarray:
    """Return the red, green and blue of a picture."""
    with av.open(str(path)) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgb24")


def is_green(picture: np.ndarray) -> np.ndarray:
    """Return which pixels have the green of a box."""
    pixels = picture.astype(int)
    return (pixels[..., 1] > pixels[..., 0] + 60) & (pixels[..., 1] > pixels[..., 2] + 60)
