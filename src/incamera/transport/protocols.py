"""What the rest of the tool asks of a connection to a camera, so that something other than SSH can provide it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from incamera.errors import DeviceError, DeviceUnsuitable, UsageError
from incamera_agent.wire.protocol import signal_exit_code

if TYPE_CHECKING:
    from incamera.transport.device import Device

_SHOWN_BYTES = 4000
_SHOWN_LINES = 20
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class FileMissing(DeviceError):
    """The device has no such file."""


class FileTooLarge(DeviceError):
    """The file on the device is larger than whoever asked for it can use."""


class NoSpaceLeft(DeviceUnsuitable):
    """The device has no space left for a file."""


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
        """The end of the standard error: no more of it than a message can show."""
        text = self.stderr[-_SHOWN_BYTES:].decode("utf-8", "replace").strip()
        return "\n".join(text.splitlines()[-_SHOWN_LINES:])


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

        The program has to wait while nobody reads what it prints. A connection that is closed meanwhile may look like
        the end: then `wait` raises ConnectionLost.
        """

    async def read_error(self, limit: int) -> bytes:
        """Return up to *limit* bytes of the standard error as soon as there are any; b"" at its end."""

    async def write(self, data: bytes) -> None:
        """Send *data* to the standard input; waits until the device takes it. Ignored once the program has ended."""

    async def write_eof(self) -> None:
        """Close the standard input."""

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the program's terminal."""

    async def wait(self) -> int:
        """Return the program's exit code: 128 + N if signal N killed it."""

    async def close(self) -> None:
        """Stop listening. Whether a program that is still running ends with it depends on the device."""


def check_path(path: str) -> str:
    """Return *path*. Raises ValueError unless it is the absolute path of a file."""
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError(f"{path!r} is not the absolute path of a file")
    return path


@dataclass(frozen=True, slots=True)
class Addresses:
    """The IP addresses of both ends of a connection as the device sees them; empty where it doesn't tell."""

    host: str = ""
    device: str = ""


class Forward(Protocol):
    """A port of this computer that leads to one of the device's."""

    @property
    def port(self) -> int:
        """The port on this computer's loopback address."""

    async def close(self) -> None:
        """Accept no more connections; those that are open stay."""


Ready = Callable[[], Awaitable[bool]]
"""Waits until something on the device is ready, and tells whether it is."""


class Transport(Protocol):
    """One connection to a device, over which many programs can run at a time.

    Every method raises ConnectionLost once the connection is lost or closed. Paths on the device are absolute; another
    one is a ValueError.
    """

    @property
    def device(self) -> Device: ...

    @property
    def is_local(self) -> bool:
        """Whether the device is on this computer, so that nothing is gained by compressing what is sent."""

    @property
    def guard_path(self) -> str | None:
        """The path of the guard on a device that has it installed; None: the host has to bring it."""

    async def start(self, program: Program, *, terminal: Terminal | None = None) -> Channel:
        """Start *program*. A program that is not there ends with 127, one that cannot be executed with 126."""

    async def put(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Write the file *path*, whole or not at all; its folder must be there. A power cut then does not lose it.

        Raises NoSpaceLeft, DeviceError.
        """

    async def get(self, path: str, *, limit: int) -> bytes:
        """Return the content of the file *path*, which may be one of /proc. Raises FileMissing, DeviceError.

        Raises FileTooLarge when it has more than *limit* bytes; with a limit of 0 that tells whether it is there.
        """

    async def get_all(self, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
        """Return those files of *paths* that can be read, in few round trips; links are followed.

        Raises FileTooLarge when they have more than *limit* bytes in all, DeviceError.
        """

    async def forward(self, remote_port: int, *, local_port: int, until_ready: Ready) -> Forward:
        """Have *local_port* (0: any that is free) of our loopback lead to *remote_port* of the device's.

        Nobody needs to listen there yet: a connection waits until *until_ready* returns True, and is refused at False.
        Raises UsageError when *local_port* is taken, DeviceError when the device does not allow it.
        """

    async def addresses(self) -> Addresses: ...

    async def check_channels(self) -> None:
        """Raises DeviceError unless the device runs as many programs at a time as a run needs."""

    async def close(self) -> None: ...


@runtime_checkable
class FeedsEarly(Protocol):
    """What a transport may offer besides: input is sent with the program, without waiting for it to start."""

    async def start_fed(self, program: Program, data: bytes, *, whole: bool) -> tuple[Channel, bool]:
        """Start *program*, of whose standard input *data* is the beginning, with *whole* all of it.

        Returns its channel, and whether the input has been sent. Otherwise it can be written as always.
        """


async def start_fed(transport: Transport, program: Program, data: bytes, *, whole: bool) -> tuple[Channel, bool]:
    """What `FeedsEarly.start_fed` does, over any transport."""
    if isinstance(transport, FeedsEarly):
        return await transport.start_fed(program, data, whole=whole)
    return await transport.start(program), False


# What every transport says in the same words


def exit_code_of(returncode: int) -> int:
    """Return the exit code for what Python calls a return code: -N after signal N, for which a shell has 128 + N."""
    return returncode if returncode >= 0 else signal_exit_code(-returncode)


def missing(device: Device, path: str) -> FileMissing:
    """Return the error for a file that is not there."""
    return FileMissing(f"there is no {path} on {device}")


def too_large(device: Device, path: str, limit: int) -> FileTooLarge:
    """Return the error for a file of more than *limit* bytes."""
    return FileTooLarge(f"{path} on {device} is larger than {limit} bytes")


def write_error(device: Device, path: str, message: str) -> DeviceError:
    """Return the error for a file that could not be written, *message* being what the device said."""
    if "No space left" in message:
        return NoSpaceLeft(
            f"{device} has no space left for {path}", hint="remove something there, or choose another place"
        )
    return DeviceError(f"cannot write {path} on {device}: {message}")


def port_taken(port: int, error: OSError) -> UsageError:
    """Return the error for a port of this computer that cannot be listened at."""
    return UsageError(
        f"port {port} on this computer cannot be used: {error.strerror}", hint="choose another with --port"
    )
