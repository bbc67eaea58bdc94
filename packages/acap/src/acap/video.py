"""Video frames of the camera, without a copy.

    with acap.video.Stream(1280, 720, "nv12", framerate=15) as stream:
        for frame in stream:
            y = np.asarray(frame.y)  # (720, 1280), strides (pitch, 1)

A frame is read-only. It has `sequence`, which counts from 0; `timestamp`, when it was captured, in seconds of
`time.monotonic()`; `time`, the same in seconds of `time.time()`. It is a buffer of bytes, and has planes, which are
buffers of bytes as well:

    nv12                  y (height, width), uv (height / 2, width / 2, 2)
    y800                  y (height, width)
    rgb, planar-rgb       rgb (height, width, 3): they differ in their strides

Its buffer goes back to the camera when the frame and all views of it are gone, or with `frame.release()`.
`frame.copy()` is a frame that may be kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from ._video import Capture, Frame
from ._video import resolutions as _resolutions
from .errors import FormatError, NoFrame, ServiceDown, StreamClosed, VideoError, _Expected
from .layout import FORMATS, Format, planes_of

__all__ = ["Frame", "Geometry", "Stream", "resolutions"]

Setting = bool | int | float | str
# How long a stream tries to come back after the camera's video service has stopped, and how often.
_RESTART_SECONDS = 30.0
_RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Geometry:
    """What was asked for, or what the camera gives. `pitch`: the bytes from one row to the next; 0 if not asked for."""

    width: int
    height: int
    format: str
    framerate: float
    pitch: int = 0
    rotation: int = 0


def resolutions(format: Format = "nv12", *, channel: int = 1, input: int | None = None) -> list[tuple[int, int]]:
    """Return the sizes that the camera has for *format*, each (width, height).

    *input* asks for a sensor instead of a channel, from AXIS OS 11.4 on. Raises NotSupported, VideoError.
    """
    number, subformat = _format(format)
    wanted = {"channel": channel} if input is None else {"input": input}
    return _resolutions(wanted, {"format": number} | ({"subformat": subformat} if subformat else {}))


def _format(format: str) -> tuple[int, str]:
    try:
        return FORMATS[format]
    except KeyError:
        raise FormatError(f"there is no format {format!r}", hint=f"use one of {', '.join(FORMATS)}") from None


class Stream:
    """Frames of the camera, in a `for` or an `async for` loop. It belongs to the thread that made it.

    *width*, *height* in pixels; *framerate* in frames a second, None for the camera's own. *keep*: "newest" skips
    frames that came while the program was busy, "all" skips none, as long as the camera has buffers. *buffers*: how
    many frames may be in use at the same time, the loop's own included. *timeout*: seconds to wait for a frame, None
    for ever. *extra*: further settings by VDO's own names.

    Raises FormatError, AccessDenied, NoMoreStreams, ServiceDown, ServiceFailed, LibraryMissing, NotSupported.
    """

    def __init__(  # noqa: PLR0913, what a stream may be asked for
        self,
        width: int,
        height: int,
        format: Format = "nv12",
        *,
        framerate: float | None = None,
        keep: Literal["newest", "all"] = "newest",
        channel: int = 1,
        input: int | None = None,
        rotation: int = 0,
        fit: Literal["scale", "crop"] | None = None,
        buffers: int = 3,
        timeout: float | None = None,
        extra: Mapping[str, Setting] | None = None,
    ) -> None:
        if keep not in ("newest", "all"):
            raise ValueError(f'keep must be "newest" or "all", not {keep!r}')
        if buffers < 2:
            raise ValueError("a stream needs at least 2 buffers: a loop still has a frame while it waits for the next")
        if width < 1 or height < 1:
            raise FormatError(f"a picture of {width}×{height} pixels has no pixels")
        number, subformat = _format(format)
        self.asked = Geometry(width, height, format, framerate or 0.0, 0, rotation)
        self.keep = keep
        self.timeout = timeout
        self.dropped = 0
        """Frames that the camera captured and the program did not get, whoever dropped them."""
        self.rebuilt = 0
        """How often the camera's video service has stopped, and a new stream was made."""
        self._last: int | None = None
        self._source = {"channel": channel} if input is None else {"input": input}
        self._settings: dict[str, Setting] = {
            "format": number,
            "width": width,
            "height": height,
            "buffer.count": buffers,
            "socket.blocking": False,
            "dynamic.framerate": True,
            **self._source,
        }
        if subformat:
            self._settings["subformat"] = subformat
        if framerate is not None:
            self._settings["framerate"] = float(framerate)
        if rotation:
            self._settings["rotation"] = rotation
        if fit:
            self._settings["image.fit"] = fit
        self._settings |= extra or {}
        try:
            self._capture = self._open()
        except _Expected as error:
            raise error.__cause__ or error from None

    def _open(self) -> Capture:
        try:
            capture = Capture(self._settings)
        except FormatError as error:
            raise FormatError(str(error), hint=self._sizes(), code=error.code, domain=error.domain) from None
        info = capture.info
        width, height = int(info["width"]), int(info["height"])
        least = width * (3 if self.asked.format == "rgb" else 1)
        # Cameras have been seen that give no pitch.
        pitch = int(info["pitch"]) or least
        rate, rotation = float(info["framerate"]), int(info["rotation"])
        self.given = Geometry(width, height, self.asked.format, rate, pitch, rotation)
        capture.start(planes_of(self.asked.format, width, height, pitch))
        return capture

    def _sizes(self) -> str:
        """Return what the camera can do, for a message."""
        try:
            sizes = _resolutions(self._source, {"format": self._settings["format"]})
        except (VideoError, NotImplementedError, _Expected):
            sizes = []
        if not sizes:
            return f"this camera does not have the format {self.asked.format}"
        return "the camera has " + ", ".join(f"{width}×{height}" for width, height in sizes)

    @property
    def width(self) -> int:
        return self.given.width

    @property
    def height(self) -> int:
        return self.given.height

    @property
    def pitch(self) -> int:
        """The bytes from one row of a frame to the next."""
        return self.given.pitch

    @property
    def framerate(self) -> float:
        return self.given.framerate

    @framerate.setter
    def framerate(self, framerate: float) -> None:
        if not framerate > 0:
            raise ValueError(f"a frame rate must be positive, not {framerate}")
        self._capture.set_framerate(framerate)
        self._settings["framerate"] = float(framerate)
        given = self.given
        self.given = Geometry(given.width, given.height, given.format, framerate, given.pitch, given.rotation)

    @property
    def held(self) -> int:
        """How many buffers frames in use hold."""
        return self._capture.held

    @property
    def buffers(self) -> int:
        """How many buffers the stream has."""
        return self._capture.buffers

    def fileno(self) -> int:
        """The file descriptor that is readable when there may be a frame. A rebuilt stream has another."""
        self._capture.check_owner()
        return self._capture.fd

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        while True:
            try:
                return self._count(self._capture.next(self.keep == "newest", self.timeout))
            except _Expected as error:
                for delay in self._rebuild(error):
                    time.sleep(delay)

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        start = time.monotonic()
        waited = False
        while True:
            try:
                frame = self._capture.take(self.keep == "newest", waited)
            except _Expected as error:
                for delay in self._rebuild(error):
                    await asyncio.sleep(delay)
                continue
            if frame is not None:
                return self._count(frame)
            await self._readable(start)
            waited = True

    async def _readable(self, start: float) -> None:
        """Return when there may be a frame. Raises NoFrame, Starved."""
        passed = time.monotonic() - start
        limit = None
        if self._capture.held >= self._capture.buffers:
            limit = self._capture.check_held(passed) / 1000
        if self.timeout is not None:
            if passed >= self.timeout:
                raise NoFrame(f"no frame came within {self.timeout:g} s")
            limit = min(limit or self.timeout, self.timeout - passed)
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        fd = self._capture.fd
        loop.add_reader(fd, _set, ready)
        timer = loop.call_later(limit, _set, ready) if limit is not None else None
        try:
            await ready
        finally:
            if timer:
                timer.cancel()
            # After a close in another task, the descriptor is no longer ours.
            if fd == self._capture.fd:
                loop.remove_reader(fd)

    def fresh(self) -> Frame:
        """Return a frame that is captured from now on."""
        now = time.monotonic()
        while (frame := next(self)).timestamp < now:
            frame.release()
        return frame

    def _count(self, frame: Frame) -> Frame:
        sequence = frame.sequence
        if self._last is not None and sequence > self._last + 1:
            self.dropped += sequence - self._last - 1
        self._last = sequence
        return frame

    def _rebuild(self, error: _Expected) -> Iterator[float]:
        """Make a new stream instead of the one that failed. Yields how long to wait before the next attempt."""
        self.rebuilt += 1
        self._last = None
        deadline = time.monotonic() + (_RESTART_SECONDS if self.timeout is None else self.timeout)
        delays = iter(_RETRY_SECONDS)
        delay = 0.0
        self._capture.close()
        while True:
            try:
                self._capture = self._open()
            except _Expected as failed:
                error = failed
            else:
                return
            if time.monotonic() > deadline:
                raise ServiceDown("the camera's video service stopped and does not come back") from error.__cause__
            delay = next(delays, delay)
            yield delay

    def close(self) -> None:
        """Stop the stream. Frames in use stay valid. Raises WrongThread."""
        with contextlib.suppress(StreamClosed):
            self._capture.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
