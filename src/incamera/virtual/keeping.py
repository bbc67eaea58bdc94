"""The starter's side of a keeper: start it, hear its answer, let it go or see it end."""

from __future__ import annotations

import json
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

if TYPE_CHECKING:
    from incamera.virtual.keeper import Order


class Keeper:
    """A keeper that has answered. Unless it is told to `keep` the camera, the camera ends with the block."""

    def __init__(self, child: subprocess.Popen[bytes], answer: dict[str, Any]) -> None:
        self._child = child
        self.answer = answer

    def keep(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(b"keep\n")
        self._child.stdin.flush()


@contextmanager
def start_keeper(order: Order, *, purpose: str, pass_fds: Sequence[int] = ()) -> Iterator[Keeper]:
    """Start a keeper with *order* and hand it over once it has answered. Raises DeviceError with the end of QEMU's log:
    QemuCrashed when QEMU ended by itself.

    However the block is left, a keeper that was not told to `keep` has ended by then, and QEMU with it.
    """
    argv = [sys.executable, "-P", "-m", "incamera.virtual.keeper"]
    log = order.folder / "keeper.log"
    child = start_service(argv, purpose=purpose, log=log, pass_fds=pass_fds)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        with suppress(BrokenPipeError):
            child.stdin.write(order.dump())
            child.stdin.flush()
        line = child.stdout.readline()
        answer = json.loads(line) if line else {"error": "its keeper ended", "tail": _read(log)}
        if "error" in answer:
            tail = f"\n{answer['tail']}" if answer.get("tail") else ""
            kind = QemuCrashed if answer.get("crashed") else DeviceError
            raise kind(
                f"cannot {purpose}: {answer['error']}{tail}",
                hint="try again; if it stays so, `incamera store verify` finds damaged files, and "
                "`incamera store clean` removes the saved state",
            )
        yield Keeper(child, answer)
    except BaseException:
        with suppress(OSError):
            child.stdin.write(b"stop\n")
            child.stdin.flush()
        raise
    finally:
        with suppress(OSError):
            child.stdin.close()
        # Its output ends when it does, or when it has been told to keep.
        while os.read(child.stdout.fileno(), 65536):
            pass
        child.stdout.close()
        child.wait()


def _read(log: Path) -> str:
    try:
        return log.read_text("utf-8", "replace")[-4000:]
    except OSError:
        return ""
