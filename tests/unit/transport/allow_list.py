"""What a camera without a shell for us would accept: the guard's verbs, one script, and files of a few folders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from incamera.runtime.launcher.protocol import OWN_FOLDER, Verb
from incamera.transport.local import LocalTransport

if TYPE_CHECKING:
    from incamera.transport.device import Device
    from incamera.transport.protocols import Channel, Program, Terminal

SCRIPTS = ("incamera-probe",)
READABLE = (OWN_FOLDER, "/proc/net/tcp", "/proc/mounts", "/proc/self/smaps", "/var/spool/storage/", "/lib", "/usr/lib")


class NotAllowed(AssertionError):
    """The host asked for something that only a shell could do."""


def check_program(program: Program, guard: str) -> None:
    """Raises NotAllowed unless *program* is a verb of the guard, whose path is *guard*, or a script that is known."""
    arguments = program.arguments
    if arguments[0] == guard and arguments[1] in list(Verb):
        return
    if arguments[:2] == ("sh", "-c") and arguments[3] in SCRIPTS:
        return
    raise NotAllowed(f"a program that is no verb: {arguments}")


class VerbsOnly(LocalTransport):
    """This computer as a camera that has the guard installed at *guard*, and accepts nothing but what is allowed."""

    def __init__(self, device: Device, guard: str) -> None:
        super().__init__(device)
        self.guard_path = guard
        self.verbs: set[str] = set()
        """The verbs that were used."""

    async def start(self, program: Program, *, terminal: Terminal | None = None) -> Channel:
        check_program(program, self.guard_path or "")
        self.verbs.add(program.arguments[1])
        return await super().start(program, terminal=terminal)

    async def put(self, path: str, data: bytes, *, executable: bool = False) -> None:
        if not path.startswith(OWN_FOLDER):
            raise NotAllowed(f"writing {path}")
        await super().put(path, data, executable=executable)

    async def get(self, path: str, *, limit: int) -> bytes:
        self._check_readable(path)
        return await super().get(path, limit=limit)

    async def get_all(self, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
        for path in paths:
            self._check_readable(path)
        return await super().get_all(paths, limit=limit)

    def _check_readable(self, path: str) -> None:
        if not path.startswith(READABLE):
            raise NotAllowed(f"reading {path}")
