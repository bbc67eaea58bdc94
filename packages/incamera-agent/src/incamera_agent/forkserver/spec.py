"""How a run is to be started: warm, as a fork that already has its packages, or cold, as a Python of its own."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional, Tuple

# Read when a process starts, or when a library is loaded: too late for a fork of one that has done both.
_EARLY_PREFIXES = ("PYTHON", "LC_", "LD_", "MALLOC_", "GLIBC_", "OPENBLAS_", "OMP_", "GOMP_")
_EARLY_NAMES = ("LANG", "LANGUAGE")
_EARLY_SUFFIXES = ("_NUM_THREADS",)
# PYTHONUNBUFFERED is made up for by a fork.
_MADE_UP_FOR = ("PYTHONUNBUFFERED",)


def why_cold(arguments: List[str], environment: Mapping[str, Optional[str]], folder: str) -> Optional[str]:
    """Return why a fork cannot do what `python3 ARGUMENTS` would, None when it can."""
    early = find_early(environment)
    if early is not None:
        return f"{early} counts only when Python starts"
    _unbuffered, rest = split_options(arguments)
    if not rest:
        return "an interactive Python"
    if rest[0] in ("-m", "-c"):
        return None if len(rest) > 1 else "an option without its argument"
    if rest[0].startswith("-"):
        return f"{rest[0]} counts only when Python starts"
    if not os.path.isfile(os.path.join(folder, rest[0])):
        return f"{rest[0]} is no file"
    with open(os.path.join(folder, rest[0]), "rb") as stream:
        if stream.read(2) == b"PK":
            return f"{rest[0]} is an archive"
    return None


def find_early(environment: Mapping[str, Optional[str]]) -> Optional[str]:
    """Return a setting that differs from what this process has, and that it is too late for."""
    for name, value in environment.items():
        early = name.startswith(_EARLY_PREFIXES) or name in _EARLY_NAMES or name.endswith(_EARLY_SUFFIXES)
        if early and name not in _MADE_UP_FOR and os.environ.get(name) != value:
            return name
    return None


def must_restart(message: Mapping[str, Any]) -> bool:
    """Tell whether a reload changes what only a new process can have."""
    early = find_early(message.get("environment") or {})
    return early is not None or "memory_limit" in message or "terminal" in message


def split_options(arguments: List[str]) -> Tuple[bool, List[str]]:
    """Return whether there is a -u, and what follows."""
    rest = list(arguments)
    unbuffered = False
    while rest and rest[0] == "-u":
        unbuffered = True
        del rest[0]
    return unbuffered, rest


def apply_environment(environment: Mapping[str, Optional[str]]) -> Dict[str, Optional[str]]:
    """Set and remove what *environment* says; return what was there, in the same form."""
    before = {name: os.environ.get(name) for name in environment}
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return before
