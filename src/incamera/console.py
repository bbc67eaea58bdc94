"""All printing. Data goes to standard output, everything else to standard error.

Progress bars and colours appear only on a terminal, and no colours when NO_COLOR is set. Colours only repeat what the
text says.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from incamera.errors import StoreError

if TYPE_CHECKING:
    from incamera.errors import InCameraError
    from incamera.http import Progress

_STYLES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class OutputClosed(Exception):
    """The program that reads our output has closed the pipe, as `| head` does."""


class _Stream:
    """An output stream that writes each text at once."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.encoding = stream.encoding or "utf-8"

    def isatty(self) -> bool:
        return self.stream.isatty()

    def write(self, text: str) -> None:
        """Write *text*. Raises OutputClosed, or StoreError when it cannot be written, as on a full disk."""
        try:
            self.stream.write(text)
            self.stream.flush()
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise StoreError(f"cannot print: {error.strerror}") from error

    def flush(self) -> None:
        """Do nothing: each text is written at once. Rich calls this."""


@dataclass(slots=True)
class ConsoleStep:
    """A step of a command, which a line reports when it has ended. See `context.Step`."""

    name: str
    console: Console
    seconds: float = 0.0
    cached: bool = False
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def progress(self, total: int) -> Iterator[Progress]:
        with self.console.progress(self.name, total) as advance:
            yield advance


