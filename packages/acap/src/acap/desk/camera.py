"""The camera on a desk, with the sizes and formats of the virtual one."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any

from .._video import Frame, Source
from ..errors import FormatError, NoSuchChannel, StreamClosed
from ..layout import ENCODED, FORMATS
from .pixels import Converter, Wanted
from .sources import open_source
from .worker import Worker, drain

Setting = bool | int | float | str
Settings = Mapping[str, Setting]
RESOLUTIONS = (
    (160, 90), (320, 180), (320, 240), (640, 360), (640, 480), (800, 600), (1280, 720), (1920, 1080),
)  # fmt: skip
HAS = ("nv12", "y800", "rgb", "planar-rgb", "jpeg", "h264")
_CHANNELS = (0, 1)
# VDO's error codes and events.
_NOT_FOUND, _INVALID, _NOT_SUPPORTED = 1, 3, 5
_STARTED, _CREATED, _CLOSED, _EXISTING = 1, 80, 81, 82

_lock = threading.Lock()
_streams: set[int] = set()
_watchers: set[Watcher] = set()
_last_id = 0


class Camera:
    """What `acap._video` is for a camera: the same functions and classes."""

    def __init__(self, source: str) -> None:
        self._source = source

    def Capture(self, settings: Settings) -> Source:
        return Capture(self._source, settings)

    def Watcher(self) -> Watcher:
        return Watcher()

    def channels(self) -> list[dict[str, Any]]:
        return [{"channel": number, "rotation": 0, "aspect_ratio": (16, 9)} for number in _CHANNELS]

    def channel(self, wanted: Mapping[str, int]) -> dict[str, Any]:
        _check_channel(wanted)
        return self.channels()[wanted.get("channel", 1)]

    def resolutions(self, wanted: Mapping[str, int], filter: Settings) -> list[tuple[int, int]]:
        _check_channel(wanted)
        return list(RESOLUTIONS) if _format_of(filter) in HAS else []

    def snapshot(self, settings: Settings) -> tuple[Frame, int, int]:
        wanted = as_wanted(settings, 30.0)
        data, kind, header = Converter(wanted).convert(self._picture())
        frame = Source().frame_of(data, 0, time.monotonic(), time.time(), kind, header)
        return frame, wanted.width, wanted.height

    def _picture(self) -> Any:
        pictures = open_source(self._source)
        try:
            return pictures.at(0, 0.0)
        finally:
            pictures.close()


def _format_of(settings: Settings) -> str:
    subformat = settings.get("subformat", "NV12")
    for name, (number, wanted) in FORMATS.items():
        if number == settings["format"] and wanted in ("", subformat):
            return name
    return ""


def _check_channel(settings: Settings) -> None:
    known = settings["input"] == 1 if "input" in settings else settings.get("channel", 1) in _CHANNELS
    if not known:
        raise NoSuchChannel("no such channel", code=_NOT_FOUND, domain="desk")


def as_wanted(settings: Settings, rate: float) -> Wanted:
    """Return what *settings* ask for, as the camera gives it. Raises FormatError, NoSuchChannel."""
    _check_channel(settings)
    format = _format_of(settings)
    if format not in HAS:
        raise FormatError("cannot make a video stream: no such format", code=_NOT_SUPPORTED, domain="desk")
    width, height = int(settings["width"]), int(settings["height"])
    rotation = int(settings.get("rotation", 0))
    across, down = (height, width) if rotation % 180 else (width, height)
    if not (128 <= across <= RESOLUTIONS[-1][0] and 32 <= down <= RESOLUTIONS[-1][1]):
        raise FormatError("cannot make a video stream: no such resolution", code=_INVALID, domain="desk")
    across, down = across & ~7, down & ~1
    width, height = (down, across) if rotation % 180 else (across, down)
    row = width * 3 if format == "rgb" else width
    step = int(os.environ.get("ACAP_PITCH_STEP") or 1)
    return Wanted(
        format=format,
        width=width,
        height=height,
        pitch=0 if format in ENCODED else (row + step - 1) // step * step,
        rotation=rotation,
        crop=settings.get("image.fit") == "crop",
        framerate=rate,
        quality=max(1, 100 - int(settings.get("compression", 30))),
        group=int(settings.get("gop_length", 32)),
    )


class Capture(Source):
    """A stream. It ends when it is closed, or forgotten."""

    def __init__(self, source: str, settings: Settings) -> None:
        self._worker: Worker | None = None
        as_wanted(settings, 30.0)  # bad settings are refused before anything is opened
        pictures = open_source(source)
        rate = float(settings.get("framerate", 0)) or pictures.rate or 30.0
        wanted = as_wanted(settings, rate)
        self.buffers = int(settings.get("buffer.count", 3))
        self.period = 1 / rate
        self.info = {
            "width": wanted.width, "height": wanted.height, "pitch": wanted.pitch, "rotation": wanted.rotation,
            "framerate": rate, "buffer.count": self.buffers, "buffer.type": "",
            "image.fit": "crop" if wanted.crop else "scale", "id": begin(),
        }  # fmt: skip
        self._events = [(_STARTED, int(self.info["id"]))]
        myself = weakref.ref(self)

        def free() -> int:
            stream = myself()
            return -1 if stream is None else stream.buffers - stream.held

        self._worker = Worker(pictures, Converter(wanted), self.period, free)
        self.fd = self._worker.fd

    def _running(self) -> Worker:
        self.check_owner()
        assert self._worker
        return self._worker

    def start(self) -> None:
        self._running().start()

    def events(self) -> list[tuple[int, int]]:
        self.check_owner()
        events, self._events = self._events, []
        return events

    def set_framerate(self, framerate: float) -> None:
        self._running().period = self.period = 1 / framerate

    def force_key_frame(self) -> None:
        self._running().converter.key_wanted = True

    def take(self, newest: bool, waited: bool) -> Frame | None:
        taken = self._running().take(newest)
        if taken is None or (newest and self.is_late(taken.timestamp, waited)):
            return None
        return self.frame_of(taken.data, taken.sequence, taken.timestamp, taken.time, taken.type, taken.header)

    def close(self) -> None:
        self.check_owner()
        self.mark_closed()
        self._end()

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
            end(int(self.info["id"]))

    def __del__(self) -> None:
        self._end()


class Watcher:
    """Tells of the streams of this process that come and go."""

    def __init__(self) -> None:
        self._events: list[tuple[int, int]] = []
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with _lock:
            for stream in sorted(_streams):
                self.tell(_EXISTING, stream)
            _watchers.add(self)

    def tell(self, kind: int, stream: int) -> None:
        self._events.append((kind, stream))
        with contextlib.suppress(BlockingIOError):  # it is readable anyway
            os.write(self._writer, b"\0")

    def take(self) -> list[tuple[int, int]]:
        if self.fd < 0:
            raise StreamClosed("the watch of the camera's streams is closed")
        with _lock:
            drain(self.fd)
            events, self._events = self._events, []
        return events

    def wait(self, seconds: float) -> bool:
        select.select([self.fd], [], [], seconds)
        return False

    def close(self) -> None:
        if self.fd < 0:
            return
        with _lock:
            _watchers.discard(self)
        os.close(self.fd)
        os.close(self._writer)
        self.fd = -1


def begin() -> int:
    """Return the number of a new stream, and tell those who watch."""
    global _last_id
    with _lock:
        _last_id += 1
        _streams.add(_last_id)
        for watcher in _watchers:
            watcher.tell(_CREATED, _last_id)
        return _last_id


def end(stream: int) -> None:
    """Tell those who watch that the stream is gone."""
    with _lock:
        _streams.discard(stream)
        for watcher in _watchers:
            watcher.tell(_CLOSED, stream)
