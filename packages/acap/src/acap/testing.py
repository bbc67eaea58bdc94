"""For the tests of an app: a camera that shows known pictures, in pytest or anywhere else.

    @pytest.fixture
    def doorway():
        dark, bright = (np.full((180, 320), level, np.uint8) for level in (20, 200))
        with acap.testing.scene(dark, dark, bright) as scene:
            yield scene

    def test_light_is_seen(doorway):
        assert list(app.brightness()) == [20, 20, 200]

It needs PyAV: `pip install 'acap[desk]'`. No camera takes part.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from . import video
from .errors import FormatError

__all__ = ["Scene", "scene"]


def scene(*pictures: Any, framerate: float = 30.0) -> Scene:
    """Return a camera that shows *pictures*, to be used in a `with` statement.

    A picture is an array of uint8, of shape (height, width) for the brightness as it is in `frame.y`, or (height,
    width, 3) for red, green and blue; or the path of a picture or a video, all of whose pictures are shown.

    Each stream gets all of them, each once and none left out, and its loop then ends. Nothing waits for the time to
    pass: *framerate* counts for the frames' times only. A picture of another size than the stream's is scaled.

    Raises FormatError for an array of another shape or kind, SourceFailed, LibraryMissing.
    """
    return Scene(pictures, framerate)


class Scene:
    """What `scene` returns."""

    def __init__(self, pictures: Sequence[Any], framerate: float) -> None:
        if not pictures:
            raise ValueError("a scene needs at least one picture")
        if not framerate > 0:
            raise ValueError(f"a frame rate must be positive, not {framerate}")
        self._pictures = [frame for picture in pictures for frame in _frames_of(picture)]
        self._framerate = framerate

    def __len__(self) -> int:
        """How many frames a stream gets."""
        return len(self._pictures)

    def __enter__(self) -> Self:
        from .desk.scene import SceneCamera

        self._before = video.replace_camera(SceneCamera(self._pictures, self._framerate))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        video.replace_camera(self._before)


def _frames_of(picture: Any) -> list[Any]:
    """Return PyAV's frames of one argument of `scene`."""
    from .desk.sources import pyav, read_all

    if isinstance(picture, (str, os.PathLike)):
        return read_all(os.fspath(picture))
    av = pyav()
    shape, kind = getattr(picture, "shape", None), str(getattr(picture, "dtype", ""))
    if shape is None or kind != "uint8":
        what = kind or type(picture).__name__
        raise FormatError(f"a picture must be an array of uint8 or a path, not {what}")
    if len(shape) == 3 and shape[2] == 3:
        return [av.VideoFrame.from_ndarray(picture, format="rgb24")]
    if len(shape) != 2:
        raise FormatError(f"a picture has the shape (height, width) or (height, width, 3), not {tuple(shape)}")
    return [_gray(av, picture)]


def _gray(av: Any, picture: Any) -> Any:
    """Return a frame with the brightness of *picture*, and no color."""
    height, width = picture.shape
    frame = av.VideoFrame(width, height, "nv12")
    rows = [bytes(picture[row]) for row in range(height)]
    color = b"\x80" * (width + width % 2)
    for plane, lines in zip(frame.planes, (rows, [color] * ((height + 1) // 2)), strict=True):
        plane.update(b"".join(line.ljust(plane.line_size, b"\0") for line in lines))
    return frame
