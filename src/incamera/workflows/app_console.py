"""python --attach: a console inside the running app; lines are edited, remembered and completed on this computer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.device.streams import write_all
from incamera.errors import AgentError, DeviceError
from incamera.workflows.devices import (
    choose_device,
    connected,
    guard_for,
    probe_device,
    require_architecture,
)

if TYPE_CHECKING:
    from incamera.device.attach import Attached, Thread
    from incamera.device.session import Session
    from incamera.device.tracebacks import HostPaths
    from incamera.project.settings import Project
    from incamera.workflows.context import Context

_HISTORY = 1000
_STACKS = "stacks()"
_HELP = f"Ctrl-D leaves, and the app goes on; {_STACKS} shows what its threads do"


def attach_console(context: Context, project: Project, *, device: str | None) -> int:
    """Let the user type Python that the running app evaluates, until Ctrl-D. Raises DeviceError."""
    from incamera.device.attach import Attached, live_folder
    from incamera.device.guard import ensure_guard
    from incamera.device.tracebacks import PathRewriter, host_paths

    with connected(context, choose_device(context, device, project=project)) as session:
        app = _require_app(session, project)
        facts = probe_device(context, session)
        guard = ensure_guard(session, guard_for(facts, require_architecture(facts, session.device)))
        paths = host_paths(project.folder, [live_folder(app)], has_build_system=project.has_build_system)
        attached = Attached(session, guard, app, output=1, tap=PathRewriter(paths))
        try:
            if sys.stdin.isatty():
                context.reporter.info(f"in {app} on {session.device}. {_HELP}")
                with _editing(context.store.root / "history", attached.complete):
                    _serve(attached, paths, _typed, context.reporter.info)
            else:
                _serve(attached, paths, _piped, context.reporter.info)
        finally:
            with suppress(DeviceError):
                attached.close()
    return 0


def _require_app(session: Session, project: Project) -> str:
    from incamera.device.attach import list_agents

    agents = list_agents(session)
    if project.name in agents:
        return project.name
    others = f"; what can be attached to there: {', '.join(agents)}" if agents else ""
    raise DeviceError(
        f"{project.name} does not run on {session.device} so that one could attach to it{others}",
        hint="start it with `incamera run --watch`, in another terminal",
    )


def _serve(
    attached: Attached, paths: HostPaths, read: Callable[[bool], str | None], tell: Callable[[str], None]
) -> None:
    lines: list[str] = []
    while True:
        while attached.news:
            tell(f"({attached.news.pop(0)})")
        try:
            line = read(bool(lines))
        except KeyboardInterrupt:
            # As Python does: what was typed is forgotten.
            write_all(1, b"\nKeyboardInterrupt\n")
            lines = []
            continue
        if line is None:
            if lines:  # the end of the input is the end of a block, too
                _evaluate(attached, [*lines, ""], tell)
            return
        if not lines and line.strip() == _STACKS:
            _try(lambda: write_all(1, _show_stacks(attached.stacks(), paths).encode()), tell)
            continue
        if not lines and not line.strip():
            continue
        lines.append(line)
        if not _evaluate(attached, lines, tell):
            lines = []


def _evaluate(attached: Attached, lines: Sequence[str], tell: Callable[[str], None]) -> bool:
    """True: the lines are only the beginning of something."""
    return _try(lambda: attached.evaluate("\n".join(lines)), tell)


def _try(action: Callable[[], bool | None], tell: Callable[[str], None]) -> bool:
    """Do it, or tell why not; the console outlives the app, not the agent."""
    try:
        return bool(action())
    except AgentError as error:
        if error.kind != "no-run":
            raise
        tell(f"({error})")
        return False


def _typed(more: bool) -> str | None:
    try:
        return input("... " if more else ">>> ")
    except EOFError:
        write_all(1, b"\n")
        return None


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
