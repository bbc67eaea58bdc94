"""Fetch several files at a time; hand each over as it arrives; stop all at the first error."""

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
# How long to wait for the threads to end after an error.
_GRACE_SECONDS = 5.0


class Transfer:
    """What the downloads share: the progress callback, called by one thread at a time, and the event that stops all."""

    def __init__(self, progress: Progress | None) -> None:
        self.stopped = threading.Event()
        self._progress = progress
        self._lock = threading.Lock()

    def progress(self, count: int) -> None:
        """Report that *count* bytes have arrived."""
        if self._progress is not None:
            with self._lock:
                self._progress(count)

    def sink(self, sink: Sink) -> Sink:
        """Return a sink that writes to *sink* until all downloads are to stop."""
        return _StoppableSink(sink, self.stopped)


def fetch_all(
    wanted: Sequence[T],
    ensure: Callable[[T, Transfer], Path],
    http: Http,
    *,
    progress: Progress | None = None,
    on_ready: Callable[[T, Path], None] | None = None,
    on_all_fetched: Callable[[], None] = lambda: None,
) -> dict[T, Path]:
    """Return the path that *ensure* returns for each of *wanted*, in that order; several of them run at a time.

    *on_ready* is called with each path as it is there, in threads of its own, so that unpacking overlaps with
    downloading. *progress* is called by one thread at a time. *on_all_fetched* is called, in the caller's thread, when
    nothing is left to fetch but calls of *on_ready* go on. The first error, KeyboardInterrupt included, stops all
    others and is raised.
    """
    fetching = _Fetching(ensure, http, progress, on_ready, on_all_fetched)
    return fetching.run(list(dict.fromkeys(wanted)))


class _Stopped(Exception):
    """Raised in a download's thread to end it."""


class _Fetching(Generic[T]):
    """The threads and queues of one `fetch_all`."""

    def __init__(
        self,
        ensure: Callable[[T, Transfer], Path],
        http: Http,
        progress: Progress | None,
        on_ready: Callable[[T, Path], None] | None,
        on_all_fetched: Callable[[], None],
    ) -> None:
        self.ensure = ensure
        self.http = http
        self.transfer = Transfer(progress)
        self.on_ready = on_ready
        self.on_all_fetched = on_all_fetched
        self.wanted: queue.SimpleQueue[T] = queue.SimpleQueue()
        self.ready: queue.SimpleQueue[tuple[T, Path] | None] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[tuple[T, Path | BaseException]] = queue.SimpleQueue()

    def run(self, wanted: list[T]) -> dict[T, Path]:
        for item in wanted:
            self.wanted.put(item)
        # Not an executor: the interpreter waits for its threads when it exits, however long they take.
        workers = [
            threading.Thread(target=self.download_all, name=f"fetch-{number}", daemon=True)
            for number in range(min(CONNECTIONS, len(wanted)))
        ]
        # Unpacking keeps a processor busy, so there is one thread for each.
        unpackers = [
            threading.Thread(target=self.hand_over_all, name=f"ready-{number}", daemon=True)
            for number in range(min(os.cpu_count() or 1, len(wanted)) if self.on_ready else 0)
        ]
        paths: dict[T, Path] = {}
        started = []
        wait_for_unpackers = True
        told = False
        try:
            for thread in workers + unpackers:
                thread.start()
                started.append(thread)
            while len(paths) < len(wanted):
                if not told and not any(thread.is_alive() for thread in workers):
                    self.on_all_fetched()
                    told = True
                try:
                    item, result = self.results.get(timeout=SIGNAL_CHECK_SECONDS)
                except queue.Empty:
                    continue
                if isinstance(result, BaseException):
                    raise result
                paths[item] = result
        except KeyboardInterrupt:
            wait_for_unpackers = False
            raise
        finally:
            self.transfer.stopped.set()
            for _ in unpackers:
                self.ready.put(None)
            self.join(started, interrupting=len(paths) < len(wanted))
            # Our caller removes the folder that they unpack into: let each finish its package first.
            while wait_for_unpackers and (alive := [thread for thread in unpackers if thread.is_alive()]):
                alive[0].join(SIGNAL_CHECK_SECONDS)
        return {item: paths[item] for item in wanted}

    def join(self, threads: list[threading.Thread], *, interrupting: bool) -> None:
        """Wait until *threads* have ended, at most 5 s. *interrupting* breaks off their transfers."""
        deadline = time.monotonic() + _GRACE_SECONDS
        while (alive := [thread for thread in threads if thread.is_alive()]) and time.monotonic() < deadline:
            if interrupting:
                self.http.interrupt()  # each time: a transfer may have started just after the last call
            alive[0].join(0.05)

    def download_all(self) -> None:
        while not self.transfer.stopped.is_set():
            try:
                item = self.wanted.get_nowait()
            except queue.Empty:
                return
            try:
                path = self.ensure(item, self.transfer)
            except BaseException as error:
                self.results.put((item, error))
                return
            if self.on_ready is None:
                self.results.put((item, path))
            else:
                self.ready.put((item, path))

    def hand_over_all(self) -> None:
        assert self.on_ready is not None
        while (entry := self.ready.get()) is not None and not self.transfer.stopped.is_set():
            item, path = entry
            try:
                self.on_ready(item, path)
            except BaseException as error:
                self.results.put((item, error))
                return
            self.results.put((item, path))


class _StoppableSink:
    """Passes everything on to *sink* until *stopped* is set, then raises _Stopped."""

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
