"""Where what comes from the camera's own thread is handled: in the thread or the event loop of the app.

@acap.parameters.on_change("Interval")
def changed(value):
    ...

acap.wait(60)  # as time.sleep, but handlers run meanwhile
"""

from __future__ import annotations

import os
import sys
import time
from _thread import get_ident  # acap.video needs this module, and should not import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

__all__ = ["wait"]


class Source(Protocol):
    """What becomes readable when something has come."""

    def fileno(self) -> int: ...
    def take(self) -> list[Any]: ...
    def close(self) -> None: ...


class _Handler:
    def __init__(self, source: Source, function: Callable[[Any], object]) -> None:
        self.source, self.function = source, function
        self.thread = get_ident()
        self.pid = os.getpid()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.tasks: set[asyncio.Task[Any]] = set()

    def run(self) -> None:
        """Call the function with each item that has come."""
        for item in self.source.take():
            result = self.function(item)
            if isinstance(result, Coroutine):
                self._start(result)

    def _start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        if self.loop is None:
            coroutine.close()
            raise TypeError(f"{self.function} is a coroutine function: add it while an event loop runs")
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


# Of all threads; those of an event loop are not waited for here.
_handlers: list[_Handler] = []
waiting: list[_Handler] = []
"""Those that `wait` runs. Empty in most programs, so that it costs nothing to look."""


def add_handler(source: Source, function: Callable[[Any], object]) -> None:
    """Call *function* with what comes from *source*: in the running event loop, or else in `wait` of this thread."""
    handler = _Handler(source, function)
    handler.loop = running_loop()
    _handlers.append(handler)
    if handler.loop is None:
        waiting.append(handler)
    else:
        handler.loop.add_reader(source.fileno(), handler.run)


def remove_handler(function: Callable[..., object]) -> bool:
    """End the handlers that call *function*. Returns whether there were any."""
    found = [handler for handler in _handlers if handler.function == function]
    for handler in found:
        _handlers.remove(handler)
        if handler in waiting:
            waiting.remove(handler)
        elif handler.loop is not None and not handler.loop.is_closed():
            handler.loop.remove_reader(handler.source.fileno())
        handler.source.close()
    return bool(found)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or None."""
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def run_due() -> None:
    """Run the handlers of this thread for which something has come."""
    _run(0.0)


def wait(seconds: float | None = None) -> None:
    """Wait for *seconds*, or for ever, and run the handlers that were added in this thread when something comes.

    They also run in loops over the frames of a stream, over events and over changes in this thread. An exception of a
    handler is raised there. With asyncio, handlers run in the event loop instead: await `asyncio.sleep` then.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        rest = None if deadline is None else deadline - time.monotonic()
        if rest is not None and rest <= 0:
            run_due()
            return
        _run(rest)


def _run(seconds: float | None, also: int = -1) -> bool:
    """Wait for the handlers of this thread, and run those that are due. Returns whether *also* is readable."""
    import select

    here, pid = get_ident(), os.getpid()
    own = {handler.source.fileno(): handler for handler in waiting if handler.thread == here and handler.pid == pid}
    poll = select.poll()
    for fd in (*own, also):
        if fd >= 0:
            poll.register(fd, select.POLLIN)
    # The limit of poll is 2**31 ms.
    ready = [fd for fd, _ in poll.poll(None if seconds is None else min(seconds, 86400.0) * 1000)]
    for fd in ready:
        if fd in own and own[fd] in waiting:
            own[fd].run()
    return also in ready


def readable(fd: int, seconds: float | None) -> bool:
    """Wait up to *seconds*, or for ever, until *fd* is readable. Returns whether it is. Handlers run meanwhile."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        rest = None if deadline is None else max(0.0, deadline - time.monotonic())
        if _run(rest, fd):
            return True
        if rest is not None and rest <= 0:
            return False


async def readable_async(source: Source, seconds: float | None) -> bool:
    """Wait in the event loop up to *seconds*, or for ever, until *source* is readable. Returns whether it is."""
    import asyncio

    loop = asyncio.get_running_loop()
    fd, ready = source.fileno(), asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await asyncio.wait_for(ready.wait(), seconds)
    except TimeoutError:
        return False
    finally:
        if fd == source.fileno():  # else it was closed in another task, and is no longer ours
            loop.remove_reader(fd)
    return True
