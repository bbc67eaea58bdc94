"""How a run has to be started: warm, as a fork that has its packages already, or cold, as a Python of its own."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Mapping, Optional, Tuple

# Environment variables that are read when a process starts or when a library is loaded. Both are over in a fork.
_EARLY_PREFIXES = ("PYTHON", "LC_", "LD_", "MALLOC_", "GLIBC_", "OPENBLAS_", "OMP_", "GOMP_")
_EARLY_NAMES = ("LANG", "LANGUAGE")
_EARLY_SUFFIXES = ("_NUM_THREADS",)
# A fork does itself what this one asks for.
_EMULATED = ("PYTHONUNBUFFERED",)


def find_cold_reason(arguments: List[str], environment: Mapping[str, Optional[str]], folder: str) -> Optional[str]:
    """Return why a fork cannot do what `python3 ARGUMENTS` does in *folder*, or None when it can. Raises OSError."""
    early = find_early_variable(environment)
    if early is not None:
        return f"{early} takes effect only when Python starts"
    _unbuffered, rest = split_options(arguments)
    if not rest:
        return "it is an interactive Python"
    if rest[0] in ("-m", "-c"):
        return None if len(rest) > 1 else f"{rest[0]} has no argument"
    if rest[0].startswith("-"):
        return f"{rest[0]} takes effect only when Python starts"
    if not os.path.isfile(os.path.join(folder, rest[0])):
        return f"{rest[0]} is not a file"
    with open(os.path.join(folder, rest[0]), "rb") as stream:
        if stream.read(2) == b"PK":
            return f"{rest[0]} is an archive"
    return None


def find_early_variable(environment: Mapping[str, Optional[str]]) -> Optional[str]:
    """Return a variable that only a new process can be given: it differs from this process's. None without one."""
    for name, value in environment.items():
        early = name.startswith(_EARLY_PREFIXES) or name in _EARLY_NAMES or name.endswith(_EARLY_SUFFIXES)
        if early and name not in _EMULATED and os.environ.get(name) != value:
            return name
    return None


def needs_new_process(reload: Mapping[str, Any]) -> bool:
    """Return whether the request *reload* changes what only a new process can have."""
    early = find_early_variable(reload.get("environment") or {})
    return early is not None or "memory_limit" in reload or "terminal" in reload


def split_options(arguments: List[str]) -> Tuple[bool, List[str]]:
    """Return whether *arguments* begin with -u, and what follows."""
    rest = list(arguments)
    unbuffered = False
    while rest and rest[0] == "-u":
        unbuffered = True
        del rest[0]
    return unbuffered, rest


def apply_environment(environment: Mapping[str, Optional[str]]) -> None:
    """Set the variables in *environment*, and remove those that are None."""
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def name_terminal() -> None:
    """Have SSH_TTY name the terminal at standard input, as an SSH server does that gives a program one."""
    if "SSH_CONNECTION" in os.environ:
        os.environ["SSH_TTY"] = os.ttyname(0)
