"""Wait for something that another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Long enough for a machine on which everything takes ten times as long as usual.
PATIENCE_SECONDS = 60.0


def wait_until(
    condition: Callable[[], T], what: str | Callable[[], str], seconds: float = PATIENCE_SECONDS, *, pause: float = 0.02
) -> T:
    """Call *condition* every *pause* seconds until its result is true, and return that result.

    *what* completes "waited 60 s in vain until …"; a function is called for it when the time is over.
    Raises AssertionError after *seconds*.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain until {what() if callable(what) else what}")
        time.sleep(pause)
    return result
