"""A client of QEMU's monitor protocol (QMP) over a connected socket."""

from __future__ import annotations

import json
import re
import select
import socket
from collections.abc import Callable
from typing import Any

from incamera.errors import DeviceError
from incamera_agent.wire.frames import load_json

# The longest answer lists the properties of a machine.
_LONGEST_LINE = 4 << 20
# QEMU has fewer kinds of them.
_MOST_EVENTS = 1000

# Waits until the descriptor can be read. Raises when it never will be.
Waiter = Callable[[int], None]


class QemuCrashed(DeviceError):
    """QEMU has ended by itself."""


class Monitor:
    """A QMP session on *connection*. Raises QemuCrashed when QEMU closes it, and what *wait* raises."""

    def __init__(self, connection: socket.socket, wait: Waiter) -> None:
        self._connection = connection
        self._wait = wait
        self._buffer = b""
        self._number = 0
        self._events: dict[str, dict[str, Any]] = {}
        self._receive()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, *, descriptor: int | None = None, **arguments: object) -> Any:
        """Return QEMU's answer to *command*. Raises DeviceError when QEMU answers with an error.

        *descriptor* is sent with the command.
        """
        self._number += 1
        message = json.dumps({"execute": command, "arguments": arguments, "id": self._number}).encode() + b"\n"
        try:
            if descriptor is None:
                self._connection.sendall(message)
            else:
                socket.send_fds(self._connection, [message], [descriptor])
        except OSError:
            raise QemuCrashed("QEMU closed its monitor") from None
        while True:
            answer = self._receive()
            if answer.get("id", self._number) != self._number:
                continue  # the late answer to an earlier command
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                error = answer["error"]
                why = error.get("desc", error) if isinstance(error, dict) else error
                raise DeviceError(f"QEMU refused {command}: {str(why)[:1000]}")

    def execute_hmp(self, line: str) -> str:
        """Return the answer to a *line* for the human monitor (HMP), which has commands that QMP has not."""
        answer = self.execute("human-monitor-command", **{"command-line": line})  # type: ignore[arg-type]
        if not isinstance(answer, str):
            raise DeviceError(f"QEMU did not answer `{line}` with a text")
        return answer

    def query_status(self, command: str) -> str:
        """Return the `status` in the answer to *command*, an empty text where there is none."""
        answer = self.execute(command)
        return str(answer.get("status") or "") if isinstance(answer, dict) else ""

    def wait_for_event(self, name: str) -> None:
        """Wait until QEMU has sent the event *name*, now or earlier."""
        while name not in self._events:
            self._receive()

    def fileno(self) -> int:
        return self._connection.fileno()

    def take_events(self) -> None:
        """Take the events that have arrived; it does not wait. Raises QemuCrashed when QEMU has closed the monitor."""
        try:
            while select.select([self._connection], [], [], 0)[0]:
                self._read()
        finally:
            while b"\n" in self._buffer:
                self._parse_line()

    def find_event(self, name: str) -> dict[str, Any] | None:
        """Return the data of the newest event *name* that was taken, None if there was none."""
        return self._events.get(name)

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            self._wait(self._connection.fileno())
            self._read()
        return self._parse_line()

    def _read(self) -> None:
        try:
            data = self._connection.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise QemuCrashed("QEMU closed its monitor")
        self._buffer += data
        if len(self._buffer) > _LONGEST_LINE:
            raise DeviceError("QEMU's monitor sends an answer without an end")

    def _parse_line(self) -> dict[str, Any]:
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            answer = load_json(line)
        except ValueError as error:
            raise DeviceError(f"QEMU's monitor sent an answer that is not JSON: {error}") from None
        if not isinstance(answer, dict):
            raise DeviceError("QEMU's monitor sent an answer that is not an object")
        if isinstance(event := answer.get("event"), str) and len(self._events) < _MOST_EVENTS:
            data = answer.get("data")
            self._events[event] = data if isinstance(data, dict) else {}
        return answer


def parse_forwarded_port(usernet: str, guest_port: int) -> int:
    """Return the host's port that is forwarded to *guest_port*, from the output of `info usernet`.

    Raises DeviceError when there is none.
    """
    # Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
    for line in usernet.splitlines():
        match = re.match(r"\s*TCP\[HOST_FORWARD]\s+\S+\s+127\.0\.0\.1\s+(\d{1,5})\s+\S+\s+(\d{1,5})\s", line)
        if match and int(match[2]) == guest_port:
            return int(match[1])
    raise DeviceError(f"QEMU forwards no port to the virtual camera's port {guest_port}: {usernet.strip()}")
