"""Where the pixels of a frame are: planes with offset, shape and strides, all in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from .errors import FormatError

Format = Literal["nv12", "y800", "rgb", "planar-rgb", "jpeg", "h264", "h265", "av1"]

# VdoFormat, and the subformat of YUV.
FORMATS: Mapping[str, tuple[int, str]] = {
    "nv12": (3, "NV12"),
    "y800": (3, "Y800"),
    "rgb": (8, ""),
    "planar-rgb": (9, ""),
    "jpeg": (2, ""),
    "h264": (0, ""),
    "h265": (1, ""),
    "av1": (10, ""),
}
ENCODED = frozenset({"jpeg", "h264", "h265", "av1"})
# A picture builds on those before it.
NOT_ALONE = frozenset({"h264", "h265", "av1"})


class Plane(NamedTuple):
    """A plane of a frame, for the buffer protocol."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def end(self) -> int:
        """The number of bytes that a frame needs for this plane, padding of the last row left out."""
        return self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)) + 1


def planes_of(format: str, width: int, height: int, pitch: int) -> dict[str, Plane]:
    """Return the planes of a frame by name; none for an encoded one.

    *pitch* is the number of bytes from one row to the next. Raises FormatError if rows would overlap.
    """
    if format in ENCODED:
        return {}
    row = 3 * width if format == "rgb" else width
    if width < 1 or height < 1 or pitch < row:
        raise FormatError(f"the camera gives {width}×{height} {format} frames with {pitch} bytes a row")
    if format == "rgb":
        return {"rgb": Plane(0, (height, width, 3), (pitch, 3, 1))}
    if format == "planar-rgb":
        return {"rgb": Plane(0, (height, width, 3), (pitch, 1, pitch * height))}
    y = Plane(0, (height, width), (pitch, 1))
    if format == "y800":
        return {"y": y}
    return {"y": y, "uv": Plane(pitch * height, ((height + 1) // 2, (width + 1) // 2, 2), (pitch, 2, 1))}
