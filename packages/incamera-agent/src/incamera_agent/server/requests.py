"""Checks the requests of the host, one function for each message with more than a name in it, before anything is done.

A request that passes cannot surprise what fulfils it: not the agent, and not the processes that it starts.
Each function raises RequestError for what is not as docs/reference/agent-protocol.md describes it.
"""

from __future__ import annotations

import signal

from incamera_agent.wire.connection import RequestError
from incamera_agent.wire.protocol import ErrorKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

    from incamera_agent.wire.frames import Message

_LONGEST_NAME = 255
_LONGEST_GRACE_SECONDS = 3600.0
# What the kernel has room for in a terminal's size.
_LARGEST_SIZE = 0xFFFF
_LARGEST = (1 << 63) - 1


def parse_start(message: Message) -> Message:
    """Return the request `start` with all that a run needs; `folder` is None where the live folder is meant."""
    return {
        **message,
        "run": parse_run(message),
        "arguments": _parse_words(message, "arguments"),
        "environment": _parse_environment(message),
        "folder": _parse_text(message, "folder") if message.get("folder") else None,
        "terminal": _parse_terminal(message),
        "memory_limit": _parse_limit(message),
        "line_buffered": bool(message.get("line_buffered")),
    }


def parse_reload(message: Message) -> Message:
    """Return the request `reload`. What it leaves out, or has no value for, stays left out."""
    parsed: Message = {"type": message["type"], "run": parse_run(message)}
    if "id" in message:
        parsed["id"] = message["id"]
    if message.get("arguments") is not None:
        parsed["arguments"] = _parse_words(message, "arguments")
    if message.get("environment"):
        parsed["environment"] = _parse_environment(message)
    if "memory_limit" in message:
        parsed["memory_limit"] = _parse_limit(message)
    if "terminal" in message:
        parsed["terminal"] = _parse_terminal(message)
    return parsed


def parse_preload(message: Message) -> Tuple[List[str], Dict[str, Optional[str]]]:
    """Return the modules to import, and the environment variables to set; None removes one."""
    return _parse_words(message, "imports"), _parse_environment(message)


def parse_open(message: Message) -> Tuple[str, Optional[str], bool]:
    """Return the folder to copy, the folder to make, if one is named, and whether to hash the files."""
    folder = _parse_text(message, "folder") if message.get("folder") else None
    return _parse_text(message, "from"), folder, bool(message.get("hash", True))


def parse_put(message: Message) -> Tuple[int, int, Optional[str]]:
    """Return where the piece of the file begins, the file's mode, and its SHA-256, if that is named."""
    sha256 = message.get("sha256")
    if sha256 is not None and not isinstance(sha256, str):
        raise _refuse("sha256", sha256)
    mode = message.get("mode")
    mode = 0o644 if mode is None else _check_number("mode", mode, 0o7777)
    return _check_number("offset", message.get("offset") or 0, _LARGEST), mode, sha256


def parse_size(message: Message) -> Tuple[int, int]:
    """Return columns and rows; 0 where they are not known."""
    columns, rows = message.get("columns") or 0, message.get("rows") or 0
    return _check_number("columns", columns, _LARGEST_SIZE), _check_number("rows", rows, _LARGEST_SIZE)


def parse_run(message: Message) -> str:
    """Return the name of the run."""
    name = _parse_text(message, "run")
    if not 0 < len(name) <= _LONGEST_NAME:
        raise _refuse("run", name)
    return name


def parse_signal(message: Message) -> int:
    """Return the number of the signal that the message names, as in `INT`."""
    name = message.get("name")
    if not isinstance(name, str) or f"SIG{name}" not in signal.Signals.__members__:
        raise _refuse("name", name)
    return signal.Signals[f"SIG{name}"]


def parse_grace(message: Message, default: float) -> float:
    """Return how many seconds processes have between SIGTERM and SIGKILL."""
    grace = message.get("grace", default)
    if isinstance(grace, bool) or not isinstance(grace, (int, float)) or not 0 <= grace <= _LONGEST_GRACE_SECONDS:
        raise _refuse("grace", grace)
    return float(grace)


def _parse_text(message: Message, name: str) -> str:
    value = message.get(name)
    if not is_text(value):
        raise _refuse(name, value)
    return str(value)


def _parse_words(message: Message, name: str) -> List[str]:
    words = message.get(name)
    if not isinstance(words, list) or not all(map(is_text, words)):
        raise _refuse(name, words)
    return list(words)


def _parse_environment(message: Message) -> Dict[str, Optional[str]]:
    environment = message.get("environment")
    if environment is None:
        return {}
    if not isinstance(environment, dict):
        raise _refuse("environment", environment)
    for name, value in environment.items():
        if not name or "=" in name or not is_text(name) or not (value is None or is_text(value)):
            raise _refuse("environment", {name: value})
    return dict(environment)


def _parse_terminal(message: Message) -> Optional[Message]:
    terminal = message.get("terminal")
    if not terminal:
        return None
    if not isinstance(terminal, dict):
        raise _refuse("terminal", terminal)
    columns, rows = parse_size(terminal)
    kind = _parse_text(terminal, "kind") if terminal.get("kind") else ""
    return {"kind": kind, "columns": columns, "rows": rows}


def _parse_limit(message: Message) -> Optional[int]:
    limit = message.get("memory_limit")
    return None if limit is None else _check_number("memory_limit", limit, _LARGEST)


def _check_number(name: str, value: Any, largest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise _refuse(name, value)
    return value


def is_text(value: Any) -> bool:
    """Return whether the kernel takes *value* as a name, an argument or a setting."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _refuse(name: str, value: Any) -> RequestError:
    kind = type(value).__name__
    shown = f" {value!r}"[:80] if isinstance(value, (str, float)) else ""
    return RequestError(ErrorKind.REQUEST, f"`{name}` cannot be this {kind}{shown}")
