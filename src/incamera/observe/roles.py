"""The roles of incamera's processes on a device, found from their command lines and from which started first."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import PurePosixPath

from incamera_agent.wire.protocol import MODULE, Option


class Role(StrEnum):
    app = "app"
    child = "child"
    """A process that the app started."""
    fork_server = "fork server"
    """Has imported the packages; the app is a fork of it."""
    check = "check"
    """Compiles new files, to find syntax errors."""
    agent = "agent"
    guard = "guard"
    """Ends a run when its host goes away; receives what is deployed."""

    @property
    def of_run(self) -> bool:
        """Whether `stop` ends it: the app and all that serves it, but not the guard, which ends by itself."""
        return self is not Role.guard

    @property
    def of_app(self) -> bool:
        return self in (Role.app, Role.child)


_CHILDREN_OF_AGENT = {Option.FORK_SERVER: Role.fork_server, Option.COMPILE_CHECK: Role.check}


def find_role(words: Sequence[str]) -> Role:
    """Return the role that the command line *words* shows. An app's children have the role `app`, too."""
    program = words[0] if words else ""
    if is_guard(program):
        return Role.guard
    if list(words[1:3]) == ["-m", MODULE]:
        return _CHILDREN_OF_AGENT.get("".join(words[3:4]), Role.agent)
    return Role.app


def is_guard(program: str) -> bool:
    return PurePosixPath(program).name.startswith("incamera-guard")
