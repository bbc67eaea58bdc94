"""A command at a terminal, and a user who types and reads there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from .command import COMMAND_SECONDS

# The readline module sets them in a process that imports it, and its children would believe them.
_SIZE = ("COLUMNS", "LINES")


class Terminal:
    """A command that runs at a terminal of 100 columns and 30 lines."""

    def __init__(self, *words: str | Path, env: Mapping[str, str]) -> None:
        self.end, inner = pty.openpty()
        self.resize(100, 30)
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "incamera", *map(str, words)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={name: value for name, value in env.items() if name not in _SIZE},
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        self.before = termios.tcgetattr(inner)
        self.inner = inner

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.end)
        os.close(self.inner)

    def type(self, keys: str) -> None:
        os.write(self.end, keys.encode())

    def await_text(self, text: str) -> None:
        """Wait until *text* is shown, and forget all up to it."""
        deadline = time.monotonic() + COMMAND_SECONDS
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} was not shown: {self.shown!r}"
            self.read()
        self.shown = self.shown.partition(text)[2]

    def insist(self, keys: str, text: str) -> None:
        """Type *keys*, once more each second, until *text* is shown; forget all up to it.

        For Ctrl-C: readline misses a signal that comes in the moment before it waits for a key.
        """
        deadline = time.monotonic() + COMMAND_SECONDS
        due = 0.0
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} was not shown: {self.shown!r}"
            if time.monotonic() >= due:
                self.type(keys)
                due = time.monotonic() + 1
            self.read()
        self.shown = self.shown.partition(text)[2]

    def read(self) -> None:
        if select.select([self.end], [], [], 0.1)[0]:
            self.shown += os.read(self.end, 65536).decode("utf-8", "replace")

    def finish(self) -> int:
        # What is still shown must be read, or the process would wait for it.
        deadline = time.monotonic() + COMMAND_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it did not end: {self.shown!r}"
            self.read()
        return self.process.wait()


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # A shell starts its background jobs with SIGINT ignored; tests that run in one would pass that on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
