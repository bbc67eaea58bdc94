"""The log of a build: a file that gets what the build prints, of which the middle may be left out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from incamera import proc
from incamera.units import format_bytes

# Of a log, so many bytes from its beginning and from its end are kept.
_LOG_HEAD, _LOG_TAIL = 8 << 20, 8 << 20
_SHOWN_LINES = 25
# Where its last lines are looked for.
_END_BYTES = 1 << 16


class BuildLog:
    """A file that gets what a build prints: the beginning and the end of it, if that is much."""

    def __init__(self, path: Path, argv: Sequence[str]) -> None:
        self.size = 0
        self._path = path
        self._first = proc.format_command(argv)
        self._head = 0
        self._tail: deque[bytes] = deque()
        self._kept = 0
        self._stream: IO[bytes]

    def __enter__(self) -> Self:
        self._stream = self._path.open("wb")
        self._stream.write(self._first)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left_out = self.size - self._head - self._kept
        with self._stream:
            if left_out:
                self._stream.write(f"\n… {format_bytes(left_out)} are left out here …\n".encode())
            self._stream.writelines(self._tail)

    def write(self, data: bytes) -> None:
        self.size += len(data)
        room = _LOG_HEAD - self._head
        self._head += self._stream.write(data[:room])
        if data := data[room:]:
            self._tail.append(data)
            self._kept += len(data)
            while self._kept - len(self._tail[0]) > _LOG_TAIL:
                self._kept -= len(self._tail.popleft())

    def end(self) -> bytes:
        """Return the last lines."""
        if not self._tail:
            self._stream.flush()
            with self._path.open("rb") as stream:
                stream.seek(max(len(self._first), stream.seek(0, os.SEEK_END) - _END_BYTES))
                data = stream.read()
        else:
            data = b"".join(self._tail)[-_END_BYTES:]
        return b"\n".join(data.splitlines()[-_SHOWN_LINES:])
