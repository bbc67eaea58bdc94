"""The console inside a running app: what is typed here is evaluated there. Lines are edited and completed here."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from incamera.device.streams import write_all
from incamera.errors import AgentError, UsageError
from incamera.units import escape_controls
from incamera_agent.wire.protocol import ErrorKind

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.device.attach import Attached, Thread
    from incamera.device.tracebacks import HostPaths

_HISTORY = 1000
_STACKS = "stacks()"
HELP = f"Ctrl-D leaves the console, the app keeps running; {_STACKS} shows what its threads are doing"


class Prompt:
    """Where the user types. Messages are shown at once, above the line that is being typed."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._print = show
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

    def show(self, message: str) -> None:
        """Show *message*, which is one line; from any thread."""
        message, shown = escape_controls(message), self._shown
        if shown is None:
            self._print(f"({message})")
            return
        import readline  # lazy: changes the terminal; only where lines are edited

        typed = readline.get_line_buffer()
        write_all(1, f"\r\x1b[K({message})\n{shown}{typed}".encode("utf-8", "surrogateescape"))

    def end(self) -> None:
        """Stop reading; from any thread."""
        if self._shown is not None:
            os.kill(os.getpid(), signal.SIGINT)


def run_console(
    attached: Attached, paths: HostPaths, read: Callable[[bool], str | None], show: Callable[[str], None]
) -> None:
    """Evaluate what *read* returns in the app, until the input or the app ends. *show* prints messages."""
    lines: list[str] = []
    while not attached.over:
        try:
            line = read(bool(lines))
        except KeyboardInterrupt:
            # As Python does: drop what was typed.
            write_all(1, b"\n" if attached.over else b"\nKeyboardInterrupt\n")
            lines = []
            continue
        if line is None:
            if lines:  # the end of the input ends a block
                _evaluate(attached, [*lines, ""], show)
            return
        if not lines and line.strip() == _STACKS:
            _try(attached, lambda: write_all(1, _show_stacks(attached.stacks(), paths).encode()), show)
            continue
        if not lines and not line.strip():
            continue
        lines.append(line)
        if not _evaluate(attached, lines, show):
            lines = []


def _evaluate(attached: Attached, lines: Sequence[str], show: Callable[[str], None]) -> bool:
    """Evaluate *lines* in the app. Returns True when they are only the beginning of a statement."""
    return _try(attached, lambda: attached.evaluate("\n".join(lines)), show)


def _try(attached: Attached, action: Callable[[], bool | None], show: Callable[[str], None]) -> bool:
    """Run *action*, or show why it failed. The console goes on when a run of the app ends."""
    try:
        return bool(action())
    except AgentError as error:
        if attached.over:  # which was shown
            return False
        if error.kind != ErrorKind.NO_RUN:
            raise
        show(f"({error})")
        return False


def read_piped(more: bool) -> str | None:
    """Return the next line of standard input, None at its end."""
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError as error:
        raise UsageError(f"what is piped to the console is not text: {error.reason}") from None
    return line.rstrip("\n") if line else None


def _show_stacks(threads: Sequence[Thread], paths: HostPaths) -> str:
    lines = []
    for thread in threads:
        lines.append(f"{thread.name}{' (main)' if thread.is_main and thread.name != 'MainThread' else ''}:")
        for file, number, function in thread.frames:
            lines.append(f'  File "{paths.find(file) or file}", line {number}, in {function}')
    # The app chooses these names, but it is we who show them.
    return "\n".join(map(escape_controls, lines)) + "\n"


@contextmanager
def line_editing(history: Path, complete: Callable[[str], Sequence[str]]) -> Iterator[None]:
    """Edit lines with readline while the block runs: with a history kept in the file *history*, and Tab completes."""
    import readline  # lazy: changes the terminal; only where lines are edited

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
