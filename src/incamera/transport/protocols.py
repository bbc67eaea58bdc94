"""What the device room asks of a way to reach a camera, so that there can be others than SSH."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from incamera.transport.device import Device


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command on the device left behind. A command killed by signal N has the exit code 128 + N."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")

    @property
    def error_text(self) -> str:
        return self.stderr.decode("utf-8", "replace").strip()


@dataclass(frozen=True, slots=True)
class Terminal:
    """The terminal that a command on the device shall believe it has."""

    kind: str
    columns: int
    rows: int


class Channel(Protocol):
    """One command that runs on the device. Every method raises ConnectionLost when the connection is."""

    async def read(self, limit: int) -> bytes:
        """Return what the command printed, as soon as there is any; nothing at its end. Unread output makes it wait."""

    async def read_error(self, limit: int) -> bytes:
        """The same of its standard error."""

    async def read_line(self) -> bytes:
        """Return one line with its end, or what there is before the end of the output."""

    async def write(self, data: bytes) -> None:
        """Give the command *data* to read; waits while it has enough."""

    async def write_eof(self) -> None: ...

    def resize(self, columns: int, rows: int) -> None: ...

    async def wait(self) -> int:
        """Return the command's exit code (128 + N after signal N)."""

    async def close(self) -> None: ...


class Transport(Protocol):
    """One connection to a device, over which many commands can run at a time."""

    @property
    def device(self) -> Device: ...

    async def open(self, command: str, *, terminal: Terminal | None = None) -> Channel:
        """Start *command* in the device's shell."""

    async def close(self) -> None: ...
