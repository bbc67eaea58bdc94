"""What the guard can be asked to do, beside receiving bundles and supervising runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from incamera.errors import DeviceError
from incamera.guard.answers import not_an_answer, read_answer
from incamera.guard.failures import NotSeen, explain
from incamera.guard.program import FOLDER
from incamera.runtime.launcher.protocol import GUARD, Activated, Answer, ExitCode, Measured, Mounted, Tried, Verb
from incamera.transport.protocols import Program
from incamera.transport.session import run_program

if TYPE_CHECKING:
    from incamera.transport.protocols import ProgramResult, Transport
    from incamera.transport.session import Session

A = TypeVar("A", bound=Answer)

_TRIAL_SECONDS = 60.0
_MOUNT_SECONDS = 60.0
# To unpack or read ahead what the bundle runs from.
_ACTIVATE_SECONDS = 120.0


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Adoption:
    """A bundle that this computer has written into *place*, which the device has mounted.

    If there is a *previous* one, older ones are removed in the background. With *activate* it is activated, with
    *anew* also where it is active: what is active was made of damaged files.
    """

    place: str
    app: str
    bundle: str
    previous: str = ""
    activate: bool = True
    anew: bool = False


async def adopt(transport: Transport, guard: str, adoption: Adoption, *, looks: int) -> str:
    """Have the device look for the bundle, so many times, once a second, and adopt it.

    Returns where it runs from, or an empty string if it was not activated. Raises NotSeen, CannotActivate, DeviceError,
    ConnectionLost.
    """
    words = [f"{adoption.place}/{FOLDER}", adoption.app, adoption.bundle, "looks", str(looks)]
    words += ["previous", adoption.previous] if adoption.previous else []
    words += [word for word, wanted in (("activate", adoption.activate), ("anew", adoption.anew)) if wanted]
    result = await run_program(transport, Program((guard, Verb.adopt, *words)), timeout=_ACTIVATE_SECONDS)
    if result.exit_code == ExitCode.not_seen:
        raise NotSeen(f"{transport.device} does not see in {adoption.place} what was written there")
    if result.exit_code:
        raise explain(transport, result.exit_code, result.error_text, adoption.place)
    return _one_answer(transport, result, Activated).root if adoption.activate else ""


def _require(
    session: Session, program: Program, class_: type[A], purpose: str, timeout: float, *, input: bytes = b""
) -> A:
    result = session.run(program, input=input, timeout=timeout)
    if result.exit_code:
        message = result.error_text.removeprefix(f"{GUARD}: ") or f"exit code {result.exit_code}"
        raise DeviceError(f"cannot {purpose} on {session.device}: {message}")
    return _one_answer(session.transport, result, class_)


def _one_answer(transport: Transport, result: ProgramResult, class_: type[A]) -> A:
    answer = read_answer(result.stdout, transport.device)
    if not isinstance(answer, class_):
        raise not_an_answer(transport.device, result.stdout)
    return answer
