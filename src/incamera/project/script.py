"""The metadata block at the top of a script (PEP 723): its dependencies, without a pyproject.toml.

    # /// script
    # requires-python = ">=3.11"
    # dependencies = ["numpy"]
    # ///

https://packaging.python.org/en/latest/specifications/inline-script-metadata/
"""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incamera.errors import ConfigError, UsageError
from incamera.names import closest, did_you_mean
from incamera.toml import parse_toml

# More than any script has. What is larger is another kind of file.
MOST_BYTES = 16 << 20

_OPENING = re.compile(r"# /// ([a-zA-Z0-9-]+)")
_CLOSING = "# ///"
# A line that was meant as the opening line of a block.
_NEARLY_OPENING = re.compile(r"\s*#\s*/{2,4}\s*script\s*", re.IGNORECASE)
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_ENCODING = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*[-\w.]+")


@dataclass(frozen=True, slots=True)
class Block:
    """A metadata block: its TOML text, and the numbers of its first and last line, counted from 1."""

    content: str
    first_line: int
    last_line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """A script and the table of its metadata block; *table* is None where it has no block.

    *doubts* are lines about what looks like a block and is none.
    """

    path: Path
    text: str
    table: Mapping[str, Any] | None
    doubts: tuple[str, ...] = ()


def load_script(path: Path) -> Script:
    """Return the script at *path*. Raises UsageError when there is none, ConfigError for one that is faulty."""
    text = read_source(path)
    block, doubts = find_block(text, str(path))
    table = parse_block(block, str(path)) if block is not None else None
    return Script(path=path, text=text, table=table, doubts=tuple(f"{path}, {doubt}" for doubt in doubts))


def missing_file_hint(path: Path) -> str:
    """Return the hint for the missing Python file *path*: a similar name, or those that are in its folder."""
    files = sorted(file.name for file in path.parent.glob("*.py"))
    if hint := did_you_mean(path.name, files):
        return hint
    return "Python files there: " + ", ".join(files[:5]) if files else "correct the path"


def read_source(path: Path) -> str:
    """Return the text of the Python file *path*, decoded as Python decodes it, with `\\n` at each line's end.

    Raises UsageError for a missing file, ConfigError for one that is too large, and one that is not text.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}", hint=missing_file_hint(path)) from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder, not a Python file", hint="name a file") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="make it readable") from error
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{path} has more than {MOST_BYTES >> 20} MiB, so it is not taken for a script")
    return decode_source(data, str(path))


def decode_source(data: bytes, name: str) -> str:
    """Return *data*, the Python file *name*, as text. Raises ConfigError when it is not in its declared encoding."""
    import tokenize  # lazy: start-up

    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, LookupError, ValueError) as error:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        if message.startswith("invalid or missing encoding"):
            message = "this is not UTF-8, and no other encoding is named"
        raise ConfigError(
            f"{name}: {message}",
            hint="save it as UTF-8, or name its encoding in the first line: # -*- coding: latin-1 -*-",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def find_block(text: str, name: str) -> tuple[Block | None, list[str]]:
    """Return the block of the type `script` in *text*, and a line for each line that looks like the start of one.

    The grammar is that of the specification: a block ends at the last line `# ///` of its run of comment lines, and one
    that does not end is none. Raises ConfigError, with *name*, when there are two blocks.
    """
    lines = text.split("\n")
    found: list[Block] = []
    doubts: list[str] = []
    number = 0
    while number < len(lines):
        opening = _OPENING.fullmatch(lines[number])
        if opening is None:
            if _NEARLY_OPENING.fullmatch(lines[number]):
                doubts.append(f"line {number + 1}: this starts no metadata block; the line must be `# /// script`")
            number += 1
            continue
        end = number + 1
        while end < len(lines) and (lines[end] == "#" or lines[end].startswith("# ")):
            end += 1
        # All blocks of one run of comments would end at the same line, so there is only one.
        last = next((n for n in range(end - 1, number + 1, -1) if lines[n] == _CLOSING), None)
        if opening[1] == "script":
            if last is None:
                doubts.append(
                    f"line {number + 1}: this metadata block is empty or does not end, so it is ignored; "
                    "each of its lines must begin with `# `, and the last one must be `# ///`"
                )
            else:
                content = "\n".join(line[2:] for line in lines[number + 1 : last])
                found.append(Block(content, number + 1, last + 1))
        elif closest(opening[1], ["script"]):
            doubts.append(f"line {number + 1}: this block is ignored; the line must be `# /// script`")
        # In a run without a closing line, no other line can start a block either.
        number = end if last is None else last + 1
    if len(found) > 1:
        raise ConfigError(
            f"{name} has two metadata blocks, in lines {found[0].first_line} and {found[1].first_line}",
            hint="a script has one block `# /// script`; remove the other",
        )
    return (found[0] if found else None), doubts


def parse_block(block: Block, name: str) -> Mapping[str, Any]:
    """Return the table in *block* of the script *name*. Raises ConfigError with the line of the script."""
    try:
        return parse_toml(block.content)
    except tomllib.TOMLDecodeError as error:
        message, place = str(error), _TOML_PLACE.search(str(error))
        line, column = block.last_line, ""
        if place is not None:
            message = message[: place.start()]
            if place[1] is not None:
                line, column = block.first_line + int(place[1]), f", column {int(place[2]) + 2}"
        raise ConfigError(
            f"{name}, line {line}{column}: {message}", hint="https://toml.io shows how it is written"
        ) from error


def replace_block(text: str, content: str, name: str) -> str:
    """Return the script *text* with a block that has the TOML *content* in place of its own.

    A new block goes to the top, below a line that names the interpreter or the encoding.
    """
    block, _ = find_block(text, name)
    body = ["#" if not line else f"# {line}" for line in content.rstrip("\n").split("\n")]
    made = ["# /// script", *body, _CLOSING]
    lines = text.split("\n")
    if block is not None:
        return "\n".join([*lines[: block.first_line - 1], *made, *lines[block.last_line :]])
    first = 1 if lines[0].startswith("#!") else 0
    if first < len(lines) and _ENCODING.match(lines[first]):
        first += 1
    separator = [""] if first < len(lines) and lines[first].strip() else []
    return "\n".join([*lines[:first], *made, *separator, *lines[first:]])
