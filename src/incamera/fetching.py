"""Several downloads at a time: each handed over as it arrives, all stopped by the first error."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from incamera.http import CONNECTIONS, Http, Progress, Sink
from incamera.waiting import SIGNAL_CHECK_SECONDS

T = TypeVar("T", bound=Hashable)
# How long to wait, once stopped, for workers to clean up after themselves.
_GRACE_SECONDS = 5.0


class Transfer:
    """What a download needs as one of several: progress told by one thread at a time, an end when all is to end."""

    def __init__(self, progress: Progress | None) -> None:
        self.stopped = threading.Event()
        self._progress = progress
        self._lock = threading.Lock()

    def progress(self, count: int) -> None:
        if self._progress is not None:
            with self._lock:
                self._progress(count)

    def sink(self, sink: Sink) -> Sink:
        """Return what writes to *sink* until all is to end."""
        return _StoppableSink(sink, self.stopped)


def fetch_all(
    wanted: Sequence[T],
    ensure: Callable[[T, Transfer], Path],
    http: Http,
    *,
    progress: Progress | None = None,
    on_ready: Callable[[T, Path], None] | None = None,
    connections: int = CONNECTIONS,
) -> dict[T, Path]:
    """Return what *ensure* returns for each of *wanted*, in that order, several at a time.

    *on_ready* is called as each is there, in threads of its own, so that unpacking overlaps with downloading.
    *progress* is called by one thread at a time. The first error, Ctrl-C included, stops all the rest.
    """
    return _Fetching(ensure, http, progress, on_ready).run(list(dict.fromkeys(wanted)), connections)


class _Stopped(Exception):
    """Raised in a worker to make it let go."""


class _Fetching(Generic[T]):
    def __init__(
        self,
        ensure: Callable[[T, Transfer], Path],
        http: Http,
        progress: Progress | None,
        on_ready: Callable[[T, Path], None] | None,
    ) -> None:
        self.ensure = ensure
        self.http = http
        self.transfer = Transfer(progress)
        self.on_ready = on_ready
        self.work: queue.SimpleQueue[T] = queue.SimpleQueue()
        self.ready: queue.SimpleQueue[tuple[T, Path] | None] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[tuple[T, Path | BaseException]] = queue.SimpleQueue()

    def run(self, wanted: list[T], connections: int) -> dict[T, Path]:
        for item in wanted:
            self.work.put(item)
        # Threads of our own rather than an executor, which the interpreter waits for however long they take to end.
        workers = [
            threading.Thread(target=self.serve_downloads, name=f"fetch-{number}", daemon=True)
            for number in range(min(connections, len(wanted)))
        ]
        # More than there are processors would only be in each other's way.
        unpackers = [
            threading.Thread(target=self.serve_ready, name=f"ready-{number}", daemon=True)
            for number in range(min(os.cpu_count() or 1, len(wanted)) if self.on_ready else 0)
        ]
        paths: dict[T, Path] = {}
        started = []
        patient = True
        try:
            for thread in workers + unpackers:
                thread.start()
                started.append(thread)
            while len(paths) < len(wanted):
                try:
                    item, answer = self.answers.get(timeout=SIGNAL_CHECK_SECONDS)
                except queue.Empty:
                    continue
                if isinstance(answer, BaseException):
                    raise answer
                paths[item] = answer
        except KeyboardInterrupt:
            patient = False
            raise
        finally:
            self.transfer.stopped.set()
            for _ in unpackers:
                self.ready.put(None)
            self.join(started, interrupting=len(paths) < len(wanted))
            # Whoever made the folder that they unpack into removes it next: each ends what it is at.
            while patient and (alive := [thread for thread in unpackers if thread.is_alive()]):
                alive[0].join(SIGNAL_CHECK_SECONDS)
        return {item: paths[item] for item in wanted}

    def join(self, threads: list[threading.Thread], *, interrupting: bool) -> None:
        """Wait until *threads* have ended, or too long has passed; *interrupting* breaks off what they wait for."""
        deadline = time.monotonic() + _GRACE_SECONDS
        while (alive := [thread for thread in threads if thread.is_alive()]) and time.monotonic() < deadline:
            if interrupting:
                self.http.interrupt()  # again and again: a transfer may have begun just after the last time
            alive[0].join(0.05)

    def serve_downloads(self) -> None:
        while not self.transfer.stopped.is_set():
            try:
                item = self.work.get_nowait()
            except queue.Empty:
                return
            try:
                path = self.ensure(item, self.transfer)
            except BaseException as error:
                self.answers.put((item, error))
                return
            if self.on_ready is None:
                self.answers.put((item, path))
            else:
                self.ready.put((item, path))

    def serve_ready(self) -> None:
        assert self.on_ready is not None
        while (entry := self.ready.get()) is not None and not self.transfer.stopped.is_set():
            item, path = entry
            try:
                self.on_ready(item, path)
            except BaseException as error:
                self.answers.put((item, error))
                return
            self.answers.put((item, path))


class _StoppableSink:
    def __init__(self, sink: Sink, stopped: threading.Event) -> None:
        self._sink = sink
        self._stopped = stopped

    @property
    def size(self) -> int:
        return self._sink.size

    def write(self, data: bytes) -> None:
        if self._stopped.is_set():
            raise _Stopped
        self._sink.write(data)

    def restart(self) -> None:
        if self._stopped.is_set():
            raise _Stopped
        self._sink.restart()
