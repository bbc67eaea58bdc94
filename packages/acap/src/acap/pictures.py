"""Pictures that the camera converts for a model: their formats, and the part that is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .errors import WrongShape

Fit = Literal["scale", "crop"]
Part = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """The geometry of a picture, with larod's name of its format; `pitch`: the bytes from one row to the next."""

    format: str
    width: int
    height: int
    pitch: int

    @property
    def bytes(self) -> int:
        """How many bytes it has, with the padding of each row."""
        rows = {"nv12": self.height * 3 // 2, "rgb-interleaved": self.height, "rgb-planar": self.height * 3}
        return self.pitch * rows[self.format]

    def settings(self, which: str) -> dict[str, Any]:
        """Return larod's settings for this as the picture *which*, "input" or "output"."""
        start = f"image.{which}."
        size = (self.width, self.height)
        return {start + "format": self.format, start + "size": size, start + "row-pitch": self.pitch}


def picture_of(frame: Any) -> Picture:
    """Return the geometry of *frame*, as `acap.video` gives it. Raises WrongShape if it has no colours."""
    rgb = getattr(frame, "rgb", None)
    if rgb is not None:
        height, width, _ = rgb.shape
        pitch, step, _ = rgb.strides
        return Picture("rgb-interleaved" if step == 3 else "rgb-planar", width, height, pitch)
    y = getattr(frame, "y", None)
    if y is None or getattr(frame, "uv", None) is None:
        hint = "use a stream of nv12, rgb or planar-rgb"
        raise WrongShape("this frame has no colours that can be converted", hint=hint)
    height, width = y.shape
    return Picture("nv12", width, height, y.strides[0])


def input_picture(shape: tuple[int, ...], strides: tuple[int, ...], layout: str) -> Picture | None:
    """Return the colour picture that a model's input is, or None if it is none."""
    if len(shape) != 4 or shape[0] != 1:
        return None
    if layout != "nchw" and shape[3] == 3 and strides[2:] == (3, 1):
        return Picture("rgb-interleaved", shape[2], shape[1], strides[1])
    if layout != "nhwc" and shape[1] == 3 and strides[3] == 1 and strides[1] == strides[2] * shape[2]:
        return Picture("rgb-planar", shape[3], shape[2], strides[2])
    return None


def part_of(picture: Picture, wanted: Picture, crop: Part | None, fit: Fit) -> Part | None:
    """Return the part (x, y, width, height) of *picture* to use, or None for all of it.

    *crop* names it. Otherwise, *fit* "crop" takes the largest part in the middle with the proportions of *wanted*.
    All numbers are made even, as the conversions need them. Raises WrongShape if the part lies outside.
    """
    if crop is not None:
        x, y, width, height = (int(number) & ~1 for number in crop)
        if x < 0 or y < 0 or width < 2 or height < 2 or x + width > picture.width or y + height > picture.height:
            raise WrongShape(
                f"the part {tuple(crop)} lies outside of a picture of {picture.width}×{picture.height} pixels",
                hint="crop is (x, y, width, height), in pixels",
            )
    elif fit == "crop":
        width = min(picture.width, picture.height * wanted.width // wanted.height) & ~1
        height = min(picture.height, picture.width * wanted.height // wanted.width) & ~1
        x, y = (picture.width - width) // 2 & ~1, (picture.height - height) // 2 & ~1
        width, height = max(width, 2), max(height, 2)
    elif fit == "scale":
        return None
    else:
        raise ValueError(f'fit must be "scale" or "crop", not {fit!r}')
    return None if (width, height) == (picture.width, picture.height) else (x, y, width, height)
