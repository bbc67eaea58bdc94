"""The programs that distributions declare as entry points (`console_scripts`), written into a bundle's `bin`."""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable
from pathlib import Path

from incamera.errors import BuildError

# A bundle has no fixed place, so the shell finds Python beside the script. To Python, lines 2 and 3 are a string.
SCRIPT_START = """#!/bin/sh
'''exec' "$(dirname "$(readlink -f "$0")")/python3" "$0" "$@"
' '''
"""
_NAME = re.compile(r"[\w.+-]*\w[\w.+-]*")
_OBJECT = re.compile(r"(?P<module>\w+(?:\.\w+)*)\s*:\s*(?P<name>\w+(?:\.\w+)*)\s*(?:\[.*\])?")
_MAX_BYTES = 1_000_000
# The time that configparser and _NAME need grows with the square of a line's length.
_MAX_LINE = 500
_MAX_NAME_BYTES = 255
_SCRIPT = """import os
import sys

sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "{folder}")
from {module} import {first}

sys.exit({name}())
"""


def write_scripts(tree: Path, folder: str, is_reserved: Callable[[str], bool]) -> None:
    """Write the scripts of the distributions in *folder* of *tree*. A file that is there already stays.

    Raises BuildError for a script whose name leads out of `bin`, or that would replace a file of the runtime.
    """
    for path in sorted((tree / folder).glob("*.*-info/entry_points.txt")):
        for name, value in _read_scripts(path).items():
            is_long = len(name.encode()) > _MAX_NAME_BYTES
            if is_long or not _NAME.fullmatch(name) or is_reserved(f"bin/{name}"):
                raise BuildError(f'{path.parent.name}: a script cannot be called "{name}"')
            match = _OBJECT.fullmatch(value.strip())
            target = tree / "bin" / name
            if match is None or target.is_symlink() or target.exists():
                continue
            target.parent.mkdir(exist_ok=True)
            first = match["name"].partition(".")[0]
            script = _SCRIPT.format(folder=folder, module=match["module"], first=first, name=match["name"])
            target.write_text(SCRIPT_START + script, "utf-8")
            target.chmod(0o755)


def _read_scripts(path: Path) -> dict[str, str]:
    if path.is_symlink() or path.stat().st_size > _MAX_BYTES:
        return {}
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        text = path.read_text("utf-8")
        if any(len(line) > _MAX_LINE for line in text.splitlines()):
            return {}
        parser.read_string(text)
    except (configparser.Error, ValueError):
        return {}
    sections = [section for section in ("console_scripts", "gui_scripts") if parser.has_section(section)]
    return {name: value for section in sections for name, value in parser.items(section)}