class Console:
    """Prints steps, messages, tables and JSON.

    *quiet* leaves out steps, progress bars and information; results, warnings and errors remain. *output* and
    *messages* replace standard output and standard error.
    """

    def __init__(
        self,
        *,
        json_output: bool = False,
        quiet: bool = False,
        output: TextIO | None = None,
        messages: TextIO | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        environment = os.environ if environment is None else environment
        self.json_output = json_output
        self.quiet = quiet
        self.steps: list[ConsoleStep] = []
        self._output = _Stream(output or sys.stdout)
        self._messages = _Stream(messages or sys.stderr)
        self.interactive = self._messages.isatty() and environment.get("TERM") != "dumb"
        self._colour = self.interactive and not environment.get("NO_COLOR")
        self.colours_output = self._output.isatty() and self._colour

    # Messages

    @contextmanager
    def step(self, name: str) -> Iterator[ConsoleStep]:
        """Show the step *name* while the block runs. When the block succeeds, print how long it took."""
        step = ConsoleStep(name, self)
        self.steps.append(step)
        began = time.perf_counter()
        if self.interactive and not self.quiet:
            self._messages.write(f"  {name} …\r")
        try:
            yield step
        finally:
            step.seconds = time.perf_counter() - began
            if self.interactive and not self.quiet:
                self._messages.write("\x1b[2K")
        if not self.quiet:
            note = ", ".join(step.notes)
            mark = self.style("✓", "green") if self._can_encode("✓") else "+"
            line = f"{mark} {name:<10} {step.seconds:6.1f} s  {self.style(note, 'dim')}"
            self._messages.write(line.rstrip() + "\n")

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Progress]:
        """Show a progress bar of *total* bytes on a terminal. Yields the function that advances it by some bytes."""
        if not self.interactive or self.quiet or total <= 0:
            yield lambda _: None
            return
        from rich.console import Console as RichConsole  # lazy: start-up; most commands show no progress bar
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        rich = RichConsole(file=self._messages.stream, no_color=not self._colour)
        with Progress(*columns, console=rich, transient=True) as bars:
            task = bars.add_task(label, total=total)
            yield lambda count: bars.advance(task, count)

    def info(self, text: str) -> None:
        if not self.quiet:
            self._write_message(text)

    def warn(self, text: str) -> None:
        self._write_message(f"{self.style('warning:', 'yellow', 'bold')} {text}")

    def error(self, error: InCameraError) -> None:
        """Print an error: its message, the last lines that a failed program printed, and its hint."""
        self._write_message(f"{self.style('error:', 'red', 'bold')} {error}")
        if tail := getattr(error, "tail", ""):
            self._write_message(self.style("\n".join(f"  | {line}" for line in tail.splitlines()), "dim"))
        if error.hint:
            self._write_message(f"{self.style('hint:', 'cyan', 'bold')} {error.hint}")

    def confirm(self, question: str) -> bool:
        """Ask *question* on the terminal. Returns True for "y" or "yes", and False when there is no terminal."""
        if not (self.interactive and sys.stdin.isatty()):
            return False
        self._messages.write(f"{question} [y/N] ")
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    # Data

    def emit(self, data: Mapping[str, Any]) -> None:
        """Print *data* as the JSON document of `--json`."""
        self._output.write(json.dumps({"schema": 1, **data}, indent=2) + "\n")

    def print(self, text: str) -> None:
        """Print a line on standard output."""
        self._output.write(text + "\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table on standard output, with columns padded by spaces.

        On a terminal that is too narrow for it, print each row as a paragraph.
        """
        widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
        if self._output.isatty():
            terminal_width = shutil.get_terminal_size().columns
            if sum(widths) + 2 * (len(widths) - 1) > terminal_width:
                self._print_paragraphs(columns, rows, terminal_width)
                return
        for number, row in enumerate((columns, *rows)):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            if number == 0 and self.colours_output:
                line = f"\x1b[1m{line}\x1b[0m"
            self._output.write(line + "\n")

    def _print_paragraphs(self, columns: Sequence[str], rows: Sequence[Sequence[str]], terminal_width: int) -> None:
        import textwrap  # lazy: start-up; few terminals are too narrow

        for head, *cells in rows:
            self._output.write(f"\x1b[1m{head}\x1b[0m\n" if self.colours_output else f"{head}\n")
            parts = [f"{name.lower()} {cell}" for name, cell in zip(columns[1:], cells, strict=True) if cell]
            for line in textwrap.wrap(", ".join(parts), max(terminal_width - 2, 20), break_on_hyphens=False):
                self._output.write(f"  {line}\n")

    @contextmanager
    def live_table(self) -> Iterator[Callable[[str, Sequence[str], Sequence[Sequence[str]]], None]]:
        """Yield a function that shows a line and a table, in place of those that it showed before.

        Where standard output is no terminal, it prints them below those before.
        """
        if not self._output.isatty() or not self.interactive:

            def append(line: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
                for text in (line, *_align(columns, rows)):
                    self.print(text)

            yield append
            return
        from rich.console import Console as RichConsole  # lazy: start-up; only `top` shows a live table
        from rich.live import Live
        from rich.text import Text

        rich = RichConsole(file=cast("IO[str]", self._output), no_color=not self.colours_output)
        header = "bold" if self.colours_output else ""
        with Live(console=rich, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

            def replace(line: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
                text = Text(no_wrap=True, overflow="ellipsis")
                for number, shown in enumerate((line, *_align(columns, rows))):
                    text.append(f"\n{shown}" if number else shown, header if number == 1 else "")
                live.update(text, refresh=True)

            yield replace

    def style(self, text: str, *names: str) -> str:
        """Return *text* with the escape sequences of the styles *names*; unchanged where colours are off."""
        if not self._colour or not text:
            return text
        return f"\x1b[{';'.join(_STYLES[name] for name in names)}m{text}\x1b[0m"

    def _write_message(self, text: str) -> None:
        if not self._can_encode(text):
            text = text.encode(self._messages.encoding, "replace").decode(self._messages.encoding)
        self._messages.write(text + "\n")

    def _can_encode(self, text: str) -> bool:
        try:
            text.encode(self._messages.encoding)
        except UnicodeEncodeError:
            return False
        return True


def _align(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table's lines. Columns of numbers are aligned right, so they don't move when the numbers change."""
    if not rows:
        return []
    table = [columns, *rows]
    aligned = []
    for number in range(len(columns)):
        cells = [row[number] for row in table]
        width = max(map(len, cells))
        numeric = all(cell[:1].isdigit() or cell == "–" for cell in cells[1:])
        aligned.append([cell.rjust(width) if numeric else cell.ljust(width) for cell in cells])
    return ["  ".join(cells).rstrip() for cells in zip(*aligned, strict=True)]
