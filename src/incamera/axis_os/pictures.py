"""Pictures of the camera over the web (image.cgi, video.cgi), as an app gets them: from the camera's video library."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from incamera.axis_os.exchange import Reply

LIBRARY = "libvdostream.so.1"
_FORMAT_JPEG = 2  # vdo-types.h
_SIZE = re.compile(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})")
# Every client knows this one (VAPIX Video Streaming API).
_BOUNDARY = "myboundary"
_MOST_FPS = 30
_USUAL_FPS = 5
# A stream without an end would hold a thread of the server after its client has gone.
_LONGEST_SECONDS = 24 * 3600


class NoPicture(Exception):
    """The video library has no picture, or not of this size."""


class Pictures:
    """Takes pictures. Threads may call it; one picture is taken at a time. *library* is the video library's name."""

    def __init__(self, library: str = LIBRARY) -> None:
        self._name = library
        self._loaded: Any = None
        self._lock = threading.Lock()

    def take(self, width: int, height: int) -> bytes:
        """Return a picture as JPEG. Raises NoPicture."""
        import ctypes  # lazy: it takes memory, and most cameras are asked for no picture

        class Error(ctypes.Structure):
            _fields_ = (("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", ctypes.c_char_p))

        with self._lock:
            vdo = self._load()
            error = ctypes.POINTER(Error)()
            settings = ctypes.c_void_p(vdo.vdo_map_new())
            for name, value in (("format", _FORMAT_JPEG), ("width", width), ("height", height)):
                vdo.vdo_map_set_uint32(settings, name.encode(), ctypes.c_uint32(value))
            buffer = ctypes.c_void_p(vdo.vdo_stream_snapshot(settings, ctypes.byref(error)))
            vdo.g_object_unref(settings)
            if not buffer:
                text = error.contents.message.decode("utf-8", "replace") if error else "no picture"
                vdo.g_error_free(error)
                raise NoPicture(text)
            data, size = vdo.vdo_buffer_get_data(buffer), vdo.vdo_frame_get_size(buffer)
            picture = ctypes.string_at(data, size) if data else b""
            vdo.g_object_unref(buffer)
        if not picture:
            raise NoPicture("the picture cannot be read")
        return picture

    def _load(self) -> Any:
        import ctypes  # lazy: as above

        if self._loaded is None:
            try:
                vdo = ctypes.CDLL(self._name)
            except OSError as error:
                raise NoPicture(f"no video library: {error}") from None
            for name, kind in (
                ("vdo_map_new", ctypes.c_void_p),
                ("vdo_stream_snapshot", ctypes.c_void_p),
                ("vdo_buffer_get_data", ctypes.c_void_p),
                ("vdo_frame_get_size", ctypes.c_size_t),
            ):
                getattr(vdo, name).restype = kind
            self._loaded = vdo
        return self._loaded


def find_size(fields: Mapping[str, str], usual: str) -> tuple[int, int]:
    """Return width and height that a request with *fields* asks for, else the *usual* "1280x720".

    Raises ValueError for what is no size.
    """
    match = _SIZE.fullmatch(fields.get("resolution", usual))
    if match is None:
        raise ValueError("resolution is WIDTHxHEIGHT")
    return int(match[1]), int(match[2])


def image(pictures: Pictures, fields: Mapping[str, str], usual: str) -> Reply:
    """Return what image.cgi answers: one picture."""
    try:
        return Reply(pictures.take(*find_size(fields, usual)), "image/jpeg")
    except (ValueError, NoPicture) as error:
        return _refused(error)


def video(pictures: Pictures, fields: Mapping[str, str], usual: str) -> Reply:
    """Return what video.cgi answers: pictures one after the other, until the client goes.

    `fps`, `duration` in seconds and `nbrofframes` bound it; 0 is no bound.
    """
    try:
        size = find_size(fields, usual)
        fps = min(_number(fields, "fps") or _USUAL_FPS, _MOST_FPS)
        most = _number(fields, "nbrofframes")
        seconds = min(_number(fields, "duration") or _LONGEST_SECONDS, _LONGEST_SECONDS)
        first = pictures.take(*size)
    except (ValueError, NoPicture) as error:
        return _refused(error)

    def parts() -> Iterator[bytes]:
        began, count, picture = time.monotonic(), 1, first
        while True:
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            yield head.encode() + picture + b"\r\n"
            due = began + count / fps
            if count == most or due - began >= seconds:
                yield f"--{_BOUNDARY}--\r\n".encode()
                return
            time.sleep(max(0, due - time.monotonic()))
            try:
                picture = pictures.take(*size)
            except NoPicture:  # the video service restarts: the client sees the end of the stream
                return
            count += 1

    return Reply(b"", f"multipart/x-mixed-replace; boundary={_BOUNDARY}", parts=parts())


def _number(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "0")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(f"{name} is no number")
    return int(text)


def _refused(error: Exception) -> Reply:
    status = 400 if isinstance(error, ValueError) else 503
    return Reply(f"{error}\n".encode("utf-8", "replace"), "text/plain", status)
