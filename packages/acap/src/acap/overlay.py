"""Pictures over the camera's video, in the streams that its viewers see.

    with acap.overlay.Overlay(320, 64, position="top-left") as overlay:
        overlay.draw(image)  # a Pillow image, or an array of RGBA

Needs ARTPEC and the group `video`; from AXIS OS 12.10 on, also `"overlay": {"enabled": true}` in the manifest's
resources. There it uses the camera's axoverlay2, and before its older axoverlay. On a desk, ACAP_PICTURE names a file:
the video's picture with the overlays (PNG). It needs PyAV: `pip install 'acap[desk]'`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal, Self

from .errors import BadDrawing, DrawingClosed, LibraryMissing, VideoError, _Expected
from .on_desk import desk_path

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from ._overlay import Surface

__all__ = ["Overlay"]

Position = Literal["top-left", "top-right", "bottom-left", "bottom-right", "center"]
_POSITIONS = ("top-left", "top-right", "bottom-left", "bottom-right", "center")
_MOST = 4096  # pixels across, and down
# How often what could not be shown at once is tried again, and how often the thread looks whether it shall end.
_RETRY_SECONDS, _LOOK_SECONDS = 0.02, 0.5


class Overlay:
    """A picture of *width* by *height* pixels that lies over each stream which the camera encodes, until it is closed.

    *position*: "top-left", "top-right", "bottom-left", "bottom-right" or "center". *margin*: pixels between it and the
    edges of the stream. It has the same size in pixels in every stream; what is outside of a small one is cut off.

    A thread puts it over streams that begin later. Raises DrawingDenied, DrawingFailed, LibraryMissing, NotSupported.
    """

    def __init__(self, width: int, height: int, *, position: Position = "top-left", margin: int = 0) -> None:
        if not (1 <= width <= _MOST and 1 <= height <= _MOST):
            raise BadDrawing(f"an overlay has 1 to {_MOST} pixels across and down, not {width}×{height}")
        if position not in _POSITIONS:
            raise ValueError(f"position must be one of {', '.join(_POSITIONS)}, not {position!r}")
        if not 0 <= margin <= _MOST:
            raise ValueError(f"a margin has 0 to {_MOST} pixels, not {margin}")
        self.width, self.height = width, height
        self._place = _Place(width, height, position, margin)
        path = desk_path("ACAP_PICTURE")
        self._shown: Any = _in_camera(self._place) if path is None else _OnDesk(path, self._place)

    def draw(self, image: Any) -> None:
        """Show *image* in place of what is shown: a Pillow image, or a buffer of bytes such as an array of uint8.

        It has the overlay's size, and a buffer has the shape (height, width, 4) for RGBA or (height, width, 3) for RGB.
        Raises BadDrawing, DrawingClosed, DrawingFailed.
        """
        if self._shown is None:
            raise DrawingClosed("this overlay is closed")
        self._shown.show(rgba_bytes(image, self.width, self.height))

    def clear(self) -> None:
        """Show nothing until the next `draw`."""
        if self._shown is not None:
            self._shown.show(bytes(self.width * self.height * 4))

    @property
    def streams(self) -> int:
        """Over how many streams it lies."""
        return 0 if self._shown is None else int(self._shown.count)

    def close(self) -> None:
        """Remove it from all streams."""
        shown, self._shown = self._shown, None
        if shown is not None:
            shown.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def rgba_bytes(image: Any, width: int, height: int) -> bytes:
    """Return the RGBA bytes of *image*, which has this size. Raises BadDrawing."""
    if hasattr(image, "convert") and hasattr(image, "tobytes"):
        if tuple(image.size) != (width, height):
            raise BadDrawing(f"the image has {image.size[0]}×{image.size[1]} pixels, and the overlay {width}×{height}")
        return bytes(image.convert("RGBA").tobytes())
    try:
        view = memoryview(image)
    except TypeError:
        raise BadDrawing(
            f"cannot draw {type(image).__name__}", hint="use a Pillow image, or an array of uint8"
        ) from None
    if view.format not in ("B", "<B", "@B") or view.shape not in ((height, width, 4), (height, width, 3)):
        raise BadDrawing(
            f"cannot draw an array of the shape {view.shape} and the type {view.format!r}",
            hint=f"this overlay takes ({height}, {width}, 4) or ({height}, {width}, 3) of uint8",
        )
    data = view.tobytes()
    if view.shape[2] == 4:
        return data
    with_alpha = bytearray(b"\xff") * (width * height * 4)
    for part in range(3):
        with_alpha[part::4] = data[part::3]
    return bytes(with_alpha)


class _Place:
    """Where an overlay lies in a picture."""

    def __init__(self, width: int, height: int, position: str, margin: int) -> None:
        self.width, self.height, self.position, self.margin = width, height, position, margin

    def __call__(self, width: int, height: int) -> tuple[int, int]:
        """Return the left and the top edge in a picture of this size; never less than 0."""
        right, bottom = width - self.width - self.margin, height - self.height - self.margin
        if self.position == "center":
            left, top = (width - self.width) // 2, (height - self.height) // 2
        else:
            left = right if self.position.endswith("right") else self.margin
            top = bottom if self.position.startswith("bottom") else self.margin
        return max(left, 0), max(top, 0)


def _in_camera(place: _Place) -> _Streams | _AllStreams:
    """Return the overlay of axoverlay2, or of the older axoverlay if the camera has only that."""
    from . import _overlay

    try:
        _overlay.open_library()
    except LibraryMissing as newer:
        try:
            return _AllStreams(place)
        except LibraryMissing as older:
            hint = "AXIS OS has overlays on ARTPEC alone; on a desk, name a file for a picture in ACAP_PICTURE"
            raise LibraryMissing(f"this camera has no overlays: {newer}; {older}", hint=hint) from None
    return _Streams(place)


class _AllStreams:
    """The overlay of the older library, which puts it over each stream by itself."""

    def __init__(self, place: _Place) -> None:
        from ._axoverlay import Picture

        sides = {"left": -1, "top": -1, "right": 1, "bottom": 1}
        down, _, across = place.position.partition("-")
        self._picture = Picture(place.width, place.height, sides.get(across, 0), sides.get(down, 0), place.margin)

    @property
    def count(self) -> int:
        return self._picture.count

    def show(self, rgba: bytes) -> None:
        self._picture.show(rgba)

    def close(self) -> None:
        self._picture.close()


class _OnDesk:
    """The overlay in the desk's picture."""

    count = 1

    def __init__(self, path: Path, place: _Place) -> None:
        from .desk import picture

        self._place, self._picture = place, picture
        self._overlay = picture.Overlay(path)

    def show(self, rgba: bytes) -> None:
        place = self._place
        self._overlay.show(self._picture.Pasted(place.width, place.height, rgba, place))

    def close(self) -> None:
        self._overlay.close()


