"""What the rest of the tool asks of a connection to a camera, so that something other than SSH can provide it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from incamera.transport.device import Device

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Program:
    """A program for the device to run.

    *arguments* are passed on as they are, as `execve` does: no shell reads them. The first one names the program.
    *environment* is added to the variables that the device sets; *folder* is the working directory. Raises ValueError
    for what no system call would accept.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None

    def __post_init__(self) -> None:
        if not self.arguments or not self.arguments[0]:
            raise ValueError("a program without a name")
        if any("\0" in text for text in (*self.arguments, *self.environment.values(), self.folder or "")):
            raise ValueError(f"a NUL in the arguments, the environment or the folder of {self.arguments[0]}")
        if wrong := [name for name in self.environment if not _VARIABLE.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is not a name of an environment variable")


@dataclass(frozen=True, slots=True)
class Script:
    """A POSIX shell script of ours, for what has to be done before the guard is on the device.

    Its arguments are `$1`, `$2` …: nothing is ever put into *text*.
    """

    name: str
    text: str

    def program(self, *arguments: str) -> Program:
        """Return the program that runs the script; in a list of processes it shows *name*."""
        return Program(("sh", "-c", self.text, f"incamera-{self.name}", *arguments))


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What a program on the device printed, and its exit code: 128 + N if signal N killed it."""

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
    """The terminal that a program on the device gets: the value of TERM, and its size in characters."""

    kind: str
    columns: int
    rows: int


class Channel(Protocol):
    """One program that runs on the device. Every method raises ConnectionLost once the connection is lost."""

    async def read(self, limit: int) -> bytes:
        """Return up to *limit* bytes of the standard output as soon as there are any; b"" at its end.

        The program has to wait while nobody reads what it prints.
        """

    async def read_error(self, limit: int) -> bytes:
        """Return up to *limit* bytes of the standard error as soon as there are any; b"" at its end."""

    async def read_line(self) -> bytes:
        """Return one line of the standard output with its end, or what there is before the end of the output."""

    async def write(self, data: bytes) -> None:
        """Send *data* to the standard input; waits until the device takes it. Ignored once the program has ended."""

    async def write_eof(self) -> None:
        """Close the standard input."""

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the program's terminal."""

    async def wait(self) -> int:
        """Return the program's exit code: 128 + N if signal N killed it."""

    async def close(self) -> None:
        """Stop listening. A program that is still running is not ended by this."""


class Transport(Protocol):
    """One connection to a device, over which many programs can run at a time."""

    @property
    def device(self) -> Device: ...

    async def start(self, program: Program, *, terminal: Terminal | None = None) -> Channel:
        """Start *program*. A program that is not there ends with 127, one that cannot be executed with 126."""

    async def close(self) -> None: ...
