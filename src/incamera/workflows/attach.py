"""python --attach: a console inside the running app."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from incamera.connect.choose import choose_device
from incamera.connect.connection import connected
from incamera.device.attach import Attached, list_attach_sockets
from incamera.device.tracebacks import PathRewriter, host_paths
from incamera.errors import DeviceError
from incamera.observe.app_console import HELP, Prompt, line_editing, read_piped, run_console

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.device.attach import AttachSocket
    from incamera.project.settings import Project
    from incamera.transport.session import Session


def attach_console(context: Context, project: Project, *, device: str | None) -> int:
    """Let the user type Python that the running app evaluates, until Ctrl-D or the app's end. Returns 0.

    Raises DeviceError.
    """
    with connected(context, choose_device(context, device, project=project)) as connection:
        session = connection.session
        guard = connection.ensure_guard()
        socket = _require_attach_socket(session, guard, project)
        prompt = Prompt(context.reporter.info)
        attached = Attached(session, guard, socket, output=1, on_news=prompt.show, on_end=prompt.end)
        paths = host_paths(project.folder, attached.folders, has_build_system=project.has_build_system)
        attached.output_filter = PathRewriter(paths)
        try:
            if sys.stdin.isatty():
                context.reporter.info(f"in {socket.app} on {session.device}. {HELP}")
                with line_editing(context.store.root / "history", attached.complete):
                    run_console(attached, paths, prompt.read, context.reporter.info)
            else:
                run_console(attached, paths, read_piped, context.reporter.info)
        finally:
            with suppress(DeviceError):
                attached.close()
    return 0


def _require_attach_socket(session: Session, guard: str, project: Project) -> AttachSocket:
    sockets = list_attach_sockets(session, guard)
    for socket in sockets:
        if socket.app == project.name:
            return socket
    names = sorted({socket.app for socket in sockets})
    others = f"; these apps are: {', '.join(names)}" if names else ""
    raise DeviceError(
        f"{project.name} is not running in attachable mode on {session.device}{others}",
        hint="start it with `incamera run`, or `incamera run --watch`, in another terminal",
    )
