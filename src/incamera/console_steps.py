"""The state of a step while the console shows it: what it does, how far it is, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.http import Progress

# Shorter phases of a step are not worth a time of their own.
_LEAST_SECONDS = 1.0


@dataclass(slots=True)
class ConsoleStep:
    """A step of a command, which a line reports when it has ended. See `context.Step`.

    *show_bar* shows a progress bar with a label and a total, None where there are no bars.
    """

    name: str
    show_bar: Callable[[str, int], AbstractContextManager[Progress]] | None = None
    seconds: float = 0.0
    cached: bool = False
    hidden: bool = False
    notes: list[str] = field(default_factory=list)
    has_bar: bool = False
    _began: float = field(default_factory=time.monotonic)
    _doing: str = ""
    _done: int = 0
    _total: int = 0
    _times: dict[str, float] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The notes, and how long each phase took in all."""
        times = [f"{done} in {spent:.1f} s" for done, spent in self._times.items() if spent >= _LEAST_SECONDS]
        return ", ".join([*self.notes, *times])

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def progress(self, total: int) -> Iterator[Progress]:
        with self._counting(self.name, total) as advance:
            yield advance

    @contextmanager
    def phase(self, doing: str, done: str, total: int = 0) -> Iterator[Progress]:
        outer, self._doing = self._doing, doing
        began = time.monotonic()
        try:
            with self._counting(f"{self.name}: {doing}", total) as advance:
                yield advance
        finally:
            self._doing = outer
        self._times[done] = self._times.get(done, 0.0) + time.monotonic() - began

    @contextmanager
    def _counting(self, label: str, total: int) -> Iterator[Progress]:
        outer = self._done, self._total
        self._done, self._total = 0, total
        shows = self.show_bar is not None and total > 0
        bar = self.show_bar(label, total) if self.show_bar is not None and total > 0 else nullcontext(lambda _: None)
        try:
            with bar as show:
                self.has_bar = shows

                def advance(count: int) -> None:
                    self._done += count
                    show(count)

                yield advance
        finally:
            self.has_bar = False
            self._done, self._total = outer

    def describe(self) -> str:
        """Return what the step does at the moment, how far it is, and for how many seconds it has been running."""
        parts = [self._doing] if self._doing else []
        if self._total > 0:
            parts.append(f"{format_bytes(self._done)} of {format_bytes(self._total)}")
        return ", ".join([*parts, f"{time.monotonic() - self._began:.0f} s"])


@contextmanager
def ticking(tick: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call *tick* every so many *seconds* while the block runs, in a thread of its own, until it raises an error."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(seconds):
            try:
                tick()
            except Exception:  # nobody reads the messages any more: the command's own next message reports it
                return

    thread = threading.Thread(target=run, name="incamera-ticks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
