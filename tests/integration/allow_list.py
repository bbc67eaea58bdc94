"""Holds the tool to what the architecture page says it runs on a camera."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from incamera.runtime.launcher.protocol import GUARD, Verb
from incamera.transport.ssh_transport import SshTransport

if TYPE_CHECKING:
    from incamera.transport.protocols import Channel, Program, Terminal

# Before the guard is used, and what SSH makes of `put`, `get` and `addresses`.
SCRIPTS = {f"incamera-{name}" for name in ("probe", "find-guard", "call-guard", "put", "get", "addresses")}
READ_FILES = ("tar", "-c", "-h", "-f", "-")


def is_allowed(program: Program) -> bool:
    """Return whether *program* is a verb of the guard, or one of the few others."""
    arguments = program.arguments
    if PurePosixPath(arguments[0]).name.startswith(f"{GUARD}-"):
        return arguments[1] in list(Verb)
    return arguments[:5] == READ_FILES or (arguments[:2] == ("sh", "-c") and arguments[3] in SCRIPTS)


@pytest.fixture(autouse=True, scope="package")
def ssh_allow_list() -> Iterator[None]:
    """Fail when the tool, in this process, runs anything else on a camera."""
    start, start_fed = SshTransport.start, SshTransport.start_fed

    async def checked(self: SshTransport, program: Program, *, terminal: Terminal | None = None) -> Channel:
        assert is_allowed(program), f"this is not on the architecture page: {program.arguments}"
        return await start(self, program, terminal=terminal)

    async def checked_fed(self: SshTransport, program: Program, data: bytes, *, whole: bool) -> tuple[Channel, bool]:
        assert is_allowed(program), f"this is not on the architecture page: {program.arguments}"
        return await start_fed(self, program, data, whole=whole)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SshTransport, "start", checked)
        patch.setattr(SshTransport, "start_fed", checked_fed)
        yield
