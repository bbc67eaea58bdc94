"""Finds out which of the camera's libraries a project uses: its sources include their headers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from incamera.sdk.tables import Library, load_libraries

# C, C++, Cython, and Python: cffi has C code in strings.
_SOURCES = (
    *(".c", ".cc", ".cpp", ".cxx", ".c++", ".h", ".hh", ".hpp", ".hxx", ".inl", ".m", ".in"),
    *(".pyx", ".pxd", ".pxi", ".py"),
)
_NAMED = re.compile(rb"""["'<]([\w./+-]+\.h)[>"']""")
# In bytes. A larger file is data in the form of C.
_MAX_SOURCE = 4_000_000


def find_used(folder: Path, files: Iterable[str]) -> tuple[Library, ...]:
    """Return the libraries whose headers are named in *files*, which are relative to *folder*.

    A header of the project's own hides one of the camera's libraries that has the same name.
    """
    sources = [file for file in files if file.endswith(_SOURCES)]
    named: set[str] = set()
    for source in sources:
        path = folder / source
        try:
            if path.stat().st_size <= _MAX_SOURCE:
                named |= {name.decode() for name in _NAMED.findall(path.read_bytes())}
        except OSError:  # the build says so
            continue
    own = {source for source in sources if source.endswith(".h")}
    used = {_by_header()[name].name for name in named & _by_header().keys() if not _is_own(name, own)}
    return tuple(library for library in load_libraries().values() if library.name in used)


def _is_own(name: str, own: Iterable[str]) -> bool:
    return any(f"/{path}".endswith(f"/{name}") for path in own)


@cache
def _by_header() -> dict[str, Library]:
    return {header.name: library for library in load_libraries().values() for header in library.headers}
