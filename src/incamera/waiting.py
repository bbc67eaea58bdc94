"""Waiting for other threads without becoming deaf to Ctrl-C."""

from __future__ import annotations

import concurrent.futures
from typing import TypeVar

T = TypeVar("T")

# A signal that comes just before a wait begins, or that another thread is given, ends no wait: Python hears of it after
# that. So no wait of the main thread is longer than this.
HEARING_SECONDS = 0.2


def await_result(future: concurrent.futures.Future[T]) -> T:
    """Return the result of *future*, or raise what it raised, or KeyboardInterrupt."""
    while not concurrent.futures.wait([future], timeout=HEARING_SECONDS).done:
        pass
    return future.result()
