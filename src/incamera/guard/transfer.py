"""Files that are copied between an app's folders on a device and this computer: the guard's verbs for them.

A file is named by a *root*, an absolute path that the guard opens safely, and a *path* below it, in which the guard
follows no link. With the root "/" it follows links: the user has asked for the whole device.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from incamera.errors import ConnectionLost, DeviceError, DeviceRefused, DeviceUnsuitable
from incamera.guard.answers import AnswerReader, keep_last_errors
from incamera.guard.failures import explain
from incamera.runtime.launcher.protocol import GUARD, Answer, ExitCode, Found, Resumed, Sending, Sent, Verb, Written
from incamera.transport.protocols import FileMissing, Program
from incamera.transport.session import in_time, run_program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from incamera.transport.protocols import Channel, Transport
    from incamera.transport.session import Session

A = TypeVar("A", bound=Answer)

MOST_ENTRIES = 100_000
# The guard may read a large file on a slow card before it answers.
SILENCE_SECONDS = 600.0
_ERROR_SECONDS = 2.0
_CHUNK = 1 << 16
_AGAIN = "type it again: it resumes where it stopped"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a device: *path* below *root*."""

    root: str
    path: str


class Sink(Protocol):
    """Where the bytes of a file of the device go. Its methods are called in a thread, one after the other."""

    @property
    def held(self) -> int:
        """How many bytes an interrupted copy has left."""

    def begin(self, offset: int, size: int) -> None:
        """The bytes from *offset* on follow, of *size* in all."""

    def add(self, data: bytes) -> None: ...

    def finish(self, digest: str, mode: int) -> None:
        """All bytes have arrived. Raises DeviceError unless *digest* is theirs."""


class Source(Protocol):
    """A file of this computer. Its methods are called in a thread, one after the other."""

    size: int
    digest: str
    executable: bool

    def begin(self, offset: int) -> None:
        """The device has the bytes before *offset*."""

    def take(self, limit: int) -> bytes:
        """Return the next bytes; b"" at the end."""


def look(session: Session, guard: str, root: str, path: str, *, deep: bool = False) -> list[Found]:
    """Return *path* itself, whose name is empty, and what is in it, sorted; with *deep*, all that is below it.

    Raises FileMissing, DeviceError.
    """
    return session.call(_look(session.transport, guard, root, path, deep))


async def _look(transport: Transport, guard: str, root: str, path: str, deep: bool) -> list[Found]:
    found: list[Found] = []
    async with _verb(transport, Program((guard, Verb.look, root, path, *(["deep"] if deep else [])))) as talk:
        while (answer := await in_time(transport, talk.answers.next(), SILENCE_SECONDS)) is not None:
            if not isinstance(answer, Found) or not is_safe_path(answer.path):
                raise DeviceError(f"the guard on {transport.device} answers {answer!r}, which is no file below {root}")
            found.append(answer)
            if len(found) > MOST_ENTRIES:
                raise DeviceError(f"{root}/{path} on {transport.device} has more than {MOST_ENTRIES} files")
        await talk.finish()
    if not found or found[0].path:
        raise DeviceError(f"the guard on {transport.device} says nothing about {root}/{path}")
    return [found[0], *sorted(found[1:], key=lambda entry: entry.path)]


def erase(session: Session, guard: str, root: str, path: str) -> None:
    """Remove *path* and all below it; a link itself. Raises FileMissing, DeviceError."""
    program = Program((guard, Verb.erase, root, path))
    result = session.call(run_program(session.transport, program, timeout=SILENCE_SECONDS))
    require_success(session.transport, result.exit_code, result.error_text)


def read(session: Session, guard: str, file: RemoteFile, sink: Sink) -> None:
    """Copy a file of the device into *sink*, from the byte on that it lacks. Raises FileMissing, DeviceError.

    What *sink* holds is whole only when this returns.
    """
    session.call(_read(session.transport, guard, file, sink))


