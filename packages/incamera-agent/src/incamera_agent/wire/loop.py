"""One thread, one poll: whoever waits for a descriptor, a moment or a child is called from here."""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Tuple

    Call = Callable[[], object]


class Timer:
    __slots__ = ("call", "moment")

    def __init__(self, moment: float, call: Call) -> None:
        self.moment = moment
        self.call: Optional[Call] = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: Dict[int, Tuple[Optional[Call], Optional[Call]]] = {}
        self._timers: List[Timer] = []
        self._stopped = False
        self._wake, wake = os.pipe()
        for end in (self._wake, wake):
            os.set_blocking(end, False)
        self._ends = (self._wake, wake)
        self._signals: Dict[int, Call] = {}
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.watch(self._wake, read=self._read_signals)

    def watch(self, descriptor: int, *, read: Optional[Call] = None, write: Optional[Call] = None) -> None:
        """Call *read* or *write* whenever *descriptor* is ready for it; neither: let it rest."""
        if read is None and write is None:
            # Not merely without events: a pipe whose other end is gone would be reported again and again.
            if self._watched.pop(descriptor, None) is not None:
                self._poll.unregister(descriptor)
            return
        self._watched[descriptor] = (read, write)
        self._poll.register(descriptor, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))

    def after(self, seconds: float, call: Call) -> Timer:
        timer = Timer(time.monotonic() + seconds, call)
        self._timers.append(timer)
        return timer

    def on_signal(self, number: int, call: Call) -> None:
        self._signals[number] = call
        signal.signal(number, _nothing)

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        while not self._stopped:
            self._timers = [timer for timer in self._timers if timer.call is not None]
            now = time.monotonic()
            pause = None
            if self._timers:
                pause = max(0.0, min(timer.moment for timer in self._timers) - now) * 1000
            for descriptor, events in self._poll.poll(pause):
                # Looked up again for each: the one before may have closed it.
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
        """Give back what belongs to the process: after a fork, the child must not react as its parent does."""
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


def _nothing(number: int, frame: object) -> None:
    """The number is written to the pipe; what there is to do is done from the loop."""
