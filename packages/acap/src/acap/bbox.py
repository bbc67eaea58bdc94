"""Boxes and lines over the camera's video, which the camera draws into the streams that its viewers see.

    with acap.bbox.Boxes() as boxes:
        for frame in stream:
            boxes.show(found, color="lime", at=frame)  # rows of x1, y1, x2, y2, each 0 to 1

Needs AXIS OS 11.11, and the group `video` in the manifest. On a desk, ACAP_PICTURE names a file:
the video's picture with the boxes (PNG). It needs PyAV: `pip install 'acap[desk]'`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from .colors import Color, Rgba, rgba_of
from .errors import BadDrawing, DrawingClosed
from .on_desk import desk_path

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Boxes", "show"]

Thickness = Literal["thin", "medium", "thick"]
Style = Literal["outline", "corners"]
Order = Literal["xyxy", "yxyx"]
Shape = tuple[str, tuple[float, ...], Rgba, str, str]
_MOST_CHANNELS = 8


class Boxes:
    """What is drawn over the video of a channel, until it is closed.

    Shapes are collected, and shown together with `commit` in place of those before. Coordinates are parts of the
    picture: 0, 0 is its top left corner and 1, 1 its bottom right one. What is outside is cut off.

    *channel*: which view of the camera, or several. *view*: one view area instead. *coordinates*: "frame" for parts of
    the channel's picture, "scene" for parts of what the sensor sees, whichever way a stream is rotated or cut.
    *on_output*: whether the camera's HDMI output shows them, too; None for the camera's default.

    A colour is a name, "#rrggbb", "#rrggbbaa" or a tuple of numbers up to 255.

    Raises DrawingDenied, NoSuchView, DrawingFailed, LibraryMissing, NotSupported.
    """

    def __init__(
        self,
        channel: int | Sequence[int] = 1,
        *,
        view: int | None = None,
        coordinates: Literal["frame", "scene"] = "frame",
        on_output: bool | None = None,
    ) -> None:
        channels = [channel] if isinstance(channel, int) else [int(number) for number in channel]
        if not 1 <= len(channels) <= _MOST_CHANNELS or min(channels) < 0:
            raise ValueError(f"name 1 to {_MOST_CHANNELS} channels, not {channel!r}")
        if coordinates not in ("frame", "scene"):
            raise ValueError(f'coordinates must be "frame" or "scene", not {coordinates!r}')
        self._lock = threading.Lock()
        self._shapes: list[Shape] = []
        self._drawing: Any = _open(channels, view, coordinates == "scene", on_output)

    def rectangle(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        *,
        color: Color = "red",
        thickness: Thickness = "thin",
        style: Style = "outline",
    ) -> None:
        """Add a rectangle from one corner to the opposite one. "corners" leaves out the middles of the sides."""
        self._add("rectangle", (x1, y1, x2, y2), color, thickness, style)

    def quad(
        self,
        points: Iterable[Sequence[float]],
        *,
        color: Color = "red",
        thickness: Thickness = "thin",
        style: Style = "outline",
    ) -> None:
        """Add a shape of four corners, each (x, y)."""
        corners = _flat(points)
        if len(corners) != 8:
            raise BadDrawing(f"a quad has 4 corners, not {len(corners) // 2}")
        self._add("quad", corners, color, thickness, style)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, *, color: Color = "red", thickness: Thickness = "thin"
    ) -> None:
        """Add a line."""
        self._add("line", (x1, y1, x2, y2), color, thickness, "outline")

    def path(self, points: Iterable[Sequence[float]], *, color: Color = "red", thickness: Thickness = "thin") -> None:
        """Add lines from each point to the next, each (x, y)."""
        corners = _flat(points)
        if len(corners) < 4:
            raise BadDrawing("a path needs at least 2 points")
        self._add("path", corners, color, thickness, "outline")

    def _add(self, kind: str, numbers: Iterable[float], color: Color, thickness: str, style: str) -> None:
        if thickness not in ("thin", "medium", "thick"):
            raise ValueError(f'thickness must be "thin", "medium" or "thick", not {thickness!r}')
        if style not in ("outline", "corners"):
            raise ValueError(f'style must be "outline" or "corners", not {style!r}')
        values = tuple(float(number) for number in numbers)
        if not all(map(math.isfinite, values)):
            raise BadDrawing(f"coordinates must be numbers from 0 to 1, not {values}")
        self._shapes.append((kind, values, rgba_of(color), thickness, style))

    def commit(self, at: Any = None) -> None:
        """Show the shapes that were added, in place of those that are shown; without any, nothing is shown.

        *at*: the frame that they belong to, or its time in seconds; None for at once.
        """
        shapes, self._shapes = self._shapes, []
        when = 0 if at is None else round(float(getattr(at, "timestamp", at)) * 1e6)
        with self._lock:
            if self._drawing is None:
                raise DrawingClosed("these boxes are closed")
            self._drawing.show(shapes, when)

    def show(
        self,
        rectangles: Iterable[Sequence[float]],
        *,
        color: Color = "red",
        thickness: Thickness = "thin",
        style: Style = "outline",
        order: Order = "xyxy",
        at: Any = None,
    ) -> None:
        """Show *rectangles*, rows of four numbers, in place of what is shown: `show([])` shows nothing.

        *order*: "xyxy" for x1, y1, x2, y2, or "yxyx" as many models give them. *at*: as in `commit`.
        """
        if order not in ("xyxy", "yxyx"):
            raise ValueError(f'order must be "xyxy" or "yxyx", not {order!r}')
        for row in rectangles:
            numbers = [float(number) for number in row]
            if len(numbers) != 4:
                raise BadDrawing(f"a rectangle has 4 numbers, not {len(numbers)}")
            first, second, third, fourth = numbers
            corners = (first, second, third, fourth) if order == "xyxy" else (second, first, fourth, third)
            self._add("rectangle", corners, color, thickness, style)
        self.commit(at)

    def close(self) -> None:
        """Remove what is shown."""
        with self._lock:
            drawing, self._drawing = self._drawing, None
        if drawing is not None:
            drawing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


_shown: dict[int, Boxes] = {}


def show(
    rectangles: Iterable[Sequence[float]],
    *,
    channel: int = 1,
    color: Color = "red",
    thickness: Thickness = "thin",
    style: Style = "outline",
    order: Order = "xyxy",
    at: Any = None,
) -> None:
    """Show *rectangles* over the video of *channel*, as `Boxes.show` does, until the program ends."""
    boxes = _shown.get(channel)
    if boxes is None:
        boxes = _shown.setdefault(channel, Boxes(channel))
    boxes.show(rectangles, color=color, thickness=thickness, style=style, order=order, at=at)


def _flat(points: Iterable[Sequence[float]]) -> tuple[float, ...]:
    found: list[float] = []
    for point in points:
        x, y = point
        found += (float(x), float(y))
    return tuple(found)


def _open(channels: list[int], view: int | None, scene: bool, on_output: bool | None) -> Any:
    """Return what shows shapes: the camera's library, or a picture on a desk."""
    if (path := desk_path("ACAP_PICTURE")) is not None:
        from .desk.picture import Drawing

        return Drawing(path)
    from . import _bbox

    return _bbox.Drawing(channels, view, scene, on_output)
