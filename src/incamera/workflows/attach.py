"""python --attach: a console inside the running app; lines are edited, remembered and completed on this computer."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.connect.choose import choose_device
from incamera.connect.connection import connected
from incamera.device.attach import Attached, list_attach_sockets
from incamera.device.streams import write_all
from incamera.device.tracebacks import PathRewriter, host_paths
from incamera.errors import AgentError, DeviceError
from incamera_agent.wire.protocol import ErrorKind

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.device.attach import AttachSocket, Thread
    from incamera.device.tracebacks import HostPaths
    from incamera.project.settings import Project
    from incamera.transport.session import Session

_HISTORY = 1000
_STACKS = "stacks()"
_HELP = f"Ctrl-D leaves, and the app goes on; {_STACKS} shows what its threads do"


def attach_console(context: Context, project: Project, *, device: str | None) -> int:
    """Let the user type Python that the running app evaluates, until Ctrl-D or the app's end. Raises DeviceError."""
    with connected(context, choose_device(context, device, project=project)) as connection:
        session = connection.session
        socket = _require_attach_socket(session, project)
        guard = connection.ensure_guard()
        prompt = _Prompt(context.reporter.info)
        attached = Attached(session, guard, socket, output=1, on_news=prompt.tell, on_end=prompt.end)
        paths = host_paths(project.folder, [attached.folder], has_build_system=project.has_build_system)
        attached.tap = PathRewriter(paths)
        try:
            if sys.stdin.isatty():
                context.reporter.info(f"in {socket.app} on {session.device}. {_HELP}")
                with _editing(context.store.root / "history", attached.complete):
                    _serve(attached, paths, prompt.read, context.reporter.info)
            else:
                _serve(attached, paths, _piped, context.reporter.info)
        finally:
            with suppress(DeviceError):
                attached.close()
    return 0


def _require_attach_socket(session: Session, project: Project) -> AttachSocket:
    sockets = list_attach_sockets(session)
    for socket in sockets:
        if socket.app == project.name:
            return socket
    names = sorted({socket.app for socket in sockets})
    others = f"; what can be attached to there: {', '.join(names)}" if names else ""
    raise DeviceError(
        f"{project.name} does not run on {session.device} so that one could attach to it{others}",
        hint="start it with `incamera run`, or `incamera run --watch`, in another terminal",
    )


class _Prompt:
    """Where the user types. News is shown at once, above what is being typed."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._shown: str | None = None

    def read(self, more: bool) -> str | None:
        self._shown = "... " if more else ">>> "
        try:
            return input(self._shown)
        except EOFError:
            write_all(1, b"\n")
            return None
        finally:
            self._shown = None

    def tell(self, news: str) -> None:
        """From any thread."""
        shown = self._shown
        if shown is None:
            self._tell(f"({news})")
            return
        import readline

        write_all(1, f"\r\x1b[K({news})\n{shown}{readline.get_line_buffer()}".encode())

    def end(self) -> None:
        """Read no more; from any thread."""
        if self._shown is not None:
            os.kill(os.getpid(), signal.SIGINT)


def _serve(
    attached: Attached, paths: HostPaths, read: Callable[[bool], str | None], tell: Callable[[str], None]
) -> None:
    lines: list[str] = []
    while not attached.over:
        try:
            line = read(bool(lines))
        except KeyboardInterrupt:
            # As Python does: what was typed is forgotten.
            write_all(1, b"\n" if attached.over else b"\nKeyboardInterrupt\n")
            lines = []
            continue
        if line is None:
            if lines:  # the end of the input is the end of a block, too
                _evaluate(attached, [*lines, ""], tell)
            return
        if not lines and line.strip() == _STACKS:
            _try(attached, lambda: write_all(1, _show_stacks(attached.stacks(), paths).encode()), tell)
            continue
        if not lines and not line.strip():
            continue
        lines.append(line)
        if not _evaluate(attached, lines, tell):
            lines = []


def _evaluate(attached: Attached, lines: Sequence[str], tell: Callable[[str], None]) -> bool:
    """True: the lines are only the beginning of something."""
    return _try(attached, lambda: attached.evaluate("\n".join(lines)), tell)


def _try(attached: Attached, action: Callable[[], bool | None], tell: Callable[[str], None]) -> bool:
    """Do it, or tell why not; the console outlives a run of the app."""
    try:
        return bool(action())
    except AgentError as error:
        if attached.over:  # which has been told
            return False
        if error.kind != ErrorKind.NO_RUN:
            raise
        tell(f"({error})")
        return False


def _piped(more: bool) -> str | None:
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None


def _show_stacks(threads: Sequence[Thread], paths: HostPaths) -> str:
    lines = []
    for thread in threads:
        lines.append(f"{thread.name}{' (main)' if thread.is_main and thread.name != 'MainThread' else ''}:")
        for file, number, function in thread.frames:
            lines.append(f'  File "{paths.find(file) or file}", line {number}, in {function}')
    return "\n".join(lines) + "\n"


@contextmanager
def _editing(history: Path, complete: Callable[[str], Sequence[str]]) -> Iterator[None]:
    """Lines can be edited, are remembered from time to time, and Tab completes them."""
    import readline

    matches: Sequence[str] = ()

    def completer(text: str, state: int) -> str | None:
        nonlocal matches
        if state == 0:
            matches = complete(text) if text.strip() else ["    "]
        return matches[state] if state < len(matches) else None

    readline.set_completer(completer)
    readline.set_completer_delims(" \t\n`~!@#$%^&*()-=+[{]}\\|;:'\",<>/?")
    readline.parse_and_bind("tab: complete")
    with suppress(OSError):
        readline.read_history_file(history)
    try:
        yield
    finally:
        readline.set_completer(None)
        readline.set_history_length(_HISTORY)
        with suppress(OSError):
            history.touch(mode=0o600)
            readline.write_history_file(history)
