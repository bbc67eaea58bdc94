"""Finds the headers of what a project builds against: build requirements (numpy, pybind11) and Debian's -dev packages.

The compiler searches them after all other folders, so that `#include <numpy/arrayobject.h>` needs no setting, and no
header of the project or of the C library is hidden by another of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

# Where packages have headers, relative to the package's own folder: numpy's are in numpy/_core/include.
_PLACES = ("include", "*/include")
# How deep in there a header must be.
_HEADERS = tuple(f"{depth}*{ending}" for depth in ("", "*/", "*/*/") for ending in (".h", ".hh", ".hpp", ".hxx"))
# pip installs the data files of a wheel into include/, if they are named so, and its headers into include/python…/.
_DATA = "include"
# What pkg-config would add, with variables: -I${includedir}/eigen3.
_FLAGS = re.compile(r"^Cflags:(.*)$", re.MULTILINE)
_INCLUDE = re.compile(r"-I\s*(\S+)")
_DEFINITION = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
# Of variables in variables.
_MAX_DEPTH = 8
# In bytes.
_MAX_PC = 100_000


def find_headers(requirements: Path, sysroot: Path, gnu: str) -> dict[str, Path]:
    """Return the folders with headers that no compiler searches by itself, each by a name of its own.

    *requirements*: a tree of build requirements. *gnu*: the target's GNU triplet, which folders of *sysroot* have.
    """
    found: dict[str, Path] = {}
    for package in sorted(requirements.iterdir()) if requirements.is_dir() else ():
        if package.name == _DATA:
            for folder in filter(_has_headers, (*sorted(package.glob("python*")), package)):
                _add(found, "headers" if folder != package else "data", folder)
        elif package.is_dir() and not package.name.endswith(".dist-info"):
            for folder in filter(_has_headers, sorted(path for place in _PLACES for path in package.glob(place))):
                _add(found, package.name, folder)
    for folder in _find_dev_headers(sysroot, gnu):
        _add(found, folder.name, folder)
    return found


def link_headers(folder: Path, headers: Mapping[str, Path]) -> None:
    """Make *folder* one that has a link to each of *headers*, and nothing else."""
    folder.mkdir(exist_ok=True)
    for link in folder.iterdir():
        link.unlink()
    for name, path in headers.items():
        (folder / name).symlink_to(path)


def _add(found: dict[str, Path], name: str, folder: Path) -> None:
    while name in found:
        name = f"{name}-{folder.parent.name}"
    found[name] = folder


def _has_headers(folder: Path) -> bool:
    return folder.is_dir() and any(next(folder.glob(pattern), None) is not None for pattern in _HEADERS)


def _find_dev_headers(sysroot: Path, gnu: str) -> list[Path]:
    """Return the folders that pkg-config's files in *sysroot* name, but for those that are searched anyway.

    (libeigen3-dev has its headers in usr/include/eigen3.)
    """
    found: dict[Path, None] = {}
    for place in (f"usr/lib/{gnu}/pkgconfig", "usr/lib/pkgconfig", "usr/share/pkgconfig"):
        for file in sorted((sysroot / place).glob("*.pc")):
            # Every build of a Python module names Python's own.
            if not file.name.startswith("python"):
                found |= {sysroot / path.lstrip("/"): None for path in _include_folders(file)}
    searched = (sysroot / "usr/include", sysroot / "usr/include" / gnu)
    return [folder for folder in found if folder not in searched and folder.is_dir()]


def _include_folders(file: Path) -> Iterator[str]:
    """Yield the absolute paths that *file*, of pkg-config, adds to the compiler's search path."""
    if not file.is_file() or file.stat().st_size > _MAX_PC:
        return
    text = file.read_text("utf-8", "replace")
    variables = dict(_DEFINITION.findall(text))
    flags = _FLAGS.search(text)
    for path in _INCLUDE.findall(flags[1]) if flags else ():
        for _ in range(_MAX_DEPTH):
            path = _VARIABLE.sub(lambda match: variables.get(match[1], "").strip(), path)
        if path.startswith("/usr/") and ".." not in Path(path).parts:
            yield path.rstrip("/")
