"""Boxes and overlays on a desk: they are drawn over the latest picture of the desk's camera, which is saved as a file.

Without a camera on the desk, the picture is black.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import DrawingFailed
from . import latest
from .lines import THICKNESS, Canvas
from .sources import open_source, pyav

Shape = tuple[str, tuple[float, ...], tuple[int, int, int, int], str, str]
_BLACK_SIZE = (1280, 720)
# So often the file is written at most.
_SECONDS = 0.2
_TIME = Fraction(1, 1000)

_lock = threading.RLock()
_shown: dict[int, list[Shape]] = {}
_pasted: dict[int, Pasted] = {}
_last_number = 0
_saved = -_SECONDS
_waiting: Path | None = None


class Pasted:
    """A picture over the video: its RGBA bytes, and where it lies, given the size of the video's picture."""

    def __init__(self, width: int, height: int, data: bytes, position: Any) -> None:
        self.width, self.height, self.data, self.position = width, height, data, position


class Drawing:
    """What `acap._bbox.Drawing` is for a camera."""

    def __init__(self, path: Path) -> None:
        self._path, self._number = path, _next_number()
        pyav()

    def show(self, shapes: list[Shape], when: int) -> None:
        with _lock:
            _shown[self._number] = shapes
            _changed(self._path)

    def close(self) -> None:
        _remove(_shown, self._number)


class Overlay:
    """What shows a picture over the video, for `acap.overlay`."""

    def __init__(self, path: Path) -> None:
        self._path, self._number = path, _next_number()
        pyav()

    def show(self, pasted: Pasted) -> None:
        with _lock:
            _pasted[self._number] = pasted
            _changed(self._path)

    def close(self) -> None:
        _remove(_pasted, self._number)


def _remove(shown: dict[int, Any], number: int) -> None:
    """Show it no longer. The file keeps it until something else is shown, so that it is there after the program."""
    with _lock:
        _save_waiting()
        shown.pop(number, None)


def _next_number() -> int:
    global _last_number
    with _lock:
        _last_number += 1
        return _last_number


def _changed(path: Path) -> None:
    """Save the picture now, or soon if it was saved just now."""
    global _waiting
    rest = _saved + _SECONDS - time.monotonic()
    if rest <= 0:
        _save(path)
    elif _waiting is None:
        timer = threading.Timer(rest, _save_waiting)
        timer.daemon = True
        timer.start()
    if rest > 0:
        _waiting = path


@atexit.register
def _save_waiting() -> None:
    with _lock:
        if _waiting is not None:
            _save(_waiting)


def _save(path: Path) -> None:
    global _saved, _waiting
    _waiting = None
    av = pyav()
    picture = _background(av).reformat(format="rgb24")
    canvas = Canvas(picture.width, picture.height, _rows(picture))
    for shapes in _shown.values():
        for shape in shapes:
            _draw(canvas, shape)
    drawn = _frame(av, canvas.width, canvas.height, "rgb24", bytes(canvas.data))
    for pasted in _pasted.values():
        drawn = _over(av, drawn, pasted)
    _write(av, drawn, path)
    _saved = time.monotonic()


def _background(av: Any) -> Any:
    if latest.picture is not None:
        return latest.picture
    if source := os.environ.get("ACAP_VIDEO"):
        pictures = open_source(source)
        try:
            return pictures.at(0, 0.0)
        finally:
            pictures.close()
    width, height = _BLACK_SIZE
    return _frame(av, width, height, "rgb24", bytes(width * height * 3))


def _rows(picture: Any) -> bytes:
    plane = picture.planes[0]
    data, line, used = memoryview(plane).cast("B"), plane.line_size, picture.width * 3
    return b"".join(bytes(data[row * line : row * line + used]) for row in range(picture.height))


def _frame(av: Any, width: int, height: int, format: str, data: bytes) -> Any:
    """Return a frame of PyAV with the rows of *data*, which have no padding."""
    frame = av.VideoFrame(width, height, format)
    plane = frame.planes[0]
    used = len(data) // height
    padding = bytes(plane.line_size - used)
    rows = (data[row * used : (row + 1) * used] + padding for row in range(height))
    plane.update(data if not padding else b"".join(rows))
    return frame


def _draw(canvas: Canvas, shape: Shape) -> None:
    kind, numbers, rgba, thickness, style = shape
    if kind == "rectangle":
        x1, y1, x2, y2 = numbers
        numbers = (x1, y1, x2, y1, x2, y2, x1, y2)
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    points = [(_limit(x) * (canvas.width - 1), _limit(y) * (canvas.height - 1)) for x, y in pairs]
    closed = kind in ("rectangle", "quad")
    ends = points[1:] + points[:1] if closed else points[1:]
    for (x1, y1), (x2, y2) in zip(points, ends, strict=False):
        if closed and style == "corners":
            # A quarter of each side, at both ends of it.
            across, down = (x2 - x1) / 4, (y2 - y1) / 4
            canvas.line((x1, y1), (x1 + across, y1 + down), rgba, THICKNESS[thickness])
            canvas.line((x2 - across, y2 - down), (x2, y2), rgba, THICKNESS[thickness])
        else:
            canvas.line((x1, y1), (x2, y2), rgba, THICKNESS[thickness])


def _limit(coordinate: float) -> float:
    """Return a coordinate that is not so far outside that the part inside could no longer be told."""
    return max(-1000.0, min(1000.0, coordinate))


def _over(av: Any, below: Any, pasted: Pasted) -> Any:
    """Return the picture *below* with *pasted* over it."""
    x, y = pasted.position(below.width, below.height)
    above = _frame(av, pasted.width, pasted.height, "rgba", pasted.data)
    graph = av.filter.Graph()
    inputs = [
        graph.add_buffer(width=f.width, height=f.height, format=f.format.name, time_base=_TIME) for f in (below, above)
    ]
    over = graph.add("overlay", f"{x}:{y}:format=rgb")
    shaped = graph.add("format", "rgb24")
    inputs[0].link_to(over, 0, 0)
    inputs[1].link_to(over, 0, 1)
    over.link_to(shaped)
    sink = graph.add("buffersink")
    shaped.link_to(sink)
    graph.configure()
    for place, frame in zip(inputs, (below, above), strict=True):
        frame.pts = 0
        place.push(frame)
        place.push(None)
    return sink.pull()


def _write(av: Any, frame: Any, path: Path) -> None:
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = frame.width, frame.height, "rgb24", _TIME
    frame.pts = None
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    new = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(data)
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise DrawingFailed(f"cannot write {path}: {error.strerror}", code=error.errno or 0, domain="desk") from error
