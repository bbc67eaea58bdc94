"""Read the file of an upload (multipart/form-data) from its body, piece by piece."""

from __future__ import annotations

import re
from typing import BinaryIO

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;,"]{1,200}))', re.IGNORECASE)
_FILE_NAME = re.compile(rb'filename="?[^";\r\n]+', re.IGNORECASE)
_CHUNK = 1 << 16
_LONGEST_HEADER = 16 * 1024
_MOST_PARTS = 100


class BadUpload(ValueError):
    """The body is cut off, or is not what its content type says."""


def save_file(stream: BinaryIO, length: int, content_type: str, destination: BinaryIO) -> bool:
    """Write the first part with a file name in the *length* bytes of *stream* to *destination*.

    Returns whether there was one. All of the body is read. Raises BadUpload.
    """
    match = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or match is None:
        raise BadUpload("its content type names no boundary")
    mark = b"\r\n--" + (match[1] or match[2]).encode("latin-1", "replace")
    body = _Body(stream, length)
    # The first boundary begins the body, without a line end before it.
    body.buffer = b"\r\n"
    body.skip_to(mark)
    found = False
    for _ in range(_MOST_PARTS):
        if body.take(2) == b"--":
            body.drain()
            return found
        header = body.take_header()
        if not found and _FILE_NAME.search(header):
            found = True
            body.copy_to(mark, destination.write)
        else:
            body.skip_to(mark)
    raise BadUpload("it has too many parts")


class _Body:
    def __init__(self, stream: BinaryIO, length: int) -> None:
        self._stream = stream
        self._left = length
        self.buffer = b""

    def _fill(self) -> bool:
        data = self._stream.read(min(_CHUNK, self._left)) if self._left else b""
        if not data and self._left:
            raise BadUpload("it is cut off")
        self._left -= len(data)
        self.buffer += data
        return bool(data)

    def take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            if not self._fill():
                raise BadUpload("it is cut off")
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def take_header(self) -> bytes:
        """Return the header of a part; its content follows."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if len(self.buffer) > _LONGEST_HEADER:
                raise BadUpload("the header of a part is too long")
            if not self._fill():
                raise BadUpload("it is cut off")
        header, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
        return header

    def skip_to(self, mark: bytes) -> None:
        self.copy_to(mark, lambda _: None)

    def copy_to(self, mark: bytes, write: object) -> None:
        """Write what comes before *mark*, which is taken, too."""
        assert callable(write)
        while (place := self.buffer.find(mark)) < 0:
            safe = len(self.buffer) - len(mark) + 1
            if safe > 0:
                write(self.buffer[:safe])
                self.buffer = self.buffer[safe:]
            if not self._fill():
                raise BadUpload("it is cut off")
        write(self.buffer[:place])
        self.buffer = self.buffer[place + len(mark) :]

    def drain(self) -> None:
        self.buffer = b""
        while self._fill():
            self.buffer = b""
