"""The layout of a runtime: the path of each file of a Debian package in it.

bin/python3            the launcher (python, python3.x: the same)
bin/incamera-guard     the launcher under the name that makes it the guard
libexec/python3.11     the interpreter itself
lib/*.so.*             every shared library, loader and libc included, by soname, in one folder
lib/python3.11/        the standard library
lib/python3/dist-packages/
share/zoneinfo, share/terminfo, etc/ssl/cert.pem
etc/launcher           what the launcher reads
app/                   the user's own code
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from incamera.targets.target import Target

# Part of each runtime's cache key: increase it when the same packages give another runtime.
FORMAT = 18

APP = "app"
# The original file names of the libraries, {"libz.so.1": "libz.so.1.2.13"}, by which the loader rule compares versions.
LIBRARY_NAMES = "etc/libraries.json"
# The libraries that files of packages need and the runtime does not have, so the camera must have them.
MISSING = "etc/missing.json"
PACKAGES = "lib/python3/dist-packages"
# The folder of a bundle's shared libraries.
LIBRARIES = "lib"
# Folders of files from which only some are taken, or which are combined into one file.
STAGED_LIBRARIES = ".staged/lib"
STAGED_CERTIFICATES = ".staged/certificates"

_SITE_PACKAGES = re.compile(r"^lib/python3(?:\.\d+)?/(?:site|dist)-packages/")
_TERMINALS = "linux|screen|screen-256color|tmux|tmux-256color|vt100|vt220|xterm|xterm-256color|xterm-color"


def stdlib(target: Target) -> str:
    """Return the path of the standard library in a runtime of *target*."""
    return f"lib/python{target.python}"


def interpreter(target: Target) -> str:
    """Return the path of the interpreter in a runtime of *target*."""
    return f"libexec/python{target.python}"


@cache
def _trim() -> dict[str, Any]:
    trim: dict[str, Any] = tomllib.loads((Path(__file__).parent / "data" / "trim.toml").read_text("utf-8"))
    return trim


@cache
def debian_paths() -> dict[str, Any]:
    """Return the tables of debian_paths.toml."""
    paths: dict[str, Any] = tomllib.loads((Path(__file__).parent / "data" / "debian_paths.toml").read_text("utf-8"))
    return paths


def always_included() -> list[str]:
    """Return the libraries that every runtime has, even if no file needs them."""
    always: list[str] = _trim()["always"]
    return always


def duplicate_libraries() -> dict[str, str]:
    """Return libraries that another one may replace, and the library that does."""
    duplicates: dict[str, str] = _trim()["duplicates"]
    return duplicates


@cache  # a folder has many files
def is_dropped_folder(folder: str) -> bool:
    """Return whether trimming leaves out everything in *folder*."""
    return bool(_dropped()(f"{folder}/-"))


def replaced_modules() -> list[str]:
    """Return the dropped modules that are not put back, even if something imports them."""
    replaced: list[str] = _trim()["replaced"]
    return replaced


def is_dropped_unless_imported(path: str) -> bool:
    """Return whether a pattern fits *path* that is a guess: nobody has looked whether its own package needs it."""
    return bool(_any_of(_trim()["drop_unless_imported"])(path))


@cache
def _dropped() -> Callable[[str], object]:
    return _any_of([*_trim()["drop"], *_trim()["drop_unless_imported"]])


def plan_layout(
    target: Target, keep: Sequence[str] = (), on_drop: Callable[[str], None] = lambda path: None
) -> Callable[[str], str | None]:
    """Return a function that maps a path in a package (`usr/lib/…`) to the path in the runtime; None leaves it out.

    *keep*: patterns of paths in the runtime that are not trimmed. *on_drop* is called with each path that is.
    """
    gnu = re.escape(target.architecture.facts.gnu)
    python = re.escape(target.python)
    rules = [
        (re.compile(rf"usr/bin/python{python}"), rf"libexec/python{target.python}"),
        (re.compile(rf"usr/lib/python{python}/(.+)"), rf"lib/python{target.python}/\1"),
        (re.compile(r"usr/lib/python3/dist-packages/(.+)"), rf"{PACKAGES}/\1"),
        (re.compile(rf"usr/lib/{gnu}/((?:[\w.+-]+/)?[\w.+-]+\.so(?:\.[\w.]+)?)"), rf"{STAGED_LIBRARIES}/\1"),
        (re.compile(r"usr/share/zoneinfo/(.+)"), r"share/zoneinfo/\1"),
        (re.compile(rf"usr/share/((?:{'|'.join(map(re.escape, debian_paths()['data']))})/.+)"), r"share/\1"),
        (re.compile(rf"usr/(?:lib|share)/terminfo/(./(?:{_TERMINALS}))"), r"share/terminfo/\1"),
        (re.compile(r"usr/share/ca-certificates/mozilla/([^/]+\.crt)"), rf"{STAGED_CERTIFICATES}/\1"),
    ]
    kept = _any_of(keep)
    dropped = _dropped()

    def destination(path: str) -> str | None:
        for pattern, replacement in rules:
            if match := pattern.fullmatch(path):
                placed = match.expand(replacement)
                if "/__pycache__/" in placed:
                    return None
                if dropped(placed) and not kept(placed):
                    on_drop(placed)
                    return None
                return placed
        return None

    return destination


def wheel_folders(target: Target, packages: str = PACKAGES) -> dict[str, str]:
    """Return the folders of a runtime for the schemes of a wheel's files, as the bundle's sysconfig names them.

    *packages* is the folder for what is imported.
    """
    return {
        "purelib": packages,
        "platlib": packages,
        "data": "",
        "scripts": "bin",
        "headers": f"include/python{target.python}",
    }


def plan_wheel(
    keep: Sequence[str] = (), on_drop: Callable[[str], None] = lambda path: None
) -> Callable[[str], str | None]:
    """Return a function that returns the final path of a wheel's file in the runtime; None leaves it out.

    *keep* and *on_drop* as for `plan_layout`.
    """
    kept = _any_of(keep)
    dropped = _dropped()

    def select(path: str) -> str | None:
        path = beside_modules(path)
        if "/__pycache__/" in path:
            return None
        if dropped(path) and not kept(path):
            on_drop(path)
            return None
        return path

    return select


def beside_modules(path: str, packages: str = PACKAGES) -> str:
    """Return *path*, or where it is in *packages*: data files in `lib/python3.11/site-packages` are for the modules."""
    return _SITE_PACKAGES.sub(f"{packages}/", path, count=1)


def is_reserved(path: str, target: Target, packages: str = PACKAGES) -> bool:
    """Return whether *path* in a bundle belongs to the runtime itself, so that no package may have a file there.

    *packages* is the folder of what can be imported.
    """
    return not path.startswith(f"{packages}/") and bool(
        re.fullmatch(
            rf"libexec/.*|{APP}/.*|device/.*|\.staged/.*|bin/(?:python[\d.]*|incamera-guard)|bundle\.json"
            rf"|etc/(?:launcher|ssl/cert\.pem)|{LIBRARY_NAMES}|{MISSING}|lib/python{re.escape(target.python)}/.*",
            path,
        )
    )


def plan_sources(target: Target, keep: Sequence[str] = ()) -> Callable[[str], bool]:
    """Return a function that says whether a `.py` file of the runtime is kept beside its byte-code."""
    # _sysconfigdata_*: a symbolic link in Debian's package leads to it.
    kept = _any_of([*keep, "*/_sysconfigdata_*"])
    prefix = f"{stdlib(target)}/"
    return lambda file: not file.startswith(prefix) or bool(kept(file))


def _any_of(patterns: Sequence[str]) -> Callable[[str], object]:
    if not patterns:
        return lambda _: None
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)).match
