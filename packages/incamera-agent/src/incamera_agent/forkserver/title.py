"""What `ps` shows of a forked process: its own command line in place of the agent's.

The kernel shows the memory into which it copied a process's command line when it started. A fork has its own copy of
that memory and overwrites the agent's words in it; the loader and the interpreter in front of them stay.
"""

from __future__ import annotations

import os

from incamera_agent.processes import read_text
from incamera_agent.wire.protocol import MODULE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Sequence, Tuple

_AGENT_WORDS = f"\0-m\0{MODULE}\0".encode()
_ELLIPSIS = "…\0".encode()

_region: Optional[Tuple[int, int]] = None


def set_title(words: Sequence[str]) -> None:
    """Show *words* behind the interpreter, cut where they need more room than the agent's words.

    Does nothing where it is not possible: the title is only for display.
    """
    try:
        start, size = _find_region()
        text = b"".join(os.fsencode(word) + b"\0" for word in words)
        if len(text) > size:
            # Decoded and encoded, so that no character is cut in the middle.
            text = text[: size - len(_ELLIPSIS)].decode("utf-8", "ignore").encode() + _ELLIPSIS
        # Padded with zero bytes: where the last byte is none, the kernel shows the environment as well.
        memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(memory, text.ljust(size, b"\0"), start)
        finally:
            os.close(memory)
    except (OSError, ValueError, OverflowError):
        pass


def _find_region() -> Tuple[int, int]:
    """Return the address of the agent's words in memory, and their size in bytes. Raises ValueError, OSError."""
    global _region
    if _region is None:
        fields = read_text("/proc/self/stat").rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        with open("/proc/self/cmdline", "rb") as stream:
            words = stream.read()
        before = words.index(_AGENT_WORDS) + 1
        if len(words) != end - start or not words.endswith(b"\0"):
            raise ValueError("the command line has been changed already")
        _region = (start + before, end - start - before)
    return _region
