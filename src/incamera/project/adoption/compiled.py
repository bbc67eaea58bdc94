"""What C and Cython sources are compiled with: packages whose headers or declarations they name."""

from __future__ import annotations

import re
from pathlib import Path

from incamera.project.files import project_files

_SOURCES = (".pyx", ".pxd", ".pxi", ".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx")
# By the first word of `cimport numpy` and of `#include <numpy/arrayobject.h>`: the distribution that has it.
_PACKAGES = {"numpy": "numpy", "pybind11": "pybind11", "nanobind": "nanobind", "greenlet": "greenlet"}
_NAMED = re.compile(
    r"""^[ \t]*(?: cimport[ \t]+(\w+) | from[ \t]+(\w+)[\w.]*[ \t]+cimport\b | \#[ \t]*include[ \t]*[<"](\w+)/ )""",
    re.MULTILINE | re.VERBOSE,
)
_MOST_FILES = 2000
_MAX_BYTES = 1_000_000


def find_compiled_packages(folder: Path) -> list[str]:
    """Return the distributions that the sources in *folder* need when they are compiled, sorted."""
    found = set()
    for path in [path for path in project_files(folder) if path.endswith(_SOURCES)][:_MOST_FILES]:
        try:
            with (folder / path).open("rb") as stream:
                text = stream.read(_MAX_BYTES).decode("utf-8", "replace")
        except OSError:  # the build says so
            continue
        words = {word for groups in _NAMED.findall(text) for word in groups}
        found |= {_PACKAGES[word] for word in words & _PACKAGES.keys()}
    return sorted(found)
