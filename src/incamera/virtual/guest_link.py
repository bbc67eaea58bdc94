"""The supervisor's end of the virtio port to a virtual camera. `data/link.sh` is the camera's end."""

from __future__ import annotations

import secrets
import struct
import time
from typing import TYPE_CHECKING

from incamera.errors import DeviceError
from incamera.virtual.monitor import QemuCrashed

if TYPE_CHECKING:
    import socket

    from incamera.virtual.monitor import Waiter

# What link.sh says is shorter.
_LONGEST_LINE = 4096
_LONGEST_USE = 200
_LONGEST_REASON = 1000
# On a busy computer, the camera may set its clock long after it was told the time. So it is told again.
_SLOW_WAKE_SECONDS = 1.0
_SLOW_CLOCK_SECONDS = 0.1
_CLOCK_TRIES = 3


class UpgradeRefused(DeviceError):
    """The camera was upgraded, and an app does not fit its new AXIS OS. The message names it."""


class GuestLink:
    """Requests to link.sh over *connection*. All methods raise QemuCrashed when QEMU closes it, and what *wait* raises.

    Raises DeviceError when the camera sends something else.
    """

    def __init__(self, connection: socket.socket, wait: Waiter) -> None:
        self._connection = connection
        self._wait = wait
        self._number = 0

    def wait_until_ready(self) -> None:
        while self._read_line() != "ready":
            pass

    def wake(self, host_name: str, mac: str, settings: str, devices: str) -> None:
        """Give the resumed camera time, names, random numbers and the *settings* of its web server, if it has one.

        *devices*: those of its chip, with commas between them, or "-".
        Its disks are mounted and its servers started then. Raises UpgradeRefused when an app does not fit its AXIS OS.
        """
        asked = time.monotonic()
        answer = self._ask("wake", _now(), host_name, mac, secrets.token_hex(64), settings, devices)
        if answer.startswith("refused "):
            raise UpgradeRefused("".join(filter(str.isprintable, answer.removeprefix("refused ")))[:_LONGEST_REASON])
        if answer != "awake":
            raise DeviceError("the camera did not wake up")
        if time.monotonic() - asked > _SLOW_WAKE_SECONDS:
            self.set_clock()

    def set_clock(self) -> None:
        """Put the camera's clock right. It is slow by the time that the camera takes for that."""
        for _ in range(_CLOCK_TRIES):
            asked = time.monotonic()
            self._ask("clock", _now())
            if time.monotonic() - asked < _SLOW_CLOCK_SECONDS:
                break

    def set_scene(self, number: int) -> None:
        """Have the camera see the video of the file SCENE, which has this number."""
        self._ask("scene", str(number))

    def find_use(self) -> str | None:
        """Return what uses the camera: a process that it did not start with, or a share. None if nothing does."""
        answer = "".join(filter(str.isprintable, self._ask("use")))[:_LONGEST_USE]
        return None if answer == "nothing" else answer

    def reboot(self) -> None:
        """Have the camera reboot; it does not wait for it."""
        self._send("reboot")

    def _ask(self, *words: str) -> str:
        self._send(*words)
        while True:
            number, _, answer = self._read_line().partition(" ")
            if number == str(self._number):  # and not the late answer to an earlier request
                return answer

    def _send(self, word: str, *arguments: str) -> None:
        self._number += 1
        try:
            self._connection.sendall(" ".join((word, str(self._number), *arguments)).encode() + b"\n")
        except OSError:
            raise QemuCrashed("QEMU closed the line to the camera") from None

    def _read_line(self) -> str:
        line = b""
        while not line.endswith(b"\n"):
            self._wait(self._connection.fileno())
            try:
                data = self._connection.recv(1)
            except ConnectionError:
                data = b""
            if not data:
                raise QemuCrashed("QEMU closed the line to the camera")
            line += data
            if len(line) > _LONGEST_LINE:
                raise DeviceError("the camera sends a line without an end")
        return line.decode("utf-8", "replace").strip()


def _now() -> str:
    """Return the time as a `struct timespec` in the notation of printf; both architectures are little-endian."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return "".join(f"\\{byte:03o}" for byte in struct.pack("<qq", seconds, nanoseconds))
