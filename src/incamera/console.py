"""All printing. Data goes to standard output, everything else to standard error.

Progress bars and colours appear only on a terminal, and no colours when NO_COLOR is set. Colours only repeat what the
text says.

On a terminal, messages are wrapped between words, and never within `quoted` words, which may be copied.

Names and texts come from strangers: cameras, package indexes, archives. `console_streams` shows control characters in
them as text. What an app prints does not come here, except for the stored lines that `app_line` prints as they are.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from incamera.console_steps import ConsoleStep, ticking
from incamera.console_streams import CLEAR_LINE, RETURN, Escape, RichFile, Stream
from incamera.units import escape_controls, wrap_words

if TYPE_CHECKING:
    from incamera.errors import InCameraError
    from incamera.http import Progress

# Colours that can be read on a light and on a dark background: yellow and cyan vanish on white, blue on black.
_STYLES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "magenta": "35"}


# Longer messages come from a stranger's endless name or output, and hide what they say.
_MOST_LINES = 20
_LONGEST_LINE = 300
_MOST_CHARACTERS = 4000

# How often a step that takes long tells how far it is: on a terminal, and elsewhere.
_TELL_SECONDS = 1.0
_TELL_ELSEWHERE_SECONDS = 10.0


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
        # Data stays unambiguous; a message is read by people.
        self._output = Stream(output or sys.stdout, "backslashreplace")
        self._messages = Stream(messages or sys.stderr, "replace")
        self.interactive = self._messages.isatty() and environment.get("TERM") != "dumb"
        self._colour = self.interactive and not environment.get("NO_COLOR")
        self._colours_output = self._output.isatty() and self._colour

    # Messages

    @contextmanager
    def step(self, name: str) -> Iterator[ConsoleStep]:
        """Show the step *name* while the block runs. When the block succeeds, print how long it took, unless hidden."""
        step = ConsoleStep(name, self.progress if self.interactive and not self.quiet else None)
        self.steps.append(step)
        began = time.perf_counter()
        if self.interactive and not self.quiet:
            self._messages.write(f"  {escape_controls(name)} …", RETURN)
        try:
            with self._telling(step):
                yield step
        finally:
            step.seconds = time.perf_counter() - began
            if self.interactive and not self.quiet:
                self._messages.write(CLEAR_LINE)
        if not self.quiet and not step.hidden:
            note = escape_controls(step.summary).rstrip()
            mark = "✓" if self._can_encode("✓") else "+"
            head = f"{mark} {escape_controls(name):<10} {step.seconds:6.1f} s" + "  " * bool(note)
            rest = self._wrap(self._messages, head + note)[len(head.rstrip()) :]
            self._messages.write(*self._style(mark, "green"), head[1:].rstrip(), *self._style(rest, "dim"), "\n")

    def _telling(self, step: ConsoleStep) -> AbstractContextManager[None]:
        """Tell what *step* does, again and again while the block runs: on a terminal in the step's own line.

        A step beside an app that prints on the terminal leaves that alone. It runs in another thread than the main one.
        """
        if self.quiet or (self.interactive and threading.current_thread() is not threading.main_thread()):
            return nullcontext()

        def tell() -> None:
            name, text = escape_controls(step.name), escape_controls(step.describe())
            if not self.interactive:
                self._messages.write(f"  {name}: {text}\n")
            elif not step.has_bar:
                line = f"  {name} … {text}"[: max(self._messages.columns - 1, 20)]
                self._messages.write(CLEAR_LINE, line, RETURN)

        return ticking(tell, _TELL_SECONDS if self.interactive else _TELL_ELSEWHERE_SECONDS)

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Progress]:
        """Show a progress bar of *total* bytes on a terminal. Yields the function that advances it by some bytes."""
        if not self.interactive or self.quiet or total <= 0:
            yield lambda _: None
            return
        from rich.console import Console as RichConsole  # lazy: start-up; most commands show no progress bar
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column
        from rich.theme import Theme

        # In a narrow terminal, the bar alone gets narrower.
        whole = [Column(no_wrap=True) for _ in range(3)]
        description = TextColumn("  {task.description}", markup=False, table_column=whole[0])
        size, left = DownloadColumn(table_column=whole[1]), TimeRemainingColumn(table_column=whole[2])
        columns = (description, BarColumn(), size, left)
        theme = Theme({"progress.download": "none", "progress.remaining": "none"})  # green and cyan vanish on white
        rich = RichConsole(file=cast("IO[str]", RichFile(self._messages)), no_color=not self._colour, theme=theme)
        with Progress(*columns, console=rich, transient=True) as bars:
            task = bars.add_task(escape_controls(label), total=total)
            yield lambda count: bars.advance(task, count)

    def info(self, text: str) -> None:
        if not self.quiet:
            self._messages.write(*self._over_step(), self._wrap(self._messages, _indent(text)), "\n")

    def warn(self, text: str) -> None:
        self._message("warning:", _bounded(text), "magenta", "bold")

    def error(self, error: InCameraError) -> None:
        """Print an error: its message, the last lines that a failed program printed, and its hint."""
        self._message("error:", _bounded(str(error)), "red", "bold")
        if tail := getattr(error, "tail", ""):
            lines = [line[:_LONGEST_LINE] for line in tail.splitlines()[-_MOST_LINES:]]
            self._messages.write(*self._style("\n".join(f"  | {line}" for line in lines), "dim"), "\n")
        if error.hint:
            self._message("hint:", _bounded(error.hint), "bold")

    def _message(self, prefix: str, text: str, *styles: str) -> None:
        wrapped = self._wrap(self._messages, f"{prefix} {_indent(text)}")
        self._messages.write(*self._over_step(), *self._style(prefix, *styles), wrapped[len(prefix) :], "\n")

    def _over_step(self) -> tuple[str, ...]:
        """Return what clears the line of the step that is running, if one may be shown."""
        shown = self.interactive and not self.quiet and any(not step.seconds for step in self.steps[-3:])
        return (CLEAR_LINE,) if shown else ()

    def _wrap(self, stream: Stream, text: str) -> str:
        """Return *text* as *stream* shows it: on a terminal, lines that are too long are wrapped."""
        if not stream.isatty():
            return text
        return wrap_words(escape_controls(text, keep="\n\t"), stream.columns)

    def traceback(self) -> None:
        """Print the traceback of the exception that is being handled."""
        import traceback  # lazy: start-up; only for a bug of ours

        self._messages.write(traceback.format_exc())

    def confirm(self, question: str) -> bool:
        """Ask *question* on the terminal. Returns True for "y" or "yes", and False when there is no terminal."""
        if not self.can_ask:
            return False
        self._messages.write(self._wrap(self._messages, f"{escape_controls(question)} [y/N]"), " ")
        with suppress(UnicodeDecodeError):
            return sys.stdin.readline().strip().lower() in ("y", "yes")
        return False

    def ask_secret(self, question: str) -> str | None:
        """Ask for a password, which the terminal does not show. Returns None without a terminal or an answer."""
        if not self.can_ask:
            return None
        from getpass import getpass  # lazy: start-up; only for a password

        self._messages.write(escape_controls(question), " ")
        with suppress(UnicodeDecodeError, EOFError):
            return getpass("") or None
        return None

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody at a terminal who can answer a question."""
        return self.interactive and sys.stdin.isatty()

    def choose(self, question: str, choices: Sequence[str]) -> int | None:
        """Ask on the terminal which of *choices* is meant. Returns its position; None without a terminal or a choice.

        The answer is the number of a choice, or its text.
        """
        if not self.can_ask:
            return None
        for number, choice in enumerate(choices, 1):
            self._messages.write(f"  {number}  {escape_controls(choice)}\n")
        self._messages.write(escape_controls(question), f" [1-{len(choices)}] ")
        try:
            answer = sys.stdin.readline().strip()
        except UnicodeDecodeError:
            return None
        if answer in choices:
            return choices.index(answer)
        return int(answer) - 1 if answer.isdecimal() and 1 <= int(answer) <= len(choices) else None

    # Data

    def emit(self, data: Mapping[str, Any]) -> None:
        """Print *data* as the JSON document of `--json`."""
        self._emit(data, indent=2)

    def emit_line(self, data: Mapping[str, Any]) -> None:
        """Print *data* as a JSON document of one line: one of many, of which there may be no last."""
        self._emit(data, indent=None)

    def _emit(self, data: Mapping[str, Any], *, indent: int | None) -> None:
        # JSON may have U+007F as it is, which is a control character.
        self._output.write(json.dumps({"schema": 1, **data}, indent=indent).replace("\x7f", "\\u007f"), "\n")

    def print(self, text: str) -> None:
        """Print a line on standard output."""
        self._output.write(text, "\n")

    def paragraph(self, text: str) -> None:
        """Print a line on standard output. On a terminal that is too narrow for it, it is wrapped."""
        self._output.write(self._wrap(self._output, text), "\n")

    def app_line(self, time: str, text: str, *, is_error: bool) -> None:
        """Print a stored line of an app's output, as the app printed it, after the *time* of the line."""
        line = Escape(f"{time} {text}".rstrip())
        self._output.write(*self._style(line, "magenta") if is_error and self._colours_output else (line,), "\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table on standard output, with columns padded by spaces.

        On a terminal that is too narrow for it, print each row as a paragraph.
        """
        columns, rows = _escape_cells(columns), [_escape_cells(row) for row in rows]
        widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
        if self._output.isatty():
            terminal_width = self._output.columns
            if sum(widths) + 2 * (len(widths) - 1) > terminal_width:
                self._print_paragraphs(columns, rows, terminal_width)
                return
        for number, row in enumerate((columns, *rows)):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            self._output.write(*self._head(line) if number == 0 else (line,), "\n")

    def _print_paragraphs(self, columns: Sequence[str], rows: Sequence[Sequence[str]], terminal_width: int) -> None:
        for head, *cells in rows:
            self._output.write(*self._head(head), "\n")
            parts = [
                f"{name.lower()}: {cell}" if name else cell
                for name, cell in zip(columns[1:], cells, strict=True)
                if cell
            ]
            if parts:
                self._output.write(wrap_words("  " + ", ".join(parts), terminal_width), "\n")

    @contextmanager
    def live_table(self) -> Iterator[Callable[[str, Sequence[str], Sequence[Sequence[str]]], None]]:
        """Yield a function that shows a line and a table, in place of those that it showed before.

        Where standard output is no terminal, it prints them below those before.
        """
        if not self._output.isatty() or not self.interactive:

            def append(line: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
                for text in (escape_controls(line), *_align(columns, rows)):
                    self.print(text)

            yield append
            return
        from rich.console import Console as RichConsole  # lazy: start-up; only `top` shows a live table
        from rich.live import Live
        from rich.text import Text

        rich = RichConsole(file=cast("IO[str]", RichFile(self._output)), no_color=not self._colours_output)
        header = "bold" if self._colours_output else ""
        with Live(console=rich, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

            def replace(line: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
                text = Text(no_wrap=True, overflow="ellipsis")
                for number, shown in enumerate((escape_controls(line), *_align(columns, rows))):
                    text.append(f"\n{shown}" if number else shown, header if number == 1 else "")
                live.update(text, refresh=True)

            yield replace

    def _style(self, text: str, *names: str) -> tuple[str, ...]:
        """Return what to write for *text* in the styles *names*: it alone where colours are off."""
        if not self._colour or not text:
            return (text,)
        return Escape(f"\x1b[{';'.join(_STYLES[name] for name in names)}m"), text, Escape("\x1b[0m")

    def _head(self, text: str) -> tuple[str, ...]:
        return self._style(text, "bold") if self._colours_output else (text,)

    def _can_encode(self, text: str) -> bool:
        try:
            text.encode(self._messages.encoding)
        except UnicodeEncodeError:
            return False
        return True


def _bounded(text: str) -> str:
    """Return *text*; of one that is much too long, the beginning."""
    lines = text[:_MOST_CHARACTERS].split("\n", _MOST_LINES)
    shown = "\n".join(lines[:_MOST_LINES])
    return shown if shown == text else f"{shown} …"


def _indent(message: str) -> str:
    """Return *message* with its further lines indented: a stranger's text in it cannot pass for a message of ours."""
    return re.sub(r"\n(?=\S)", "\n  ", message)


def _escape_cells(cells: Sequence[str]) -> Sequence[str]:
    """Return *cells* with newlines and tabs shown as text, too: a cell is one line."""
    return [escape_controls(cell) for cell in cells]


def _align(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table's lines. Columns of numbers are aligned right, so they don't move when the numbers change."""
    if not rows:
        return []
    table = [_escape_cells(row) for row in (columns, *rows)]
    aligned = []
    for number in range(len(columns)):
        cells = [row[number] for row in table]
        width = max(map(len, cells))
        numeric = all(cell[:1].isdigit() or cell == "–" for cell in cells[1:])
        aligned.append([cell.rjust(width) if numeric else cell.ljust(width) for cell in cells])
    return ["  ".join(cells).rstrip() for cells in zip(*aligned, strict=True)]
