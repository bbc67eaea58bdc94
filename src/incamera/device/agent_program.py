"""The program that starts the agent of a bundle."""

from __future__ import annotations

from collections.abc import Mapping

from incamera.runtime.launcher.protocol import SUBREAPER_VARIABLE, WORK_VARIABLE
from incamera.transport.protocols import Program
from incamera_agent.wire.protocol import agent_command


def make_agent_program(
    root: str,
    *,
    app: str,
    user: str,
    command: str,
    take_over: bool = False,
    kept: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Program:
    """Return the program that starts the agent of the bundle in *root* for *app*, in the bundle's folder of the app.

    *user* (as in `anna@desk`) and *command* (as in `incamera run --watch`) tell other hosts who holds the app. A *kept*
    agent holds none: it waits for the next run. Where *environment* names a working folder, apps run in that.
    """
    environment = environment or {}
    words = agent_command(
        f"{root}/bin/python3",
        app=app,
        user=user,
        command=command,
        take_over=take_over,
        kept=kept,
        work=environment.get(WORK_VARIABLE, ""),
    )
    return Program(tuple(words), environment={SUBREAPER_VARIABLE: "1", **environment}, folder=f"{root}/app")
