"""Video frames of the camera, without a copy.

    with acap.video.Stream(1280, 720, "nv12", framerate=15) as stream:
        for frame in stream:
            y = np.asarray(frame.y)  # (720, 1280), strides (pitch, 1)

On a computer without a camera, frames come from a video file, a folder of pictures, a webcam or a URL: see `use`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from . import _video, handlers
from ._video import Frame, Source
from .errors import FormatError, NoFrame, NoSuchChannel, ServiceDown, StreamClosed, VideoError, _Expected, _SceneOver
from .layout import ENCODED, FORMATS, NOT_ALONE, Format, planes_of

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

__all__ = [
    "Channel",
    "Event",
    "Events",
    "Frame",
    "Geometry",
    "Stream",
    "channels",
    "formats",
    "inputs",
    "resolutions",
    "snapshot",
    "use",
]

Setting = bool | int | float | str
Fit = Literal["scale", "crop"]
# How long a stream tries to come back after the camera's video service has stopped, and how often.
_RESTART_SECONDS = 30.0
_RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
# VdoIntent: that of a stream of one's own, with events.
_WITH_EVENTS = 5 | 16
_EVENTS = {
    1: "started", 2: "stopped", 16: "resource", 17: "quota-soft", 18: "quota-hard", 32: "zipstream",
    64: "buffering", 65: "buffering-warn", 66: "buffering-fail", 80: "created", 81: "closed", 82: "existing",
}  # fmt: skip
# A path or a URL, or a camera of acap.desk.
_desk: Any = None


class Geometry(NamedTuple):
    """What was asked for, or what the camera gives."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    format: str
    """One of the formats of `Stream`."""
    framerate: float
    """Frames a second; 0 if not asked for."""
    pitch: int = 0
    """The bytes from one row to the next; 0 if not asked for, or in an encoded format."""
    rotation: int = 0
    """Degrees, clockwise: 0, 90, 180 or 270."""
    fit: str | None = None
    """How the scene fits into a picture of another shape: "scale" or "crop"; None if the camera does not say."""


class Channel(NamedTuple):
    """A channel of the camera: the view of one of its sensors, or a part of it."""

    number: int
    """What `channel=` takes."""
    rotation: int
    """How the camera turns its pictures, in degrees clockwise. For 90 and 270, ask for pictures that stand upright."""
    aspect_ratio: tuple[int, int]
    """Width and height of its shape, such as (16, 9); (0, 0) if the camera does not say."""


class Event(NamedTuple):
    """Something that happened to a stream of the camera."""

    kind: str
    """"existing", "created", "closed", "started", "stopped", "resource", "quota-soft", "quota-hard", "zipstream",
    "buffering", "buffering-warn", "buffering-fail", or the number of another kind.
    """
    stream: int
    """The number of the stream, as `Stream.id`."""


def use(source: str | os.PathLike[str] | None) -> None:
    """Take frames from *source* instead of a camera from now on; None: from the camera again.

    *source*: a video file, a picture, a folder of pictures, a webcam (`/dev/video0`) or a URL (`rtsp://…`). The
    environment variable ACAP_VIDEO does the same. Files are played again and again. Needs PyAV: `pip install
    'acap[desk]'`.

    Streams that exist stay as they are.
    """
    global _desk
    _desk = None if source is None else os.fspath(source)


def replace_camera(camera: Any) -> Any:
    """Have *camera*, one of acap.desk, give the frames from now on; return what gave them before."""
    global _desk
    before, _desk = _desk, camera
    return before


def _camera() -> Any:
    """Return what gives frames: the camera's library, or a desk with a video."""
    source = _desk or os.environ.get("ACAP_VIDEO")
    if not source:
        return _video
    if not isinstance(source, str):
        return source
    from . import desk

    return desk.Camera(source)


def resolutions(format: Format = "nv12", *, channel: int = 1, input: int | None = None) -> list[tuple[int, int]]:
    """Return the sizes that the camera has for *format*, each (width, height); none if it does not have the format.

    *input* asks for a sensor instead of a channel, from AXIS OS 11.4 on. Raises NoSuchChannel, NotSupported,
    VideoError.
    """
    number, subformat = _format(format)
    wanted = {"channel": channel} if input is None else {"input": input}
    filter = {"format": number} | ({"subformat": subformat} if subformat else {})
    return _resolutions(_camera(), wanted, filter)


