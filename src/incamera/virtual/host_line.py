"""The supervisor's part of a line between a virtual camera and a process of this computer, which it starts when needed.

There are two: `inference_service` runs the camera's models, `video_service` reads the video that it sees. QEMU listens
at a socket in the camera's folder. What connects there is the other end of the camera's virtio port. The supervisor
connects at once, and waits until the camera sends something. Then it starts the process, which gets the connection.
When the process ends, the camera sees the end of the line, and the supervisor connects anew.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, ToolFailed
from incamera.proc import minimal_environment, start_tied

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

# The head of an answer that there is not. The camera may have missed that the line was closed for a moment, and would
# wait for an answer of the process that has ended.
RESET = b"\xff" * 16


@dataclass(frozen=True, slots=True)
class HostProcess:
    """What is at the other end of a line: *module*. *name*: that of QEMU's socket in the camera's folder, of the virtio
    port, `incamera.NAME`, and of the log there.
    """

    name: str
    module: str
    purpose: str


INFERENCE = HostProcess("inference", "incamera.virtual.inference_service", "run models")
VIDEO = HostProcess("video", "incamera.virtual.video_service", "read a video")
HOST_PROCESSES = (INFERENCE, VIDEO)


class HostLine:
    """The line of one run of QEMU to *other*, which gets the camera's *folder* as its argument.

    *environment*: what a download needs of the user's.
    """

    def __init__(self, other: HostProcess, folder: Path, environment: Mapping[str, str]) -> None:
        self._other = other
        self._folder = folder
        self._environment = environment
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._process_end = -1

    def listen(self) -> socket.socket:
        """Return the socket that QEMU is to listen at."""
        (self._folder / self._other.name).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        with self._short() as path:
            listener.bind(path)
        listener.listen(1)
        return listener

    def connect(self) -> None:
        """Wait for the camera's first request. Raises DeviceError."""
        line = socket.socket(socket.AF_UNIX)
        try:
            with self._short() as path:
                line.connect(path)
        except OSError as error:
            line.close()
            raise DeviceError(f"QEMU does not take the line for {self._other.name}: {error}") from error
        self._line = line

    def register(self, poll: select.poll) -> None:
        """Add the descriptors that `handle` waits for."""
        if self._line is not None:
            poll.register(self._line, select.POLLIN)
        if self._process is not None:
            poll.register(self._process_end, select.POLLIN)

    def handle(self, descriptor: int) -> bool:
        """Do what can be done with a *descriptor* that is ready. Returns False when it belongs to others."""
        if self._process is not None and descriptor == self._process_end:
            self._end_process()
            with suppress(DeviceError, OSError):  # QEMU has ended, which others notice
                self.connect()
                assert self._line is not None
                self._line.send(RESET, socket.MSG_DONTWAIT)
        elif self._line is not None and descriptor == self._line.fileno():
            self._start()
        else:
            return False
        return True

    def _start(self) -> None:
        line, self._line = self._line, None
        assert line is not None
        with line:
            try:
                is_open = bool(line.recv(1, socket.MSG_PEEK))
            except OSError:
                is_open = False
            if not is_open:  # QEMU has ended
                return
            words = [sys.executable, "-P", "-m", self._other.module, str(self._folder)]
            log = self._folder / f"{self._other.name}.log"
            env = minimal_environment(**self._environment)
            try:
                self._process = start_tied(words, purpose=self._other.purpose, log=log, env=env, stdin=line.fileno())
            except ToolFailed:
                return  # the camera sees the end of the line
        self._process_end = os.pidfd_open(self._process.pid)

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            os.close(self._process_end)
            self._process = None

    def close(self) -> None:
        """End the process. QEMU has ended, or does soon."""
        self._end_process()
        if self._line is not None:
            self._line.close()
            self._line = None
        with suppress(OSError):
            (self._folder / self._other.name).unlink()

    @contextmanager
    def _short(self) -> Iterator[str]:
        """Yield a path of the socket that is short enough for the kernel, whatever the folder's is."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{descriptor}/{self._other.name}"
        finally:
            os.close(descriptor)
