"""What each of our processes on a device is there for, found out from their words and who began first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.observe.processes import Process


class Role(StrEnum):
    app = "app"
    child = "child"
    """Begun by the app."""
    warm = "warm process"
    """Has imported the packages; the app is a fork of it."""
    check = "check"
    """Finds out whether new files are Python."""
    agent = "agent"
    guard = "guard"
    """Sees to it that a run ends with its host; receives what is deployed."""
    flame = "flame"
    """py-spy, while it looks into an app."""

    @property
    def of_run(self) -> bool:
        """Whether it ends with its run, as what a user started does; the others are tools for it."""
        return self not in (Role.guard, Role.flame)

    @property
    def of_app(self) -> bool:
        return self in (Role.app, Role.child)


def find_role(words: Sequence[str]) -> Role:
    """Return what its words say that it is; of a run's other processes only its first is the app."""
    program = words[0] if words else ""
    if is_guard(program):
        return Role.guard
    if "/incamera-tools/" in program:
        return Role.flame
    if list(words[1:3]) == ["-m", "incamera_agent"]:
        return {"--warm": Role.warm, "--check": Role.check}.get("".join(words[3:4]), Role.agent)
    return Role.app


def is_guard(program: str) -> bool:
    return PurePosixPath(program).name.startswith("incamera-guard")


def settle_roles(processes: Sequence[Process]) -> list[Process]:
    """Return *processes* with the children of apps known as such, each with its app; the apps first."""
    first: dict[str, Process] = {}
    apps: dict[str, str] = {}
    for process in sorted(processes, key=lambda process: (process.began, process.pid)):
        if process.role is Role.app:
            first.setdefault(process.run, process)
        if process.app:
            apps.setdefault(process.run, process.app)
    settled = [
        dataclasses.replace(
            process,
            role=Role.child if process.role is Role.app and first[process.run] is not process else process.role,
            app=process.app or apps.get(process.run, ""),
        )
        for process in processes
    ]
    order = list(Role)
    return sorted(settled, key=lambda process: (process.app == "", process.app, order.index(process.role), process.pid))
