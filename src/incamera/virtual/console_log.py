"""The file with what a virtual camera prints on its serial console: only the newest part, however much it prints."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

_MOST_BYTES = 1024 * 1024
_KEPT_BYTES = 64 * 1024
_CHUNK = 64 * 1024


class ConsoleLog:
    """Writes what comes from *connection* to the file *path*, which is never longer than 1 MiB."""

    def __init__(self, path: Path, connection: socket.socket) -> None:
        self._stream = path.open("w+b", buffering=0)
        self._connection = connection
        connection.setblocking(False)

    def fileno(self) -> int:
        return self._connection.fileno()

    def take(self) -> bool:
        """Write what has arrived; it does not wait. Returns False when nothing will come any more."""
        data = self._receive()
        if data:
            self._write(data)
        return data != b""

    def close(self) -> None:
        """Write all that QEMU, which has ended, has left."""
        while data := self._receive():
            self._write(data)
        self._stream.close()
        self._connection.close()

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # a full disk does not end the camera
            if self._stream.tell() + len(data) > _MOST_BYTES:
                self._stream.seek(-_KEPT_BYTES, os.SEEK_END)
                newest = self._stream.read()
                self._stream.seek(0)
                self._stream.truncate()
                self._stream.write(newest)
            self._stream.write(data)

    def _receive(self) -> bytes | None:
        """Return what has arrived: None when nothing has yet, b"" when nothing will any more."""
        try:
            return self._connection.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return b""