class _Streams:
    """The overlay in each stream of the camera, and the thread that watches which streams there are."""

    def __init__(self, place: _Place) -> None:
        from . import _overlay, video

        _overlay.open_library()
        self._place, self._overlay = place, _overlay
        self._lock = threading.Lock()
        self._surfaces: dict[int, tuple[Surface, int, int]] = {}
        self._rgba: bytes | None = None
        self._waiting: set[int] = set()
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._events = video.Events(timeout=_LOOK_SECONDS)
        self._rebuilt = 0
        # The streams that exist are known at once.
        self._take_events(0.0)
        self._thread = threading.Thread(target=self._watch, name="acap overlay", daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        with self._lock:
            return len(self._surfaces)

    def show(self, rgba: bytes) -> None:
        with self._lock:
            error, self._error = self._error, None
            if error is not None:
                raise error
            self._rgba = rgba
            self._waiting = set(self._surfaces)
            self._draw()

    def _draw(self) -> None:
        """Draw where it is still to be done; called with the lock."""
        if self._rgba is None:
            return
        for stream in list(self._waiting):
            surface, left, top = self._surfaces[stream]
            if surface.show(self._rgba, self._place.width, self._place.height, left, top):
                self._waiting.discard(stream)

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self._take_events(_RETRY_SECONDS if self._waiting else _LOOK_SECONDS)
            except Exception as error:  # shown by the next draw
                with self._lock:
                    self._error = error
                if self._stop.wait(_LOOK_SECONDS):
                    return

    def _take_events(self, seconds: float) -> None:
        """Follow the streams that come and go, until nothing happens for *seconds*."""
        self._events.timeout = seconds
        for event in self._events:
            with self._lock:
                if self._stop.is_set():
                    return
                if self._events.rebuilt != self._rebuilt:
                    self._rebuilt = self._events.rebuilt
                    self._forget()
                self._follow(event.kind, event.stream)
        with self._lock:
            if not self._stop.is_set():
                self._draw()

    def _follow(self, kind: str, stream: int) -> None:
        if kind == "closed":
            self._waiting.discard(stream)
            if (known := self._surfaces.pop(stream, None)) is not None:
                known[0].close()
        elif kind in ("created", "existing") and stream not in self._surfaces:
            try:
                left, top = self._place(*_size_of(stream))
                surface = self._overlay.Surface(stream, left + self._place.width, top + self._place.height)
            except (VideoError, LookupError, _Expected):
                return  # the stream is gone already
            self._surfaces[stream] = (surface, left, top)
            self._waiting.add(stream)
            self._draw()

    def _forget(self) -> None:
        """Take all overlays away. When the camera's service has restarted, other streams may have the same numbers."""
        for surface, _, _ in self._surfaces.values():
            surface.close()
        self._surfaces.clear()
        self._waiting.clear()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(2 * _LOOK_SECONDS)
        with self._lock:
            self._forget()
        self._events.close()


def _size_of(stream: int) -> tuple[int, int]:
    from . import _video

    return _video.stream_size(stream)