def _resolutions(camera: Any, wanted: Mapping[str, int], filter: Mapping[str, Setting]) -> list[tuple[int, int]]:
    try:
        return list(camera.resolutions(wanted, filter))
    except NoSuchChannel as error:
        raise _with_channels(camera, error) from None
    except _Expected as error:
        raise error.__cause__ or error from None


def _with_channels(camera: Any, error: NoSuchChannel) -> NoSuchChannel:
    """Return *error* with a hint that names the channels that there are."""
    try:
        numbers = ", ".join(str(info["channel"]) for info in camera.channels())
    except (VideoError, NotImplementedError, _Expected):
        numbers = ""
    hint = f"the camera has the channels {numbers}" if numbers else ""
    return NoSuchChannel(str(error), hint=hint, code=error.code, domain=error.domain)


def formats(*, channel: int = 1, input: int | None = None) -> list[str]:
    """Return the formats that the camera has. Raises as `resolutions` does."""
    camera, wanted = _camera(), {"channel": channel} if input is None else {"input": input}
    return [name for name, (number, _) in FORMATS.items() if _resolutions(camera, wanted, {"format": number})]


def channels() -> list[Channel]:
    """Return the camera's channels. Raises NotSupported, VideoError."""
    return [_channel(info) for info in _camera().channels()]


def inputs() -> list[Channel]:
    """Return the channels that show the camera's sensors whole: the first is that of `input=1`.

    Needs AXIS OS 11.4. Raises NotSupported, VideoError.
    """
    camera = _camera()
    found: list[Channel] = []
    while True:
        try:
            found.append(_channel(camera.channel({"input": len(found) + 1})))
        except NoSuchChannel:
            return found


def _channel(info: Mapping[str, Any]) -> Channel:
    return Channel(info["channel"], info["rotation"], info["aspect_ratio"])


def _format(format: str) -> tuple[int, str]:
    try:
        return FORMATS[format]
    except KeyError:
        raise FormatError(f"there is no format {format!r}", hint=f"use one of {', '.join(FORMATS)}") from None


def _settings(asked: Geometry, source: Mapping[str, int], extra: Mapping[str, Setting] | None) -> dict[str, Setting]:
    """Return VDO's settings for *asked*."""
    number, subformat = _format(asked.format)
    if asked.width < 1 or asked.height < 1:
        raise FormatError(f"a picture of {asked.width}×{asked.height} pixels has no pixels")
    if asked.rotation not in (0, 90, 180, 270):
        raise FormatError(f"a picture cannot be rotated by {asked.rotation}°", hint="use 0, 90, 180 or 270")
    if asked.fit not in (None, "scale", "crop"):
        raise ValueError(f'fit must be "scale" or "crop", not {asked.fit!r}')
    settings: dict[str, Setting] = {"format": number, "width": asked.width, "height": asked.height, **source}
    if subformat:
        settings["subformat"] = subformat
    if asked.framerate:
        settings["framerate"] = float(asked.framerate)
    if asked.rotation:
        settings["rotation"] = asked.rotation
    if asked.fit:
        settings["image.fit"] = asked.fit
    return settings | dict(extra or {})


def _refused(error: FormatError, camera: Any, asked: Geometry, source: Mapping[str, int]) -> FormatError:
    """Return *error* with a hint that lists what the camera can do."""
    try:
        number, subformat = _format(asked.format)
        sizes = camera.resolutions(source, {"format": number} | ({"subformat": subformat} if subformat else {}))
        if sizes:
            hint = "the camera has " + ", ".join(f"{width}×{height}" for width, height in sizes)
        else:
            has = [name for name, (number, _) in FORMATS.items() if camera.resolutions(source, {"format": number})]
            hint = f"this camera does not have the format {asked.format}, it has {', '.join(has)}"
    except (VideoError, NotImplementedError, _Expected):
        hint = ""
    return FormatError(str(error), hint=hint, code=error.code, domain=error.domain)


