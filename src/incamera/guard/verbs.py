"""What the guard can be asked to do, beside receiving bundles and supervising runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from incamera.errors import DeviceError
from incamera.guard.answers import AnswerReader, keep_last_errors, not_an_answer, read_answer
from incamera.guard.failures import NotSeen, explain
from incamera.guard.places import FOLDER
from incamera.runtime.launcher.protocol import (
    GUARD,
    OWN_FOLDER,
    Activated,
    Answer,
    Copied,
    ExitCode,
    Left,
    Measured,
    Mounted,
    Sample,
    Sockets,
    Tried,
    Verb,
)
from incamera.transport.protocols import Program
from incamera.transport.session import in_time, run_program

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from incamera.transport.protocols import Channel, ProgramResult, Transport
    from incamera.transport.session import Session

A = TypeVar("A", bound=Answer)

_TRIAL_SECONDS = 60.0
_MOUNT_SECONDS = 60.0
_LIST_SECONDS = 60.0
# To copy an app file by file, where hard links cannot be had.
_COPY_SECONDS = 120.0
# To unpack or read ahead what the bundle runs from.
_ACTIVATE_SECONDS = 120.0
# How long a share's client believes its cached attributes, by default.
_LOOK_SECONDS = 1.0


def try_images(session: Session, guard: str) -> Tried:
    """Have the kernel mount tiny images. *guard* is the path of the guard. Raises DeviceError, ConnectionLost."""
    return _require(session, Program((guard, Verb.try_images)), Tried, "try which images it mounts", _TRIAL_SECONDS)


def measure(session: Session, guard: str, folder: str, size: int) -> Measured:
    """Write *size* bytes to *folder* and read them again. Raises DeviceError, ConnectionLost."""
    program = Program((guard, Verb.measure, folder, str(size)))
    return _require(session, program, Measured, f"measure how fast {folder} is", _TRIAL_SECONDS)


def mount(session: Session, guard: str, *, kind: str, source: str, target: str, options: str) -> Mounted:
    """Mount a network share. *options* are not shown in lists of processes. Raises DeviceError, ConnectionLost."""
    program = Program((guard, Verb.mount, kind, source, target))
    return _require(session, program, Mounted, f"mount {source}", _MOUNT_SECONDS, input=f"{options}\n".encode())


def unmount(session: Session, guard: str, target: str) -> Mounted:
    """Unmount a network share, also one whose server is away. Raises DeviceError, ConnectionLost."""
    return _require(session, Program((guard, Verb.unmount, target)), Mounted, f"unmount {target}", _MOUNT_SECONDS)


def allow_exec(session: Session, guard: str, folder: str) -> Mounted:
    """Let programs run in *folder*, which is mounted noexec, until it is mounted again. Raises DeviceError."""
    program = Program((guard, Verb.allow_exec, folder))
    return _require(session, program, Mounted, f"allow programs to run in {folder}", _MOUNT_SECONDS)


def list_processes(session: Session, guard: str) -> Sample:
    """Return the processes of our runs, and what they use. Raises DeviceError, ConnectionLost."""
    return _require(session, Program((guard, Verb.processes)), Sample, "list the processes", _LIST_SECONDS)


async def watch_processes(transport: Transport, guard: str, *, every: float) -> AsyncGenerator[Sample, None]:
    """Yield what `list_processes` returns every so many seconds, until the caller closes the generator."""
    # The guard ends with its channel: nobody reads its next answer.
    channel = await transport.start(Program((guard, Verb.processes, "every", str(max(1, int(every * 1000))))))
    errors = asyncio.create_task(keep_last_errors(channel, bytearray()))
    try:
        answers = AnswerReader(channel, transport.device)
        while (answer := await in_time(transport, answers.next(), every + _LIST_SECONDS)) is not None:
            if not isinstance(answer, Sample):
                raise DeviceError(f"the guard on {transport.device} answered {answer!r} to {Verb.processes}")
            yield answer
    finally:
        errors.cancel()
        await channel.close()


def end_processes(
    session: Session, guard: str, pids: Sequence[int], *, agents: Sequence[int] = (), grace: float
) -> tuple[int, ...]:
    """End processes: SIGTERM, and SIGKILL for what is left after *grace* seconds. Returns what is left even then.

    The *agents* among them get SIGUSR1 instead, and get it first. Raises DeviceError, ConnectionLost.
    """
    words = [f"{pid}:USR1" for pid in agents] + [str(pid) for pid in pids if pid not in agents]
    program = Program((guard, Verb.end, str(int(grace * 1000)), *words))
    return _require(session, program, Left, "end processes", grace + _LIST_SECONDS).processes


def list_sockets(session: Session, guard: str) -> tuple[str, ...]:
    """Return the paths of the attach sockets, the newest first. Raises DeviceError, ConnectionLost."""
    return _require(session, Program((guard, Verb.sockets)), Sockets, "list the attach sockets", _LIST_SECONDS).paths


async def connect_socket(transport: Transport, guard: str, path: str) -> Channel:
    """Return a channel to the socket *path* of the device: what is written goes there. Raises ConnectionLost.

    Where no program answers at the socket, the channel ends with an error message.
    """
    return await transport.start(Program((guard, Verb.connect, path)))


def make_folder(session: Session, guard: str, path: str) -> None:
    """Make a folder in /tmp that only our user can read. Raises DeviceError, ConnectionLost.

    Folders beside it with the same name up to the last dash are removed when they have not changed for a day: a host
    that lost its connection could not remove its own.
    """
    _run(session, Program((guard, Verb.make_folder, _check_own(path))), f"make {path}", _LIST_SECONDS)


def copy_folder(session: Session, guard: str, source: str, path: str) -> str | None:
    """Make *path*, a folder in /tmp, a copy of the folder *source*. Returns None where a process works in *path*.

    Returns the path of the copy: another one than *path* where another user has taken that. Files are hard links
    where that is possible. Raises DeviceError, ConnectionLost.
    """
    program = Program((guard, Verb.copy_folder, source, _check_own(path)))
    result = session.run(program, timeout=_COPY_SECONDS)
    if result.exit_code == ExitCode.busy:
        return None
    _require_success(session, result, f"copy {source}")
    return _one_answer(session.transport, result, Copied).path


def remove_folder(session: Session, guard: str, path: str) -> None:
    """Remove a folder in /tmp, all that is in it, and what it was in as far as that is empty then.

    Raises DeviceError, ConnectionLost.
    """
    _run(session, Program((guard, Verb.remove_folder, _check_own(path))), f"remove {path}", _LIST_SECONDS)


def deactivate(session: Session, guard: str) -> None:
    """Undo what was mounted or unpacked for bundles that no process runs from. Raises DeviceError, ConnectionLost."""
    _run(session, Program((guard, Verb.deactivate)), "deactivate bundles", _ACTIVATE_SECONDS)


def _check_own(path: str) -> str:
    """Return *path*. Raises ValueError unless it is a folder of ours: the guard makes and removes no other."""
    if not path.startswith(OWN_FOLDER) or path == OWN_FOLDER or "/." in path or "//" in path or path.endswith("/"):
        raise ValueError(f"{path!r} is not a folder of ours")
    return path


@dataclass(frozen=True, kw_only=True, slots=True)
class Adoption:
    """A bundle that this computer has written into *place*, which the device has mounted.

    *folder* is the name of our folder there. If there is a *previous* one, older ones are removed in the background.
    With *activate* it is activated, with *remake* also where it is active: what is active was made of damaged files.
    """

    place: str
    app: str
    bundle: str
    folder: str = FOLDER
    previous: str = ""
    activate: bool = True
    remake: bool = False


async def adopt(transport: Transport, guard: str, adoption: Adoption, *, looks: int) -> str:
    """Have the device look for the bundle, so many times, once a second, and adopt it.

    It looks as often at an image that it finds damaged: a share's client may show the file that was just replaced for
    another second. Returns where the bundle runs from, or an empty string if it was not activated. Raises NotSeen,
    CannotActivate, DeviceError, ConnectionLost.
    """
    words = [f"{adoption.place}/{adoption.folder}", adoption.app, adoption.bundle, "looks", str(looks)]
    words += ["previous", adoption.previous] if adoption.previous else []
    words += [word for word, wanted in (("activate", adoption.activate), ("remake", adoption.remake)) if wanted]
    program = Program((guard, Verb.adopt, *words))
    result = await run_program(transport, program, timeout=_ACTIVATE_SECONDS)
    for _ in range(1, looks):
        if result.exit_code != ExitCode.image_damaged:
            break
        await asyncio.sleep(_LOOK_SECONDS)
        result = await run_program(transport, program, timeout=_ACTIVATE_SECONDS)
    if result.exit_code == ExitCode.not_seen:
        raise NotSeen(f"{transport.device} does not see in {adoption.place} what was written there")
    if result.exit_code:
        raise explain(transport, result.exit_code, result.error_text, adoption.place)
    return _one_answer(transport, result, Activated).root if adoption.activate else ""


def _require(
    session: Session, program: Program, class_: type[A], purpose: str, timeout: float, *, input: bytes = b""
) -> A:
    """Run a verb and return its only answer, of that class."""
    return _one_answer(session.transport, _run(session, program, purpose, timeout, input=input), class_)


def _run(session: Session, program: Program, purpose: str, timeout: float, *, input: bytes = b"") -> ProgramResult:
    result = session.run(program, input=input, timeout=timeout)
    _require_success(session, result, purpose)
    return result


def _require_success(session: Session, result: ProgramResult, purpose: str) -> None:
    if result.exit_code == ExitCode.taken:
        raise explain(session.transport, result.exit_code, result.error_text, "")
    if result.exit_code:
        message = result.error_text.removeprefix(f"{GUARD}: ") or f"exit code {result.exit_code}"
        raise DeviceError(f"cannot {purpose} on {session.device}: {message}")


def _one_answer(transport: Transport, result: ProgramResult, class_: type[A]) -> A:
    answer = read_answer(result.stdout, transport.device)
    if not isinstance(answer, class_):
        raise not_an_answer(transport.device, result.stdout)
    return answer
