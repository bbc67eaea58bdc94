"""A line to the camera's service, as its libraries open one: shared/line.h has the same in C."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Self

HELLO, VERSION = 1, 1
CREATE, LIST, INFO, WATCH = 16, 28, 29, 27
_HEAD = struct.Struct("=Ii")
_MOST_BYTES, _MOST_FDS = 32768, 128


class Line:
    """A client of the service."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.socket.connect(str(path))
        except BaseException:
            self.socket.close()
            raise
        self.socket.settimeout(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, kind: int, code: int = 0, data: bytes = b"", fds: Sequence[int] = ()) -> None:
        socket.send_fds(self.socket, [_HEAD.pack(kind, code) + data], fds)

    def receive(self) -> tuple[int, int, bytes, list[int]] | None:
        """Return kind, code, content and descriptors of the next message; None when the line has ended."""
        try:
            data, fds, _, _ = socket.recv_fds(self.socket, _HEAD.size + _MOST_BYTES, _MOST_FDS)
        except ConnectionError:
            return None
        if not data:
            return None
        kind, code = _HEAD.unpack_from(data)
        return kind, code, data[_HEAD.size :], fds

    def hello(self, engine: str, version: int = VERSION) -> bool:
        self.send(HELLO, version, engine.encode())
        return self.receive() is not None


def setting(name: str, value: int | bytes, kind: int = 2) -> bytes:
    """Return a value of a map, as a message of libvdostream has it."""
    data = value if isinstance(value, bytes) else struct.pack("=q", value)
    whole = struct.pack("=BBH", kind, len(name), len(data)) + name.encode() + data
    return whole + bytes(-len(whole) % 4)


def create(
    snapshot: int = 0,
    pitch_step: int = 1,
    has_fit: int = 0,
    buffers: int = 0,
    is_vmem: int = 0,
    *,
    settings: bytes = b"",
) -> bytes:
    """Return the content of a CREATE."""
    return struct.pack("=6I", snapshot, pitch_step, has_fit, buffers, is_vmem, 0) + settings
