"""numpy's headers, which say how large C's types are on the machine that the wheel was built for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What gcc and clang define about the machine that they compile for. The names are those of numpy's `_numpyconfig.h`,
# 1.x and 2.x alike; off_t, which isn't here, has 8 bytes wherever Python is built with large files, as Debian's is.
_SIZES = {
    "SHORT": "__SIZEOF_SHORT__",
    "INT": "__SIZEOF_INT__",
    "LONG": "__SIZEOF_LONG__",
    "LONGLONG": "__SIZEOF_LONG_LONG__",
    "PY_LONG_LONG": "__SIZEOF_LONG_LONG__",
    "FLOAT": "__SIZEOF_FLOAT__",
    "COMPLEX_FLOAT": "(2 * __SIZEOF_FLOAT__)",
    "DOUBLE": "__SIZEOF_DOUBLE__",
    "COMPLEX_DOUBLE": "(2 * __SIZEOF_DOUBLE__)",
    "LONGDOUBLE": "__SIZEOF_LONG_DOUBLE__",
    "COMPLEX_LONGDOUBLE": "(2 * __SIZEOF_LONG_DOUBLE__)",
    "INTP": "__SIZEOF_POINTER__",
    "UINTP": "__SIZEOF_POINTER__",
    "PY_INTPTR_T": "__SIZEOF_POINTER__",
    "WCHAR_T": "__SIZEOF_WCHAR_T__",
}
_DEFINITION = re.compile(r"^([ \t]*#[ \t]*define[ \t]+NPY_SIZEOF_(\w+)[ \t]+)\d+[ \t]*$", re.MULTILINE)


def generalise_headers(tree: Path) -> None:
    """Let the headers of a numpy in *tree*, if there is one, ask the compiler: then they are right for every target."""
    for header in tree.glob("numpy/*/include/numpy/_numpyconfig.h"):
        header.write_text(generalise(header.read_text("utf-8")), "utf-8")


def generalise(text: str) -> str:
    """Return the `_numpyconfig.h` *text* with what the compiler knows in place of numbers."""
    return _DEFINITION.sub(lambda match: match[1] + _SIZES[match[2]] if match[2] in _SIZES else match[0], text)
