"""What is wrong with a file that is not valid Python, as Python itself says it."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_LINE = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A syntax error. *line* and *column* count from 1; *text* is the line."""

    message: str
    line: int | None = None
    column: int | None = None
    text: str | None = None


def find_fault(source: bytes, python: str) -> Fault | None:
    """Return what Python *python* ("3.11") has against *source*; None for nothing, or where this Python cannot tell.

    A newer Python reads what an older one does, so this Python cannot judge what is written for a newer one.
    """
    version = _parse_version(python)
    if version > sys.version_info[:2]:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(source, "app", "exec", dont_inherit=True)
            if version < sys.version_info[:2]:
                import ast  # lazy: start-up

                ast.parse(source, feature_version=version)
    except (SyntaxError, ValueError) as error:
        number = getattr(error, "lineno", None)
        return Fault(
            message=f"{type(error).__name__}: {getattr(error, 'msg', error)}",
            line=number,
            column=getattr(error, "offset", None),
            text=_find_line(source, number),
        )
    except (RecursionError, MemoryError):
        return None
    return None


def describe_fault(fault: Fault, name: str, source: Path | str, outcome: str) -> str:
    """Return what Python would print of *fault* in the file *source*, under a line that says the *outcome*.

    *name* is the file's name for the user.
    """
    lines = [f"{name} has a syntax error, so {outcome}", f'  File "{source}", line {fault.line or 1}']
    if fault.text and fault.text.strip():
        text = fault.text.rstrip("\n")[:_LONGEST_LINE]
        indent = len(text) - len(text.lstrip())
        lines.append(f"    {text.lstrip()}")
        if fault.column and fault.column <= len(text) + 1:
            lines.append(" " * (4 + max(0, fault.column - 1 - indent)) + "^")
    message = fault.message
    lines.append(message if "Error" in message.partition(":")[0] else f"SyntaxError: {message}")
    return "\n".join(lines)


def _parse_version(python: str) -> tuple[int, int]:
    major, minor = python.split(".")[:2]
    return int(major), int(minor)


def _find_line(source: bytes, number: int | None) -> str | None:
    lines = source.splitlines()
    return lines[number - 1].decode("utf-8", "replace") if number and number <= len(lines) else None
