"""Wait for other threads so that Ctrl-C still interrupts."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

# Python runs signal handlers between bytecodes of the main thread. A signal that arrives just before a wait begins, or
# that the kernel delivers to another thread, does not end the wait. So no wait of the main thread is longer than this.
SIGNAL_CHECK_SECONDS = 0.2


def await_result(future: concurrent.futures.Future[T]) -> T:
    """Return the result of *future*, however long it takes. Raises what *future* raised, or KeyboardInterrupt."""
    while not concurrent.futures.wait([future], timeout=SIGNAL_CHECK_SECONDS).done:
        pass
    return future.result()


async def in_daemon_thread(work: Callable[[], T]) -> T:
    """Run *work* in a thread and return its result. Raises what *work* raises.

    When the task is cancelled, *work* goes on in its thread, which does not keep the process from ending.
    """
    import asyncio  # lazy: an idle build imports this module, and asyncio takes as long as all the rest of it

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
        with suppress(RuntimeError):  # the event loop has been closed in the meantime
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="incamera-work", daemon=True).start()
    return await future
