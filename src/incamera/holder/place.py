"""The holder's folder in the store, with its socket: made and opened so that no other user can use or replace it."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

from incamera.errors import StoreError

LOG = "log"
# Whose code a holder runs: another incamera, or another version of it, has a holder of its own.
_CODE = (Path(__file__).parent, Path(__file__).parent.parent / "transport")
_MODE = 0o700


class Place:
    """The open folder `<store>/holder`. Its path may be longer than a socket's may be: the descriptor is used instead.

    Raises StoreError where the folder is not ours alone, OSError where it cannot be made.
    """

    def __init__(self, store: Path) -> None:
        self.path = store / "holder"
        with suppress(FileExistsError):
            self.path.mkdir(_MODE)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._folder = os.open(self.path, flags)
        except OSError as error:
            raise _not_ours(self.path, error.strerror or "it cannot be opened") from error
        status = os.fstat(self._folder)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            self.close()
            raise _not_ours(self.path, "other users can enter it")
        self._name = _holder_name()
        self.lock = f"lock-{self._name}"

    def close(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    @property
    def address(self) -> str:
        """A short path of the socket, for as long as this object is open."""
        return f"/proc/self/fd/{self._folder}/socket-{self._name}"

    def open_file(self, name: str, flags: int) -> int:
        """Open a file of the folder, which is made with mode 0600. Raises OSError."""
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=self._folder)

    def remove_socket(self) -> None:
        """Remove the socket. Raises OSError."""
        os.unlink(f"socket-{self._name}", dir_fd=self._folder)

    def connect(self) -> socket.socket | None:
        """Return a connection to the holder, None where none answers. Raises StoreError where another user does."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.connect(self.address)
        except OSError:
            connection.close()
            return None
        if peer_user(connection) != os.geteuid():
            connection.close()
            raise _not_ours(self.path, "another user's program answers there")
        return connection


def _holder_name() -> str:
    """Return a digest of which incamera this is, its path and when its files were written, and of its network.

    A holder in another network namespace reaches other cameras, or none.
    """
    files = [entry for folder in _CODE for entry in os.scandir(folder) if entry.name.endswith(".py")]
    states = sorted((file.path, file.stat().st_mtime_ns) for file in files)
    network = 0
    with suppress(OSError):  # only Linux has them
        network = Path("/proc/self/ns/net").stat().st_ino
    return hashlib.sha256(repr((network, states)).encode()).hexdigest()[:12]


def peer_user(connection: socket.socket) -> int:
    """Return the number of the user whose process is at the other end."""
    return _peer(connection)[1]


def peer_process(connection: socket.socket) -> int:
    """Return the number of the process that listens at the other end."""
    return _peer(connection)[0]


def _peer(connection: socket.socket) -> tuple[int, int, int]:
    size = struct.calcsize("3i")
    pid, user, group = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return pid, user, group


def _not_ours(path: Path, reason: str) -> StoreError:
    return StoreError(f"{path} is not safe: {reason}", hint=f"remove it: rm -r {path}")
