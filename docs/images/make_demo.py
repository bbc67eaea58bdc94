"""Make demo.svg: the real output of `make demo`, as a terminal shows it.

    python docs/images/make_demo.py [--output FILE] [COMMAND ...]

Runs the command (default: `make demo`) in the repository under a pseudo terminal, keeps what stands on the screen at
its end, and has rich draw it. Run `make setup` first, so that pip has nothing to say about this computer.
Nothing is drawn when the command fails, or when the text holds names or paths of this computer.
"""

from __future__ import annotations

import argparse
import fcntl
import itertools
import os
import pty
import re
import shlex
import socket
import struct
import sys
import termios
from pathlib import Path
from urllib.parse import urlsplit

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
COLUMNS, ROWS = 128, 50
_SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n\b])|([^\x1b\r\n\b])", re.DOTALL)


class Screen:
    """As much of a terminal as steps and progress bars need: cells with a colour, erasing, moving up, wrapping."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines: list[list[tuple[str, str]]] = [[]]
        self.row = self.column = 0
        self.style = ""

    def feed(self, text: str) -> None:
        for match in _SEQUENCE.finditer(text):
            parameters, command, control, character = match.groups()
            if command == "m":
                self.style = "" if parameters in ("", "0") else f"\x1b[{parameters}m"
            elif command == "K":
                start = 0 if parameters == "2" else self.column
                del self.lines[self.row][start:]
            elif command == "A":
                self.row = max(0, self.row - int(parameters or 1))
            elif control == "\r":
                self.column = 0
            elif control == "\n":
                self._down()
            elif control == "\b":
                self.column = max(0, self.column - 1)
            elif character:
                self._put(character)

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append([])

    def _put(self, character: str) -> None:
        if self.column == self.columns:
            self.column = 0
            self._down()
        line = self.lines[self.row]
        line.extend([(" ", "")] * (self.column + 1 - len(line)))
        line[self.column] = (character, self.style)
        self.column += 1

    def to_ansi(self) -> str:
        return "\n".join(map(_line_to_ansi, self.lines)).rstrip()

    def to_plain(self) -> str:
        return "\n".join("".join(text for text, _ in line).rstrip() for line in self.lines)


def _line_to_ansi(line: list[tuple[str, str]]) -> str:
    # One sequence for all cells of a style: rich draws a piece of text for each, and leaves out those that are blank.
    runs = itertools.groupby(line, key=lambda cell: cell[1])
    words = [(style, "".join(text for text, _ in run)) for style, run in runs]
    return "".join(f"{style}{text}\x1b[0m" if style else text for style, text in words)


def record(command: list[str], folder: Path = REPOSITORY, columns: int = COLUMNS) -> Screen:
    """Run *command* to its end in *folder* in a terminal, shown as it goes. Exits when it fails."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.environ["TERM"] = "xterm-256color"
        os.environ.pop("NO_COLOR", None)
        # Before the command looks at it.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        os.execvp(command[0], command)
    output = bytearray()
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        output += data
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        sys.exit(f"{shlex.join(command)}: exit code {code}")
    screen = Screen(columns)
    screen.feed(output.decode())
    return screen


def find_private(text: str) -> list[str]:
    """Return what of this computer stands in *text*."""
    from incamera.debian.mirror import find_mirror

    mirror = find_mirror(os.environ)
    names = [str(REPOSITORY), str(Path.home()), socket.gethostname(), os.environ.get("INCAMERA_STORE", "")]
    names += [str(urlsplit(address).hostname) for address in (mirror.main, mirror.security)]
    return [name for name in names if len(name) > 3 and name in text]


def draw(screens: list[tuple[list[str], Screen]], output: Path, columns: int = COLUMNS) -> None:
    """Write the commands, and what each left on its screen, into *output*. Exits when that holds private names."""
    if private := [name for _, screen in screens for name in find_private(screen.to_plain())]:
        sys.exit(f"not drawn: the output holds {private}")
    with Path(os.devnull).open("w") as nowhere:
        console = Console(width=columns, record=True, file=nowhere, force_terminal=True, highlight=False)
        for command, screen in screens:
            console.print(Text("$ " + shlex.join(command), style="bold"))
            console.print(Text.from_ansi(screen.to_ansi()))
        console.print()  # else the picture ends within the last line, above an underscore
        # Without the fonts that rich would load from the web: whoever looks has a monospaced one.
        code_format = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
        # Not every viewer keeps the spaces that a line begins with unless told so.
        code_format = code_format.replace("<svg ", '<svg xml:space="preserve" ', 1)
        svg = console.export_svg(title="incamera", unique_id=output.stem, code_format=code_format)
    svg = "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"
    output.write_text(svg, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=HERE / "demo.svg")
    parser.add_argument("command", nargs="*", default=["make", "demo"])
    arguments = parser.parse_args()
    draw([(arguments.command, record(arguments.command))], arguments.output)


if __name__ == "__main__":
    main()
