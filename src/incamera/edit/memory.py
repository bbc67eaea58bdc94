"""What the edit loop says of the camera's memory: once in a session, and when little is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.context import Reporter

# What the camera has left when we warn of it.
_LOW_MEMORY = 16 << 20


class MemoryNews:
    def __init__(self, tell: Reporter) -> None:
        self._tell = tell
        self._told = self._told_low = False

    def hear(self, message: Mapping[str, Any]) -> None:
        free, run = message.get("free"), message.get("run")
        if not run or free is None:  # nothing runs, or not for long
            return
        low = free < _LOW_MEMORY
        if self._told and not (low and not self._told_low):
            return
        self._told, self._told_low = True, low
        fork_server = message.get("fork_server")
        parts = [f"fork server {format_bytes(fork_server)}"] if fork_server is not None else []
        parts += [f"app {format_bytes(run)}", f"{format_bytes(free)} free in the camera"]
        (self._tell.warn if low else self._tell.info)(f"memory: {', '.join(parts)}")
