"""The event loop: one thread around one `poll`, with timers and signals."""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Tuple

    Callback = Callable[[], object]


class Timer:
    """A call that is due at *moment*, in seconds of the monotonic clock."""

    __slots__ = ("call", "moment")

    def __init__(self, moment: float, call: Callback) -> None:
        self.moment = moment
        self.call: Optional[Callback] = call

    def cancel(self) -> None:
        self.call = None


class EventLoop:
    """Takes over the process's signal wake-up descriptor until `close`."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: Dict[int, Tuple[Optional[Callback], Optional[Callback]]] = {}
        self._timers: List[Timer] = []
        self._stopped = False
        self._wake, wake = os.pipe()
        for end in (self._wake, wake):
            os.set_blocking(end, False)
        self._ends = (self._wake, wake)
        self._signals: Dict[int, Callback] = {}
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.watch(self._wake, read=self._read_signals)

    def watch(self, descriptor: int, *, read: Optional[Callback] = None, write: Optional[Callback] = None) -> None:
        """Call *read* or *write* whenever *descriptor* is ready for it; with neither, stop watching it."""
        if read is None and write is None:
            # Without events it would still be reported, again and again, once its other end is closed.
            if self._watched.pop(descriptor, None) is not None:
                self._poll.unregister(descriptor)
            return
        self._watched[descriptor] = (read, write)
        self._poll.register(descriptor, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))

    def call_later(self, seconds: float, call: Callback) -> Timer:
        timer = Timer(time.monotonic() + seconds, call)
        self._timers.append(timer)
        return timer

    def on_signal(self, number: int, call: Callback) -> None:
        """Have signal *number* call *call* from the loop."""
        self._signals[number] = call
        signal.signal(number, _ignore)

    def stop(self) -> None:
        """Have `run` return once the current round of callbacks is done."""
        self._stopped = True

    def run(self) -> None:
        while not self._stopped:
            self._timers = [timer for timer in self._timers if timer.call is not None]
            now = time.monotonic()
            timeout = None
            if self._timers:
                timeout = max(0.0, min(timer.moment for timer in self._timers) - now) * 1000
            for descriptor, events in self._poll.poll(timeout):
                # Looked up again for each: a callback may have closed the next descriptor.
                read, write = self._watched.get(descriptor, (None, None))
                if write is not None and events & (select.POLLOUT | select.POLLERR | select.POLLHUP):
                    write()
                if read is not None and events & ~select.POLLOUT and descriptor in self._watched:
                    read()
            now = time.monotonic()
            for timer in [timer for timer in self._timers if timer.moment <= now]:
                call, timer.call = timer.call, None
                if call is not None:
                    call()

    def close(self) -> None:
        """Restore signal handlers and forget all callbacks. A fork's child does this before anything else."""
        signal.set_wakeup_fd(-1)
        for number in self._signals:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        self._signals.clear()
        self._watched.clear()
        self._timers.clear()
        for end in self._ends:
            os.close(end)

    def _read_signals(self) -> None:
        try:
            numbers = os.read(self._wake, 512)
        except BlockingIOError:
            return
        for number in sorted(set(numbers)):
            call = self._signals.get(number)
            if call is not None:
                call()


def _ignore(number: int, frame: object) -> None:
    """Python needs a handler so that it writes the number to the wake-up descriptor."""
