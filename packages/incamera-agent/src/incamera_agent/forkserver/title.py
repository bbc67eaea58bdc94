"""What `ps` shows of a fork: its own words, not those of the agent that it was forked of.

The kernel shows the memory in which a process was given its command line. A fork has a copy of it, and may write there
what it has become; the loader and the interpreter in front of it stay.
"""

from __future__ import annotations

import os

from incamera_agent.processes import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Sequence, Tuple

_OURS = b"\0-m\0incamera_agent\0"
_CUT = "…\0".encode()

_room: Optional[Tuple[int, int]] = None


def show(words: Sequence[str]) -> None:
    """Let the command line be the interpreter and *words*, cut where there is no room for all of them.

    It is for the eye only: where it can't be done, it isn't.
    """
    try:
        start, size = _find_room()
        text = b"".join(os.fsencode(word) + b"\0" for word in words)
        if len(text) > size:
            # Not in the middle of a character.
            text = text[: size - len(_CUT)].decode("utf-8", "ignore").encode() + _CUT
        # A line that doesn't end in a zero byte is taken to go on in the environment.
        memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(memory, text.ljust(size, b"\0"), start)
        finally:
            os.close(memory)
    except (OSError, ValueError, OverflowError):
        pass


def _find_room() -> Tuple[int, int]:
    """Return where the words of the agent lie in our memory, and how much there is of them. Raises ValueError."""
    global _room
    if _room is None:
        fields = read_text("/proc/self/stat").rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        with open("/proc/self/cmdline", "rb") as stream:
            words = stream.read()
        before = words.index(_OURS) + 1
        if len(words) != end - start or not words.endswith(b"\0"):
            raise ValueError("it has been changed already")
        _room = (start + before, end - start - before)
    return _room