async def _read(transport: Transport, guard: str, file: RemoteFile, sink: Sink) -> None:
    offset = await asyncio.to_thread(lambda: sink.held)
    async with _verb(transport, Program((guard, Verb.read, file.root, file.path, str(offset)))) as talk:
        sending = await talk.require(Sending)
        if sending.offset not in (0, offset) or sending.offset > sending.size:
            raise DeviceError(f"the guard on {transport.device} sends {file.path} from the wrong byte on")
        await asyncio.to_thread(sink.begin, sending.offset, sending.size)
        left = sending.size - sending.offset
        while left:
            data = await in_time(transport, talk.answers.read_raw(min(left, _CHUNK)), SILENCE_SECONDS)
            if not data:
                await talk.finish()
                raise ConnectionLost(f"{transport.device} sent only a part of {file.path}", hint=_AGAIN)
            await asyncio.to_thread(sink.add, data)
            left -= len(data)
        digest = (await talk.require(Sent)).digest
        await talk.finish()
    await asyncio.to_thread(sink.finish, digest, sending.mode)


def write(session: Session, guard: str, file: RemoteFile, source: Source) -> None:
    """Copy *source* into a file of the device, which has its name only when it is whole. Raises DeviceError."""
    session.call(_write(session.transport, guard, file, source))


async def _write(transport: Transport, guard: str, file: RemoteFile, source: Source) -> None:
    words = [file.root, file.path, str(source.size), source.digest, *(["executable"] if source.executable else [])]
    async with _verb(transport, Program((guard, Verb.write, *words))) as talk:
        offset = (await talk.require(Resumed)).offset
        if offset > source.size:
            raise DeviceError(f"the guard on {transport.device} asks for {file.path} from the wrong byte on")
        await asyncio.to_thread(source.begin, offset)
        while data := await asyncio.to_thread(source.take, _CHUNK):
            await in_time(transport, talk.channel.write(data), SILENCE_SECONDS)
        await talk.channel.write_eof()
        await talk.require(Written)
        await talk.finish()


class _Talk:
    """A verb that runs: its channel and its answers."""

    def __init__(self, transport: Transport, channel: Channel) -> None:
        self.transport = transport
        self.channel = channel
        self.answers = AnswerReader(channel, transport.device)
        self._errors = bytearray()
        self.reading = asyncio.create_task(keep_last_errors(channel, self._errors))

    async def require(self, class_: type[A]) -> A:
        """Return the next answer, of that class. Raises the error of a guard that has ended."""
        answer = await in_time(self.transport, self.answers.next(), SILENCE_SECONDS)
        if answer is None:
            await self.finish()
        if not isinstance(answer, class_):
            raise DeviceError(f"the guard on {self.transport.device} answered {answer!r}")
        return answer

    async def finish(self) -> None:
        """Raises the error of a guard that has failed."""
        code = await in_time(self.transport, self.channel.wait(), SILENCE_SECONDS)
        if code:
            await asyncio.wait([self.reading], timeout=_ERROR_SECONDS)
        require_success(self.transport, code, self._errors.decode("utf-8", "replace"))


@asynccontextmanager
async def _verb(transport: Transport, program: Program) -> AsyncIterator[_Talk]:
    talk = _Talk(transport, await transport.start(program))
    try:
        yield talk
    finally:
        talk.reading.cancel()
        await talk.channel.close()


def is_safe_path(path: str) -> bool:
    """Whether *path* is relative and leads nowhere else: "" or names with slashes between."""
    return not path or all(part not in ("", ".", "..") for part in path.split("/"))


def require_success(transport: Transport, code: int, message: str) -> None:
    """Raises the error for a guard that ended with *code* and *message*."""
    message = message.strip().removeprefix(f"{GUARD}: ")
    device = transport.device
    match code:
        case 0:
            return
        case ExitCode.not_found:
            raise FileMissing(f"{message} on {device}", hint="`incamera ls` shows what is there")
        case ExitCode.no_space:
            raise DeviceUnsuitable(
                f"{device}: {message}", hint="remove something there with `incamera rm`, or choose another place"
            )
        case ExitCode.interrupted:
            raise ConnectionLost(f"the connection to {device} was lost", hint="type it again: it resumes")
        case ExitCode.damaged:
            raise DeviceError(f"{device}: {message}", hint="did the file change meanwhile? Type it again")
        case ExitCode.taken | ExitCode.unreachable:
            raise explain(transport, code, message, "the folder")
        case ExitCode.failed if "ermission denied" in message:
            raise DeviceRefused(f"{device}: {message}", hint="the login's user may not do that")
    raise DeviceError(f"{device}: {message or f'exit code {code}'}")
