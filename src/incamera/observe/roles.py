"""What each of our processes on a device is there for, found out from their words and who began first."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import PurePosixPath

from incamera_agent.wire.protocol import MODULE, Option


class Role(StrEnum):
    app = "app"
    child = "child"
    """Begun by the app."""
    fork_server = "fork server"
    """Has imported the packages; the app is a fork of it."""
    check = "check"
    """Finds out whether new files are Python."""
    agent = "agent"
    guard = "guard"
    """Sees to it that a run ends with its host; receives what is deployed."""

    @property
    def of_run(self) -> bool:
        """Whether it ends with its run, as what a user started does; the others are tools for it."""
        return self is not Role.guard

    @property
    def of_app(self) -> bool:
        return self in (Role.app, Role.child)


_CHILDREN_OF_AGENT = {Option.FORK_SERVER: Role.fork_server, Option.COMPILE_CHECK: Role.check}


def find_role(words: Sequence[str]) -> Role:
    """Return what its words say that it is; of a run's other processes only its first is the app."""
    program = words[0] if words else ""
    if is_guard(program):
        return Role.guard
    if list(words[1:3]) == ["-m", MODULE]:
        return _CHILDREN_OF_AGENT.get("".join(words[3:4]), Role.agent)
    return Role.app


def is_guard(program: str) -> bool:
    return PurePosixPath(program).name.startswith("incamera-guard")
