"""Adapts numpy's headers, which have the sizes of C's types on the machine that the wheel was built for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Macros in which gcc and clang give the sizes on their target, by the names in `_numpyconfig.h` of numpy 1.x and 2.x.
# off_t is not here: it has 8 bytes where Python is built with large-file support, as Debian's is.
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
    """Make the headers of numpy in *tree*, if it is there, right for every target."""
    for header in tree.glob("numpy/*/include/numpy/_numpyconfig.h"):
        header.write_text(generalise(header.read_text("utf-8")), "utf-8")


def generalise(text: str) -> str:
    """Return *text*, a `_numpyconfig.h`, with the compiler's macros in place of numbers."""
    return _DEFINITION.sub(lambda match: match[1] + _SIZES[match[2]] if match[2] in _SIZES else match[0], text)
