"""The streams that the console writes to: what strangers sent cannot control the terminal.

A control character is shown as text (`\\x1b`), whoever prints it, because `Stream.write` lets no other escape sequences
through than ours (`Escape`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from incamera.errors import StoreError
from incamera.units import escape_controls

_DEFAULT_COLUMNS = 80
# What ASCII and other small encodings have in place of characters of our messages.
_PLAIN = str.maketrans({"…": "...", "–": "-", "→": "->", "‘": "'", "’": "'", "“": '"', "”": '"'})


def encodable(text: str, encoding: str, errors: str) -> str:
    """Return *text* with only characters that *encoding* has. *errors* is as in `str.encode`."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        if errors == "replace":
            text = text.translate(_PLAIN)
        return text.encode(encoding, errors).decode(encoding)
    return text


class OutputClosed(Exception):
    """The program that reads our output has closed the pipe, as `| head` does."""


class Escape(str):
    """An escape sequence of ours, or a carriage return: text that a terminal obeys."""

    __slots__ = ()


RETURN = Escape("\r")
CLEAR_LINE = Escape("\x1b[2K")


class Stream:
    """An output stream that writes each text at once.

    *errors* says how characters are written that its encoding lacks, as in `str.encode`.
    """

    def __init__(self, stream: TextIO, errors: str) -> None:
        self.stream = stream
        self.encoding = stream.encoding or "utf-8"
        self._errors = errors

    def isatty(self) -> bool:
        return self.stream.isatty()

    @property
    def columns(self) -> int:
        """How many columns its terminal has; `COLUMNS` in the environment goes first."""
        with suppress(KeyError, ValueError):
            return int(os.environ["COLUMNS"]) or _DEFAULT_COLUMNS
        with suppress(OSError, ValueError):
            return os.get_terminal_size(self.stream.fileno()).columns or _DEFAULT_COLUMNS
        return _DEFAULT_COLUMNS

    def write(self, *parts: str) -> None:
        """Write *parts*: each `Escape` as it is, and text with its control characters shown as text.

        Newlines and tabs stay. Raises OutputClosed, or StoreError when it cannot be written, as on a full disk.
        """
        self.write_raw(
            "".join(part if isinstance(part, Escape) else escape_controls(part, keep="\n\t") for part in parts)
        )

    def write_raw(self, text: str) -> None:
        """Write *text* as it is: for the app's own output, and for Rich, which is given escaped texts."""
        text = encodable(text, self.encoding, self._errors)
        try:
            self.stream.write(text)
            self.stream.flush()
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise StoreError(f"cannot print: {error.strerror}") from error


class _EscapingStream:
    """Standard error for everything else in this process: what Python, `logging` or a library prints there."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(escape_controls(text, keep="\n\t"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def escaping_errors() -> Iterator[None]:
    """Show control characters as text in what others than the console print on standard error in the block."""
    before = sys.stderr
    sys.stderr = cast("TextIO", _EscapingStream(before))
    try:
        yield
    finally:
        sys.stderr = before


class RichFile:
    """A `Stream` as the file that Rich writes to."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.encoding = stream.encoding
        self.write = stream.write_raw
        self.isatty = stream.isatty

    def flush(self) -> None:
        """Do nothing: each text is written at once."""
