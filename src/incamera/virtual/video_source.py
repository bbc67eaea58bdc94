"""Pictures of a video, a picture or a folder of pictures, by time. PyAV reads them.

A file may be anything, and FFmpeg's decoders trust it: a damaged one may end the process. So only `video_service` uses
this module, in a process of its own.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
PICTURE_SECONDS = 1.0
"""How long each picture of a folder is shown."""

# Streams of the camera ask one after the other, so one may ask for what was shown just before.
_KEPT_FRAMES = 8
_SEEK_AFTER_SECONDS = 2.0
_SLACK = 1e-6
# The sensor's.
_WIDE, _HIGH = 16, 9


class BadVideo(Exception):
    """A source that shows nothing. The message is for the user."""


@dataclass(frozen=True, slots=True)
class View:
    """What a stream shows: of a whole scene with *across* columns, *width* of them, from *left* on.

    A row has *pitch* bytes. *format*: one of FORMATS.
    """

    format: int
    across: int
    left: int
    width: int
    height: int
    pitch: int

    @property
    def size(self) -> int:
        whole = self.height + self.height // 2
        rows = {NV12: whole, FULL_NV12: whole, PLANAR_RGB: 3 * self.height}
        return self.pitch * rows.get(self.format, self.height)


NV12, Y800, RGB, PLANAR_RGB, FULL_NV12 = range(5)
FORMATS = {NV12: "nv12", Y800: "nv12", RGB: "rgb24", PLANAR_RGB: "gbrp", FULL_NV12: "nv12"}
# The planes of a format: PyAV's number of each, the bytes of a column, how many rows share a value, that of black.
_PLANES = {
    NV12: ((0, 1, 1, 16), (1, 1, 2, 128)), Y800: ((0, 1, 1, 16),), RGB: ((0, 3, 1, 0),),
    FULL_NV12: ((0, 1, 1, 0), (1, 1, 2, 128)), PLANAR_RGB: ((2, 1, 1, 0), (0, 1, 1, 0), (1, 1, 1, 0)),
}  # fmt: skip


def open_source(av: Any, path: Path) -> Film | Folder:
    """Return the source *path*, read by the module *av*. Raises BadVideo."""
    try:
        return Folder(av, path) if path.is_dir() else Film(av, path)
    except (OSError, av.FFmpegError) as error:
        raise BadVideo(f"{path}: {error.strerror or error}") from error


class Film:
    """A video that is played again and again, or a picture."""

    def __init__(self, av: Any, path: Path) -> None:
        self._av, self._path = av, path
        self._length: float | None = None
        self._step = 1.0
        self._recent: collections.deque[tuple[float, Any]] = collections.deque(maxlen=_KEPT_FRAMES)
        self._following: tuple[float, Any] | None = None
        self._open()
        self.rate = float(self._stream.average_rate or 0)
        if self.rate > 0:
            self._step = 1 / self.rate
        try:
            found = [one for one in (self._read(), self._read()) if one is not None]
        except BaseException:
            self._container.close()
            raise
        if not found:
            raise BadVideo(f"{path} has no picture")
        self._is_still = len(found) == 1
        self._recent.append(found[0])
        self._following = None if self._is_still else found[1]
        self.width, self.height = found[0][1].width, found[0][1].height
        if not self._is_still and (known := _length_of(self._container, self._stream)) is not None:
            self._length = max(known, found[1][0] + self._step)

    @property
    def seconds(self) -> float | None:
        """How long it is; None for a picture, and where only its end tells."""
        return None if self._is_still else self._length

    @property
    def aspect(self) -> float:
        """How many times a pixel is wider than high."""
        return float(self._stream.sample_aspect_ratio or 1) or 1.0

    def _open(self) -> None:
        # A playlist must name no other computer.
        self._container = self._av.open(str(self._path), options={"protocol_whitelist": "file"})
        if not self._container.streams.video:
            self._container.close()
            raise BadVideo(f"{self._path} has no video")
        self._stream = self._container.streams.video[0]
        self._frames = self._container.decode(self._stream)
        self._first: float | None = None
        self._count = 0

    def _read(self) -> tuple[float, Any] | None:
        """Return the next picture and its time; None at the end, or where the rest cannot be read."""
        try:
            frame = next(self._frames, None)
        except self._av.FFmpegError:
            frame = None
        if frame is None:
            return None
        time = frame.time if frame.time is not None else self._count * self._step
        self._first = time if self._first is None else self._first
        self._count += 1
        return time - self._first, frame

    def at(self, seconds: float) -> Any:
        """Return the picture of the time *seconds* after the first one. Raises BadVideo."""
        if self._is_still:
            return self._recent[0][1]
        wanted = self._wrap(seconds)
        if wanted < self._recent[0][0] - _SLACK or wanted > self._recent[-1][0] + _SEEK_AFTER_SECONDS:
            self._go_to(wanted)
        while self._following is not None and self._following[0] <= wanted + _SLACK:
            self._recent.append(self._following)
            self._following = self._read()
            if self._following is None and self._length is None:
                self._length = self._recent[-1][0] + self._step
                return self.at(seconds)
        return next((frame for time, frame in reversed(self._recent) if time <= wanted + _SLACK), self._recent[0][1])

    def _wrap(self, seconds: float) -> float:
        return seconds % self._length if self._length else seconds

    def _go_to(self, seconds: float) -> None:
        """Begin at the key frame before *seconds*, or at the first picture."""
        self._recent.clear()
        start = None
        try:
            self._container.seek(int((seconds + (self._first or 0)) * 1_000_000))
            self._frames = self._container.decode(self._stream)
            start = self._read()
        except self._av.FFmpegError:
            pass
        if start is None or start[1].time is None or start[0] > seconds + _SLACK:
            self._container.close()
            self._open()
            start = self._read()
        if start is None:
            raise BadVideo(f"{self._path} cannot be read any more")
        self._recent.append(start)
        self._following = self._read()

    def close(self) -> None:
        self._container.close()


def _length_of(container: Any, stream: Any) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else None


class Folder:
    """The pictures of a folder in the order of their names, each for PICTURE_SECONDS, again and again."""

    def __init__(self, av: Any, folder: Path) -> None:
        self._av = av
        self._paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
        if not self._paths:
            raise BadVideo(f"the folder {folder} has no pictures: they end in {', '.join(sorted(PICTURES))}")
        self.rate = 1 / PICTURE_SECONDS
        self._number, self._film = 0, Film(av, self._paths[0])
        self.width, self.height = self._film.width, self._film.height
        self.seconds = len(self._paths) * PICTURE_SECONDS

    @property
    def aspect(self) -> float:
        return self._film.aspect

    def at(self, seconds: float) -> Any:
        """Return the picture of the time *seconds* after the first one. Raises BadVideo."""
        number = int(seconds // PICTURE_SECONDS) % len(self._paths)
        if number != self._number:
            film = open_source(self._av, self._paths[number])
            assert isinstance(film, Film)
            self._film.close()
            self._number, self._film = number, film
        return self._film.at(0)

    def close(self) -> None:
        self._film.close()


@contextmanager
def opened(av: Any, path: Path) -> Iterator[Film | Folder]:
    source = open_source(av, path)
    try:
        yield source
    finally:
        source.close()


def render(frame: Any, aspect: float, view: View) -> bytes:
    """Return the *frame* as a stream shows it, with black beside it where its shape is not 16:9.

    *aspect*: how many times its pixels are wider than high.
    """
    across, down, left, top = _place(frame.width * aspect, frame.height, view)
    levels = "JPEG" if view.format == FULL_NV12 else None
    scaled = frame.reformat(width=across, height=down, format=FORMATS[view.format], dst_color_range=levels)
    parts: list[bytes | memoryview] = []
    for number, wide, step, black in _PLANES[view.format]:
        plane = scaled.planes[number]
        data, line = memoryview(plane).cast("B"), plane.line_size
        before, after = bytes([black]) * (left * wide), bytes([black]) * ((view.across - left - across) * wide)
        first, last = view.left * wide, (view.left + view.width) * wide
        padding = bytes(view.pitch - (last - first))
        empty = bytes([black]) * (last - first) + padding
        parts += [empty] * (top // step)
        for y in range(down // step):
            row = data[y * line : y * line + across * wide]
            if before or after or view.left:
                row = memoryview(b"".join((before, row, after)))
            parts += (row[first:last], padding)
        parts += [empty] * (view.height // step - (top + down) // step)
    return b"".join(parts)


def _place(width: float, height: float, view: View) -> tuple[int, int, int, int]:
    """Return columns, rows, left and top edge of a picture in the whole scene. All are even."""
    relative = width * _HIGH / (height * _WIDE)
    across = min(view.across, _even(view.across * min(1.0, relative)))
    down = min(view.height, _even(view.height * min(1.0, 1 / relative)))
    return across, down, (view.across - across) // 4 * 2, (view.height - down) // 4 * 2


def _even(value: float) -> int:
    return max(2, round(value / 2) * 2)
