"""Signals of the user's, passed on while a program runs on a device."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handling_signals(handle_signal: Callable[[int], None]) -> Iterator[None]:
    """Call *handle_signal* with the number of each SIGINT, SIGTERM, SIGHUP and SIGWINCH until the block is left.

    A signal that this process was started to ignore stays ignored: SIGHUP under `nohup`, SIGINT in a background job.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}

    def handle(number: int, frame: FrameType | None) -> None:
        handle_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
