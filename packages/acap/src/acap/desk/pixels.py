"""A picture of any kind as a camera's frame: its size, format, pitch, rotation and fit; encoded where that is asked."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..errors import SourceFailed
from .sources import pyav

# PyAV's names. The Y plane of nv12 is y800, in the same range of values.
_PIXELS = {"nv12": "nv12", "y800": "nv12", "rgb": "rgb24", "planar-rgb": "gbrp", "jpeg": "yuvj420p", "h264": "yuv420p"}
_TURNS = {90: ("transpose=clock",), 180: ("hflip", "vflip"), 270: ("transpose=cclock",)}
# VdoFrameType
_TYPES = {"nv12": 17, "y800": 17, "rgb": 20, "planar-rgb": 21, "jpeg": 16}
_IDR, _P = 4, 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a stream's frames are."""

    format: str
    width: int
    height: int
    pitch: int
    rotation: int
    crop: bool
    framerate: float
    quality: int
    group: int


class Converter:
    """Makes the bytes of frames."""

    def __init__(self, wanted: Wanted) -> None:
        self._av: Any = pyav()
        self._wanted = wanted
        self._kind: object = None
        self._encoder: Any = None
        self.key_wanted = True
        self._since_key = 0

    def convert(self, picture: Any) -> tuple[bytes, int, int]:
        """Return the frame's bytes, its VdoFrameType, and the bytes before a key frame's slice, or -1."""
        wanted = self._wanted
        try:
            shaped = self._shape(picture)
            if wanted.format in ("jpeg", "h264"):
                return self._encode(shaped)
        except self._av.FFmpegError as error:
            raise SourceFailed(f"cannot convert a picture: {error.strerror}") from error
        return self._rows(shaped), _TYPES[wanted.format], -1

    def _shape(self, picture: Any) -> Any:
        kind = (picture.width, picture.height, picture.format.name)
        if kind != self._kind:
            self._graph, self._kind = self._make_graph(picture), kind
        picture.pts = None
        self._graph.push(picture)
        return self._graph.pull()

    def _make_graph(self, picture: Any) -> Any:
        wanted = self._wanted
        width, height = wanted.width, wanted.height
        if wanted.rotation % 180:
            width, height = height, width
        graph = self._av.filter.Graph()
        last = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format.name, time_base=Fraction(1, 1000)
        )
        steps = []
        if wanted.crop:
            across = min(picture.width, picture.height * width // height)
            down = min(picture.height, picture.width * height // width)
            steps.append(f"crop={max(across, 1)}:{max(down, 1)}")
        steps += [f"scale={width}:{height}", *_TURNS.get(wanted.rotation, ()), f"format={_PIXELS[wanted.format]}"]
        for step in steps:
            name, _, words = step.partition("=")
            added = graph.add(name, words or None)
            last.link_to(added)
            last = added
        last.link_to(graph.add("buffersink"))
        graph.configure()
        return graph

    def _rows(self, shaped: Any) -> bytes:
        """Return the planes of *shaped*, with rows of the stream's pitch."""
        planes = list(shaped.planes)
        if self._wanted.format == "y800":
            planes = planes[:1]
        elif self._wanted.format == "planar-rgb":
            planes = [planes[2], planes[0], planes[1]]
        height = self._wanted.height
        parts = []
        for number, plane in enumerate(planes):
            rows = height // 2 if self._wanted.format == "nv12" and number == 1 else height
            parts.append(self._pad(plane, rows))
        return b"".join(parts)

    def _pad(self, plane: Any, rows: int) -> bytes:
        pitch, line = self._wanted.pitch, plane.line_size
        data = memoryview(plane).cast("B")
        if line == pitch:
            return bytes(data[: rows * pitch])
        used = min(self._wanted.width * (3 if self._wanted.format == "rgb" else 1), line, pitch)
        padding = bytes(pitch - used)
        return b"".join(bytes(data[row * line : row * line + used]) + padding for row in range(rows))

    def _encode(self, shaped: Any) -> tuple[bytes, int, int]:
        if self._wanted.format == "jpeg":
            # A picture that stands alone has an encoder of its own, so that nothing is kept back.
            data = b"".join(bytes(packet) for packet in self._make_encoder("mjpeg").encode(shaped))
            return data, _TYPES["jpeg"], -1
        if self._encoder is None:
            self._encoder = self._make_encoder("libx264")
        group = self._wanted.group
        key = self.key_wanted or (group > 0 and self._since_key >= group)
        self.key_wanted = False
        self._since_key = 1 if key else self._since_key + 1
        shaped.pict_type = self._av.video.frame.PictureType.I if key else self._av.video.frame.PictureType.P
        data = b"".join(bytes(packet) for packet in self._encoder.encode(shaped))
        return data, _IDR if key else _P, _slice(data) if key else 0

    def _make_encoder(self, name: str) -> Any:
        wanted = self._wanted
        encoder = self._av.CodecContext.create(name, "w")
        encoder.width, encoder.height = wanted.width, wanted.height
        encoder.pix_fmt = _PIXELS[wanted.format]
        encoder.time_base = Fraction(1, 1000)
        encoder.framerate = Fraction(wanted.framerate).limit_denominator(1000)
        if name == "libx264":
            encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1", "bf": "0"}
            encoder.options = {**encoder.options, "x264-params": "keyint=infinite:scenecut=0:repeat-headers=1"}
        else:
            encoder.qmin = encoder.qmax = 2 + (100 - wanted.quality) * 29 // 100
        encoder.thread_count = 1
        encoder.open()
        return encoder


def _slice(data: bytes) -> int:
    """Return where the first slice of a key frame begins, its start code included."""
    at = 0
    while (at := data.find(b"\0\0\1", at)) >= 0:
        if data[at + 3] & 31 == 5:
            return at - 1 if at and data[at - 1] == 0 else at
        at += 3
    return -1