def snapshot(  # noqa: PLR0913, what a picture may be asked for
    width: int,
    height: int,
    format: Format = "jpeg",
    *,
    channel: int = 1,
    input: int | None = None,
    rotation: int = 0,
    fit: Fit | None = None,
    extra: Mapping[str, Setting] | None = None,
) -> Frame:
    """Return one picture, in memory of its own. For more than one now and then, a `Stream` costs less.

    The arguments are those of `Stream`. h264, h265 and av1 make no pictures that stand alone. Raises what `Stream`
    raises.
    """
    if format in NOT_ALONE:
        raise FormatError(f"there is no snapshot in the format {format}", hint="use jpeg")
    source = {"channel": channel} if input is None else {"input": input}
    asked = Geometry(width, height, format, 0.0, 0, rotation, fit)
    camera = _camera()
    try:
        frame: Frame
        frame, *size = camera.snapshot(_settings(asked, source, extra))
    except NoSuchChannel as error:
        raise _with_channels(camera, error) from None
    except FormatError as error:
        raise _refused(error, camera, asked, source) from None
    except _Expected as error:
        raise error.__cause__ or error from None
    given_width, given_height = size[0] or width, size[1] or height
    # The service does not tell the pitch. It follows from the number of bytes.
    rows = {"nv12": given_height * 3 // 2, "planar-rgb": given_height * 3}.get(format, given_height)
    pitch = 0 if format in ENCODED else len(frame) // rows
    given = asked._replace(width=given_width, height=given_height, pitch=pitch)
    return frame.shape_as(given, planes_of(format, given_width, given_height, pitch))


class Stream:
    """Frames of the camera, in a `for` or an `async for` loop. It belongs to the thread that made it.

    *width*, *height*: pixels. *format*: "nv12", "y800", "rgb", "planar-rgb", "jpeg", "h264", "h265" or "av1"; not
    every camera has each (`formats()`).

    *framerate*: frames a second, None for the camera's own. *keep*: "newest" skips frames that came while the program
    was busy, "all" skips none, as long as the camera has buffers. Without it, h264, h265 and av1 have "all", since each
    picture builds on those before it, and the others "newest". *buffers*: how many frames may be in use at the same
    time, the loop's own included. *timeout*: seconds to wait for a frame, None for ever.

    *channel*: which view of the camera, as in `channels()`. *input*: a sensor instead of a channel, from AXIS OS 11.4
    on. *rotation*: degrees clockwise. For 90 and 270, *width* and *height* are those of the upright picture. *fit*:
    "crop" cuts a picture of another shape out of the middle of the scene, "scale" squeezes the whole scene into it.
    Cameras before AXIS OS 12.7 ignore it: then `given.fit` is None. *events*: whether `events()` is to be used.
    *extra*: further settings by VDO's own names, such as `{"compression": 30, "gop_length": 15}`.

    Raises FormatError, NoSuchChannel, AccessDenied, NoMoreStreams, ServiceDown, ServiceFailed, LibraryMissing,
    NotSupported; on a desk SourceFailed.
    """

    asked: Geometry
    """What the program asked for."""
    given: Geometry
    """What the camera gives."""
    dropped: int
    """Frames that the camera captured and the program did not get, whoever dropped them."""
    rebuilt: int
    """How often the camera's video service has stopped, and a new stream was made."""

    def __init__(  # noqa: PLR0913, what a stream may be asked for
        self,
        width: int,
        height: int,
        format: Format = "nv12",
        *,
        framerate: float | None = None,
        keep: Literal["newest", "all"] | None = None,
        channel: int = 1,
        input: int | None = None,
        rotation: int = 0,
        fit: Fit | None = None,
        buffers: int = 3,
        timeout: float | None = None,
        events: bool = False,
        extra: Mapping[str, Setting] | None = None,
    ) -> None:
        if keep not in (None, "newest", "all"):
            raise ValueError(f'keep must be "newest" or "all", not {keep!r}')
        if keep == "newest" and format in NOT_ALONE:
            raise ValueError(f'a picture of {format} builds on those before it: use keep="all"')
        if buffers < 2:
            raise ValueError("a stream needs at least 2 buffers: a loop still has a frame while it waits for the next")
        if framerate is not None and not framerate > 0:
            raise ValueError(f"a frame rate must be positive, not {framerate}")
        self.asked = Geometry(width, height, format, framerate or 0.0, 0, rotation, fit)
        self.keep = keep or ("all" if format in NOT_ALONE else "newest")
        self.timeout = timeout
        self.dropped = 0
        self.rebuilt = 0
        self._last: int | None = None
        self._source = {"channel": channel} if input is None else {"input": input}
        own: dict[str, Setting] = {"buffer.count": buffers, "socket.blocking": False, "dynamic.framerate": True}
        if format in ENCODED:
            own["frame.chunks"] = True
        if events:
            own["intent"] = _WITH_EVENTS
        self._settings = _settings(self.asked, self._source, own | dict(extra or {}))
        self._camera = _camera()
        try:
            self._capture = self._open()
        except _Expected as error:
            raise error.__cause__ or error from None

    def _open(self) -> Source:
        try:
            capture: Source = self._camera.Capture(self._settings)
        except NoSuchChannel as error:
            raise _with_channels(self._camera, error) from None
        except FormatError as error:
            raise _refused(error, self._camera, self.asked, self._source) from None
        info, format = capture.info, self.asked.format
        width, height = int(info["width"]), int(info["height"])
        # Cameras have been seen that give no pitch.
        pitch = 0 if format in ENCODED else int(info["pitch"]) or width * (3 if format == "rgb" else 1)
        self.given = Geometry(
            width,
            height,
            format,
            float(info["framerate"]),
            pitch,
            int(info["rotation"]),
            str(info["image.fit"]) or None,
        )
        capture.describe(self.given, planes_of(format, width, height, pitch))
        capture.start()
        return capture

    @property
    def id(self) -> int:
        """The number of the stream in the camera, as in an `Event`. A rebuilt stream has another."""
        return int(self._capture.info["id"])

    @property
    def width(self) -> int:
        """The width that the camera gives."""
        return self.given.width

    @property
    def height(self) -> int:
        """The height that the camera gives."""
        return self.given.height

    @property
    def pitch(self) -> int:
        """The bytes from one row of a frame to the next; 0 in an encoded format."""
        return self.given.pitch

    @property
    def framerate(self) -> float:
        """Frames a second that the camera gives. It can be set while the stream runs."""
        return self.given.framerate

    @framerate.setter
    def framerate(self, framerate: float) -> None:
        if not framerate > 0:
            raise ValueError(f"a frame rate must be positive, not {framerate}")
        self._capture.set_framerate(framerate)
        self._settings["framerate"] = float(framerate)
        self.given = self.given._replace(framerate=float(framerate))

    @property
    def memory(self) -> str:
        """The kind of memory that the frames lie in: "memfd", "dmabuf" or "vmem"; "" if the camera does not say."""
        return str(self._capture.info["buffer.type"])

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

    def events(self) -> list[Event]:
        """Return what happened to the stream since the last call. It must have been made with `events=True`.

        Needs AXIS OS 10.9. Raises NotSupported, VideoError.
        """
        if self._settings.get("intent") != _WITH_EVENTS:
            raise ValueError("this stream has no events: make it with events=True")
        return [_event(*event) for event in self._capture.events()]

    def force_key_frame(self) -> None:
        """Make the next frame of h264, h265 or av1 one that builds on no other."""
        self._capture.force_key_frame()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if handlers.waiting:
            handlers.run_due()
        while True:
            try:
                return self._count(self._capture.next(self.keep == "newest", self.timeout))
            except _SceneOver:
                raise StopIteration from None
            except _Expected as error:
                for delay in self._rebuild(error):
                    time.sleep(delay)

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        import asyncio

        start = time.monotonic()
        waited = False
        while True:
            try:
                frame = self._capture.take(self.keep == "newest", waited)
            except _SceneOver:
                raise StopAsyncIteration from None
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
        fd = self._capture.fd
        # After a close in another task, the descriptor is no longer ours.
        await _readable(fd, limit, lambda: fd == self._capture.fd)

    def fresh(self) -> Frame:
        """Return a frame that is captured from now on."""
        now = time.monotonic()
        for frame in self:
            if frame.timestamp >= now:
                return frame
            frame.release()
        raise NoFrame("the test's scene is over")

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
        self._capture.close()
        limit = _RESTART_SECONDS if self.timeout is None else self.timeout
        yield from _retry(error, limit, self._reopen)

    def _reopen(self) -> None:
        self._capture = self._open()

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


class Events:
    """What happens to all streams of the camera, in a `for` or an `async for` loop.

    First come the streams that exist: "existing". Then "created" and "closed" tell of those that come and go.
    *timeout*: seconds after which a loop ends when nothing happens, None for never.

    When the camera's video service stops, the watch begins anew. Needs AXIS OS 10.9. Raises AccessDenied, ServiceDown,
    NotSupported.
    """

    rebuilt: int
    """How often the camera's video service has stopped, and the watch began anew."""

    def __init__(self, *, timeout: float | None = None) -> None:
        self.timeout = timeout
        self.rebuilt = 0
        self._waiting: list[Event] = []
        self._lost = False  # the camera's video service has stopped
        self._camera = _camera()
        try:
            self._watcher = self._camera.Watcher()
        except _Expected as error:
            raise error.__cause__ or error from None

    def fileno(self) -> int:
        """The file descriptor that is readable when there is an event."""
        return int(self._watcher.fd)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        while True:
            if (event := self._next()) is not None:
                return event
            if not self._lost and deadline is not None and time.monotonic() >= deadline:
                raise StopIteration
            rest = 60.0 if deadline is None else max(0.0, deadline - time.monotonic())
            if self._lost or self._watcher.wait(rest):
                for delay in self._rebuild():
                    time.sleep(delay)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        import asyncio

        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        while True:
            if (event := self._next()) is not None:
                return event
            if not self._lost and deadline is not None and time.monotonic() >= deadline:
                raise StopAsyncIteration
            fd = self._watcher.fd
            rest = None if deadline is None else max(0.0, deadline - time.monotonic())
            await _readable(fd, rest, lambda fd=fd: fd == self._watcher.fd)
            if self._lost or self._watcher.wait(0):
                for delay in self._rebuild():
                    await asyncio.sleep(delay)

    def _next(self) -> Event | None:
        if not self._waiting:
            try:
                self._waiting = [_event(*event) for event in self._watcher.take()]
            except _Expected:
                self._lost = True
        return self._waiting.pop(0) if self._waiting else None

    def _rebuild(self) -> Iterator[float]:
        self.rebuilt += 1
        self._watcher.close()
        return _retry(_Expected(), _RESTART_SECONDS, self._reopen)

    def _reopen(self) -> None:
        self._watcher = self._camera.Watcher()
        self._lost = False

    def close(self) -> None:
        """End the watch."""
        self._watcher.close()

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


def _event(kind: int, stream: int) -> Event:
    return Event(_EVENTS.get(kind, str(kind)), stream)


def _retry(error: _Expected, limit: float, attempt: Any) -> Iterator[float]:
    """Call *attempt* until the service is there. Yields how long to wait before the next time. Raises ServiceDown."""
    deadline = time.monotonic() + limit
    delays = iter(_RETRY_SECONDS)
    delay = 0.0
    while True:
        try:
            attempt()
        except _Expected as failed:
            error = failed
        else:
            return
        if time.monotonic() > deadline:
            raise ServiceDown("the camera's video service stopped and does not come back") from error.__cause__
        delay = next(delays, delay)
        yield delay


async def _readable(fd: int, limit: float | None, is_ours: Any) -> None:
    """Return when *fd* is readable, or after *limit* seconds."""
    import asyncio

    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(fd, _set, ready)
    timer = loop.call_later(limit, _set, ready) if limit is not None else None
    try:
        await ready
    finally:
        if timer:
            timer.cancel()
        if is_ours():
            loop.remove_reader(fd)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
