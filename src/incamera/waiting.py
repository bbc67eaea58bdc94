"""Waiting for other threads without becoming deaf to Ctrl-C."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

# A signal that comes just before a wait begins, or that another thread is given, ends no wait: Python hears of it after
# that. So no wait of the main thread is longer than this.
SIGNAL_CHECK_SECONDS = 0.2


def await_result(future: concurrent.futures.Future[T]) -> T:
    """Return the result of *future*, or raise what it raised, or KeyboardInterrupt."""
    while not concurrent.futures.wait([future], timeout=SIGNAL_CHECK_SECONDS).done:
        pass
    return future.result()


async def in_daemon_thread(work: Callable[[], T]) -> T:
    """Run *work* in a thread and return its result. When we are cancelled it goes on, and keeps nobody from ending."""
    import asyncio  # not at the top: many wait who never come here, and it takes as long as a whole idle build

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="incamera-work", daemon=True).start()
    return await future
