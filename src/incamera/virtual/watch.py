"""Waiting in the supervisor of a virtual camera, which has one thread for all that it does."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from incamera.errors import DeviceError
from incamera.virtual.monitor import QemuCrashed

if TYPE_CHECKING:
    from incamera.virtual.camera_port import CameraPort
    from incamera.virtual.console_log import ConsoleLog
    from incamera.virtual.host_line import HostLine


class Stop(BaseException):
    """The supervisor ends without an error: because of a signal, or since the starter or the owner has ended."""


class StarterGone(Stop):
    """The starter was killed, so it does not clean up."""


class Ends(StrEnum):
    """The processes whose end ends a wait."""

    starter = "starter"
    owner = "owner"
    qemu = "qemu"


class Watch:
    """Waits for descriptors. Meanwhile, it writes what the camera prints, passes on what goes through its ports, and
    starts the processes that run its models and read its video.

    `processes`: descriptors that can be read when a process ends, or when the starter says something.
    """

    def __init__(self) -> None:
        self.processes: dict[int, Ends] = {}
        self.console: ConsoleLog | None = None
        self.ports: list[CameraPort] = []
        self.host_lines: list[HostLine] = []
        self._deadline: float | None = None
        self._timeout = 0.0

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let the waits of the block take *seconds* at most, all together; then they raise DeviceError."""
        before = self._deadline, self._timeout
        self._deadline, self._timeout = time.monotonic() + seconds, seconds
        try:
            yield
        finally:
            self._deadline, self._timeout = before

    def wait(self, descriptor: int) -> None:
        """Wait until *descriptor* can be read.

        Raises DeviceError when the time is up, QemuCrashed when QEMU has ended, Stop when the supervisor is to end.
        """
        while not self.poll(descriptor):
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise DeviceError(f"the camera did not answer within {self._timeout:.0f} s")

    def poll(self, *descriptors: int, until: float | None = None) -> set[int]:
        """Wait once, at the latest until the time *until*, and return which of *descriptors* can be read.

        Returns none when something else has happened. Raises as `wait` does.
        """
        poll = select.poll()
        passing_on: list[CameraPort | HostLine] = [*self.ports, *self.host_lines]
        for one in passing_on:
            one.register(poll)
        for descriptor in (*self.processes, *descriptors):
            poll.register(descriptor, select.POLLIN)
        if self.console is not None:
            poll.register(self.console, select.POLLIN)
        ends = [end for end in (until, self._deadline) if end is not None]
        ready = {ready for ready, _ in poll.poll(max(0, min(ends) - time.monotonic()) * 1000 if ends else None)}
        if self.console is not None and self.console.fileno() in ready and not self.console.take():
            self.console = None
        found = ready.intersection(descriptors)
        for descriptor in ready - found:
            if what := self.processes.get(descriptor):
                _raise_end(what, descriptor)
            any(one.handle(descriptor) for one in passing_on)
        if found and self._deadline is not None and time.monotonic() > self._deadline:
            raise DeviceError(f"the camera did not answer within {self._timeout:.0f} s")
        return found


def _raise_end(what: Ends, descriptor: int) -> None:
    if what is Ends.qemu:
        raise QemuCrashed("QEMU ended")
    if what is Ends.starter and not os.read(descriptor, 64):
        raise StarterGone
    raise Stop
