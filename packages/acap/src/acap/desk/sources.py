"""Pictures out of a file, a folder, a webcam or a URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from ..errors import LibraryMissing, SourceFailed

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_ENDS = ", ".join(sorted(PICTURES))


class Pictures(Protocol):
    """What a stream's frames are made of."""

    rate: float
    """Pictures a second; 0 if any rate will do."""
    live: bool
    """Whether pictures come when they like."""

    def at(self, number: int, seconds: float) -> Any:
        """Return the picture for the frame *number*, *seconds* after the first; of a live source, the next one."""

    def close(self) -> None:
        """Close what was opened."""


def pyav() -> ModuleType:
    """Return PyAV's module. Raises LibraryMissing."""
    try:
        import av
    except ImportError as error:
        raise LibraryMissing(
            f"a video instead of a camera needs PyAV ({error})", hint="type `pip install 'acap[desk]'`"
        ) from error
    return av


def open_source(source: str) -> Pictures:
    """Open *source*: a path or a URL. Raises SourceFailed, LibraryMissing."""
    av = pyav()
    if "://" in source:
        return _Live(av, source, None)
    path = Path(source)
    if path.is_dir():
        return _Folder(av, path)
    if not path.exists():
        raise SourceFailed(f"there is no video or picture {source}")
    if path.is_char_device():
        return _Live(av, source, "v4l2")
    return _File(av, source)


@contextmanager
def _failures(av: Any, source: str) -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise SourceFailed(f"cannot use {source}: {error.strerror}") from error


def _open(av: Any, source: str, format: str | None = None) -> tuple[Any, Any]:
    """Return the container and its first stream of video."""
    with _failures(av, source):
        container = av.open(source, format=format)
    if not container.streams.video:
        container.close()
        raise SourceFailed(f"{source} has no video")
    return container, container.streams.video[0]


def read_all(source: str) -> list[Any]:
    """Return all pictures of a file. Raises SourceFailed, LibraryMissing."""
    av = pyav()
    container, stream = _open(av, source)
    try:
        with _failures(av, source):
            return list(container.decode(stream))
    finally:
        container.close()


class _File:
    """A video that is played again and again, or a picture."""

    live = False

    def __init__(self, av: Any, source: str) -> None:
        self._av, self._source = av, source
        self._container, self._stream = _open(av, source)
        self.rate = float(self._stream.average_rate or 0)
        self._frames = self._play()
        try:
            with _failures(av, source):
                self._current = next(self._frames)[1]
                self._next = next(self._frames, None)
        except BaseException:
            self.close()
            raise

    def _play(self) -> Iterator[tuple[float, Any]]:
        """Yield each picture, and when it is shown, in seconds after the first. A single picture comes once."""
        step = 1 / self.rate if self.rate else 1.0
        start = 0.0
        while True:
            first: float | None = None
            seconds, count = 0.0, 0
            for frame in self._container.decode(self._stream):
                time = frame.time if frame.time is not None else count * step
                first = time if first is None else first
                seconds = max(seconds, time - first)
                yield start + seconds, frame
                count += 1
            if count == 0:
                raise SourceFailed(f"{self._source} has no picture")
            if count == 1:
                self.rate = 0.0
                return
            start += seconds + step
            self._container.seek(0)

    def at(self, number: int, seconds: float) -> Any:
        with _failures(self._av, self._source):
            while self._next is not None and self._next[0] <= seconds + 1e-6:
                self._current = self._next[1]
                self._next = next(self._frames, None)
        return self._current

    def close(self) -> None:
        self._container.close()


class _Folder:
    """The pictures of a folder in the order of their names, each for one frame, again and again."""

    live = False
    rate = 0.0

    def __init__(self, av: Any, folder: Path) -> None:
        self._av = av
        self._paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
        if not self._paths:
            raise SourceFailed(f"the folder {folder} has no pictures", hint=f"they end in {_ENDS}")
        self._read(self._paths[0])

    def _read(self, path: Path) -> Any:
        picture = _File(self._av, str(path))
        frame = picture.at(0, 0)
        picture.close()
        return frame

    def at(self, number: int, seconds: float) -> Any:
        return self._read(self._paths[number % len(self._paths)])

    def close(self) -> None:
        pass


class _Live:
    """A webcam or a URL."""

    live = True

    def __init__(self, av: Any, source: str, format: str | None) -> None:
        self._av, self._source = av, source
        self._container, self._stream = _open(av, source, format)
        self.rate = float(self._stream.average_rate or 0)
        self._frames = self._container.decode(self._stream)

    def at(self, number: int, seconds: float) -> Any:
        with _failures(self._av, self._source):
            frame = next(self._frames, None)
        if frame is None:
            raise SourceFailed(f"{self._source} has ended")
        return frame

    def close(self) -> None:
        self._container.close()
