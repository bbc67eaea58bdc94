"""Reads a video of this computer for a virtual camera, whose scene it is.

    python -P -m incamera.virtual.video_service FOLDER
    python -P -m incamera.virtual.video_service --describe SOURCE

Standard input is a socket, the line to the service of the camera's libraries (`stand_ins/engines/vdo/video.c`). FOLDER
is the camera's, where `scene.json` names the video. The process ends with the line. A video may be anything: so it is
read here, apart from all else, with limits of memory and time. With --describe, it prints what SOURCE is, as JSON.

The other side greets first, with GREETING and eight bytes of its own, which come back. What came before is the rest of
something that was cut off, and is passed over. Nothing is sent unasked but `host_line.RESET`, when the process was
started anew: the other side greets again then. Then it asks for pictures, one at a time. All numbers are little-endian.

    request: number of the scene, format (u32 each), time in microseconds (u64), across, left, width, height, pitch, 0
      (u32 each)
    answer: 0, or 1 for an error (u32), 0 (u32), size (u64), and the picture, or a text
"""

from __future__ import annotations

import json
import resource
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from incamera.virtual.agreed import SCENE, SCENE_FAILED
from incamera.virtual.host_process import Gone, Line, limit, own_line, time_limit
from incamera.virtual.video_source import FORMATS, BadVideo, Film, Folder, View, open_source, opened, render

GREETING = b"incamera video 1\0"
_REQUEST = struct.Struct("<IIQIIIIII")
_ANSWER = struct.Struct("<IIQ")
_MOST_SIDE = 4096
_MOST_PITCH = 4 * 8192
_MOST_RENDERED = 8
_LONGEST_TEXT = 1000
_MOST_MEMORY = 4 << 30
_MOST_SECONDS = 20
_MOST_LOG = 1 << 20


class Scene:
    """The video of one number of `scene.json` in *folder*. It begins with the first picture that is asked for."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self._begin: int | None = None
        self._frame: Any = None
        self._rendered: dict[View, bytes] = {}
        self._source: Film | Folder = open_source(_load_pyav(), _chosen(folder, number))

    def picture(self, microseconds: int, view: View) -> bytes:
        """Return the picture of the camera's time *microseconds*. Raises BadVideo."""
        if self._begin is None:
            self._begin = microseconds
        frame = self._source.at(max(0, microseconds - self._begin) / 1_000_000)
        if frame is not self._frame or len(self._rendered) >= _MOST_RENDERED:
            self._frame, self._rendered = frame, {}
        if view not in self._rendered:
            self._rendered[view] = render(frame, self._source.aspect, view)
        return self._rendered[view]

    def close(self) -> None:
        self._source.close()


class Service:
    """The pictures of one line, with the camera's *folder*."""

    def __init__(self, line: Line, folder: Path) -> None:
        self._line = line
        self._folder = folder
        self._scene: Scene | None = None

    def serve(self) -> None:
        """Answer requests until the line is closed. Raises Gone."""
        self._line.greet(GREETING)
        while True:
            number, format, microseconds, *numbers, _ = _REQUEST.unpack(
                self._line.receive_head(_REQUEST.size, GREETING)
            )
            view = _view(format, *numbers)
            try:
                with time_limit(_MOST_SECONDS):
                    picture = self._picture(number, microseconds, view)
            except BadVideo as error:
                self._note_failure(number, str(error))
                text = str(error).encode()[:_LONGEST_TEXT]
                self._line.send(_ANSWER.pack(1, 0, len(text)), text)
            else:
                self._line.send(_ANSWER.pack(0, 0, len(picture)), picture)

    def _picture(self, number: int, microseconds: int, view: View) -> bytes:
        if self._scene is None or self._scene.number != number:
            self._close()
            self._scene = Scene(self._folder, number)
            with suppress(OSError):
                (self._folder / SCENE_FAILED).unlink()
        try:
            return self._scene.picture(microseconds, view)
        except BadVideo:
            self._close()
            raise

    def _close(self) -> None:
        if self._scene is not None:
            self._scene.close()
            self._scene = None

    def _note_failure(self, number: int, error: str) -> None:
        with suppress(OSError):
            (self._folder / SCENE_FAILED).write_text(json.dumps({"number": number, "error": error}))


def _view(format: int, across: int, left: int, width: int, height: int, pitch: int) -> View:
    """Return what a stream shows. Raises Gone for what none can."""
    good = (
        format in FORMATS
        and 0 < width <= _MOST_SIDE
        and 0 < height <= _MOST_SIDE
        and left + width <= across <= 2 * _MOST_SIDE
        and width * (3 if FORMATS[format] == "rgb24" else 1) <= pitch <= _MOST_PITCH
    )
    if not good:
        raise Gone
    return View(format, across, left, width, height, pitch)


def _chosen(folder: Path, number: int) -> Path:
    try:
        chosen = json.loads((folder / SCENE).read_bytes())
        if chosen["number"] == number:
            return Path(chosen["source"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise BadVideo("no video is chosen")


def _load_pyav() -> Any:
    """Return PyAV's module. Raises BadVideo."""
    try:
        import av  # lazy: it need not be there
    except ImportError as error:
        raise BadVideo(f"a video as the scene needs PyAV ({error})") from error
    return av


def _describe(path: Path) -> dict[str, Any]:
    try:
        import av  # lazy: it need not be there
    except ImportError as error:
        return {"missing": str(error)}
    try:
        with opened(av, path) as source:
            return {
                "width": source.width,
                "height": source.height,
                "rate": source.rate if source.seconds is not None else None,
                "seconds": source.seconds,
            }
    except BadVideo as error:
        return {"error": str(error)}


def main() -> int:
    limit(resource.RLIMIT_AS, _MOST_MEMORY)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, _MOST_LOG)
    if sys.argv[1] == "--describe":
        with time_limit(_MOST_SECONDS):
            sys.stdout.write(json.dumps(_describe(Path(sys.argv[2]))))
        return 0
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the app
    with suppress(Gone):
        Service(own_line(), Path(sys.argv[1])).serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
