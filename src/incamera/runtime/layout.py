"""Where each file of a Debian package goes in a runtime.

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

# Raise it when what is made of the same packages changes, here or in assemble.py: stored runtimes are made anew then.
FORMAT = 11

APP = "app"
# {"libz.so.1": "libz.so.1.2.13"}: tells whose library is the newer when a device has one of the same name.
LIBRARY_NAMES = "etc/libraries.json"
# What files of packages need, and the runtime has not: the camera must.
MISSING = "etc/missing.json"
PACKAGES = "lib/python3/dist-packages"
# The folder of a bundle's shared libraries, as its launcher has it.
LIBRARIES = "lib"
# Below these two, files wait until it is known which are needed, or what is made of them.
STAGED_LIBRARIES = ".staged/lib"
STAGED_CERTIFICATES = ".staged/certificates"

_TERMINALS = "linux|screen|screen-256color|tmux|tmux-256color|vt100|vt220|xterm|xterm-256color|xterm-color"


def stdlib(target: Target) -> str:
    return f"lib/python{target.python}"


def interpreter(target: Target) -> str:
    return f"libexec/python{target.python}"


@cache
def _trim() -> dict[str, Any]:
    trim: dict[str, Any] = tomllib.loads((Path(__file__).parent / "data" / "trim.toml").read_text("utf-8"))
    return trim


def standing_libraries() -> list[str]:
    always: list[str] = _trim()["always"]
    return always


def double_libraries() -> dict[str, str]:
    doubles: dict[str, str] = _trim()["doubles"]
    return doubles


def plan_layout(target: Target, keep: Sequence[str] = ()) -> Callable[[str], str | None]:
    """Return a function from a path in a package (`usr/lib/…`) to its path in the runtime, None for what is left out.

    *keep*: patterns that are spared from trimming.
    """
    gnu = re.escape(target.architecture.facts.gnu)
    python = re.escape(target.python)
    rules = [
        (re.compile(rf"usr/bin/python{python}"), rf"libexec/python{target.python}"),
        (re.compile(rf"usr/lib/python{python}/(.+)"), rf"lib/python{target.python}/\1"),
        (re.compile(r"usr/lib/python3/dist-packages/(.+)"), rf"{PACKAGES}/\1"),
        (re.compile(rf"usr/lib/{gnu}/((?:[\w.+-]+/)?[\w.+-]+\.so(?:\.[\w.]+)?)"), rf"{STAGED_LIBRARIES}/\1"),
        (re.compile(r"usr/share/zoneinfo/(.+)"), r"share/zoneinfo/\1"),
        (re.compile(rf"usr/(?:lib|share)/terminfo/(./(?:{_TERMINALS}))"), r"share/terminfo/\1"),
        (re.compile(r"usr/share/ca-certificates/mozilla/([^/]+\.crt)"), rf"{STAGED_CERTIFICATES}/\1"),
    ]
    kept = _any_of(keep)
    dropped = _any_of(_trim()["drop"])

    def destination(path: str) -> str | None:
        for pattern, replacement in rules:
            if match := pattern.fullmatch(path):
                placed = match.expand(replacement)
                if "/__pycache__/" in placed or (dropped(placed) and not kept(placed)):
                    return None
                return placed
        return None

    return destination


def plan_packages(target: Target, keep: Sequence[str] = ()) -> Callable[[str], str | None]:
    """Return a function from a path in a wheel to its path below `PACKAGES`, None for what is left out."""
    destination = plan_layout(target, keep)

    def select(path: str) -> str | None:
        placed = destination(f"usr/{PACKAGES}/{path}")
        return None if placed is None else placed.removeprefix(f"{PACKAGES}/")

    return select


def plan_sources(target: Target, keep: Sequence[str] = ()) -> Callable[[str], bool]:
    """Return a function that says of a `.py` file of the runtime whether it stays beside its byte-code."""
    # Debian has a second name for the build's settings, a link.
    kept = _any_of([*keep, "*/_sysconfigdata_*"])
    prefix = f"{stdlib(target)}/"
    return lambda file: not file.startswith(prefix) or bool(kept(file))


def _any_of(patterns: Sequence[str]) -> Callable[[str], object]:
    if not patterns:
        return lambda _: None
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)).match
