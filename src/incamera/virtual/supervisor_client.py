"""Starts the supervisor process of a virtual camera, and reads its answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import DeviceError
from incamera.proc import start_service
from incamera.virtual.monitor import QemuCrashed
from incamera.virtual.supervisor import read_end
from incamera_agent.wire.frames import load_json

if TYPE_CHECKING:
    from incamera.virtual.supervisor_request import SupervisorRequest

_LONGEST_ANSWER = 1 << 20


class Supervisor:
    """A supervisor process that has answered. `answer` is its line of JSON."""

    def __init__(self, child: subprocess.Popen[bytes], answer: dict[str, Any]) -> None:
        self._child = child
        self.answer = answer

    def keep(self) -> None:
        """Let the camera run on after the block of `start_supervisor`."""
        assert self._child.stdin is not None
        self._child.stdin.write(b"keep\n")
        self._child.stdin.flush()


@contextmanager
def start_supervisor(request: SupervisorRequest, *, purpose: str, pass_fds: Sequence[int] = ()) -> Iterator[Supervisor]:
    """Start a supervisor with *request*, and yield it once it has answered.

    At the end of the block, a supervisor whose `keep` was not called has ended, and QEMU with it. *purpose* completes
    the message "cannot …". Raises DeviceError with the end of QEMU's log, QemuCrashed when QEMU ended by itself.
    """
    argv = [sys.executable, "-P", "-m", "incamera.virtual.supervisor"]
    log = request.folder / "supervisor.log"
    child = start_service(argv, purpose=purpose, log=log, pass_fds=pass_fds)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        with suppress(BrokenPipeError):
            child.stdin.write(request.dump())
            child.stdin.flush()
        line = child.stdout.readline(_LONGEST_ANSWER)
        answer = parse_answer(line) if line else {"error": "its supervisor process ended", "tail": _read(log)}
        if "error" in answer:
            tail = f"\n{answer['tail']}" if answer.get("tail") else ""
            kind = QemuCrashed if answer.get("crashed") else DeviceError
            raise kind(
                f"cannot {purpose}: {answer['error']}{tail}",
                hint=answer.get("hint")
                or "try again, when this computer is less busy; if it fails again, `incamera store verify` finds "
                "damaged files, and `incamera store clean --all` has everything made again",
            )
        yield Supervisor(child, answer)
    except BaseException:
        with suppress(OSError):
            child.stdin.write(b"stop\n")
            child.stdin.flush()
        raise
    finally:
        with suppress(OSError):
            child.stdin.close()
        # It closes its standard output when it ends, or when `keep` was called.
        while os.read(child.stdout.fileno(), 65536):
            pass
        child.stdout.close()
        child.wait()


def parse_answer(line: bytes) -> dict[str, Any]:
    """Return a supervisor's answer: an object with `camera`, `saved` or `error`. Raises DeviceError."""
    try:
        answer = load_json(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not answer.keys() & {"camera", "saved", "error"}:
        raise DeviceError("the camera's supervisor process gave an answer that is none", hint="try again")
    return answer


def _read(log: Path) -> str:
    try:
        return read_end(log, 4000)
    except OSError:
        return ""
