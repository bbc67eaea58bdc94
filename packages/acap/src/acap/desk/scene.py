"""The camera of a test: it gives known pictures, each once and in their order, and then its streams end."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from .._video import Frame, Source
from ..errors import _SceneOver
from .camera import Camera, Settings, as_wanted, begin, end
from .pixels import Converter

_BUFFERS = 3


class SceneCamera(Camera):
    """A desk's camera that shows *pictures*, PyAV's frames, at *framerate* frames a second."""

    def __init__(self, pictures: Sequence[Any], framerate: float) -> None:
        super().__init__("")
        self._pictures, self._framerate = pictures, framerate

    def Capture(self, settings: Settings) -> Source:
        return SceneCapture(self._pictures, self._framerate, settings)

    def _picture(self) -> Any:
        return self._pictures[0]


class SceneCapture(Source):
    """A stream that has a frame whenever it is asked, until there are no more pictures.

    A frame's time is the present, but at least 1 / framerate after that of the frame before.
    """

    def __init__(self, pictures: Sequence[Any], framerate: float, settings: Settings) -> None:
        self._pipe: tuple[int, ...] = ()
        rate = float(settings.get("framerate", 0)) or framerate
        wanted = as_wanted(settings, rate)
        self._pictures, self._converter = pictures, Converter(wanted)
        self.buffers = int(settings.get("buffer.count", _BUFFERS))
        self.period = 1 / rate
        self.info = {
            "width": wanted.width, "height": wanted.height, "pitch": wanted.pitch, "rotation": wanted.rotation,
            "framerate": rate, "buffer.count": self.buffers, "buffer.type": "",
            "image.fit": "crop" if wanted.crop else "scale", "id": begin(),
        }  # fmt: skip
        self._next = 0
        # It stays readable: there is always a frame, or the end.
        self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.fd = self._pipe[0]
        os.write(self._pipe[1], b"\0")
        self._last = 0.0

    def start(self) -> None:
        self.check_owner()

    def events(self) -> list[tuple[int, int]]:
        self.check_owner()
        return []

    def set_framerate(self, framerate: float) -> None:
        self.check_owner()
        self.period = 1 / framerate

    def force_key_frame(self) -> None:
        self._converter.key_wanted = True

    def take(self, newest: bool, waited: bool) -> Frame | None:
        self.check_owner()
        if self.held >= self.buffers:
            return None
        if self._next >= len(self._pictures):
            raise _SceneOver
        number, self._next = self._next, self._next + 1
        data, kind, header = self._converter.convert(self._pictures[number])
        when = self._last = max(time.monotonic(), self._last + self.period)
        wall = time.time() + (when - time.monotonic())
        return self.frame_of(data, number, when, wall, kind, header)

    def close(self) -> None:
        self.check_owner()
        self.mark_closed()
        self._end()

    def _end(self) -> None:
        pipe, self._pipe = self._pipe, ()
        for number in pipe:
            os.close(number)
        if pipe:
            end(int(self.info["id"]))

    def __del__(self) -> None:
        self._end()
