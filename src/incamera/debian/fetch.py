"""Fetching debs into the store: several at a time, each verified, handed over as it arrives."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import FetchError
from incamera.http import CONNECTIONS, Http, NotFound, Progress
from incamera.waiting import HEARING_SECONDS

if TYPE_CHECKING:
    from incamera.debian.index import Deb
    from incamera.debian.mirror import Mirror
    from incamera.store import BlobWriter, Store

OnReady = Callable[["Deb", Path], None]
# How long to wait, once stopped, for workers to clean up after themselves.
_GRACE_SECONDS = 5.0


def fetch_debs(
    debs: Iterable[Deb],
    mirror: Mirror,
    http: Http,
    store: Store,
    *,
    progress: Progress | None = None,
    on_ready: OnReady | None = None,
    connections: int = CONNECTIONS,
) -> dict[Deb, Path]:
    """Return the path in the store of each deb, fetching those that are not there, the biggest first.

    *on_ready* is called as each is there, in threads of its own, so that unpacking overlaps with downloading.
    *progress* is called by one thread at a time. The first error, Ctrl-C included, stops all the rest.
    """
    fetching = _Fetching(mirror, http, store, progress, on_ready)
    wanted = sorted(dict.fromkeys(debs), key=lambda deb: (-deb.size, deb.filename))
    return fetching.run(wanted, connections)


class _Stopped(Exception):
    """Raised in a worker to make it let go."""


class _Fetching:
    def __init__(
        self, mirror: Mirror, http: Http, store: Store, progress: Progress | None, on_ready: OnReady | None
    ) -> None:
        self.mirror = mirror
        self.http = http
        self.store = store
        self.on_ready = on_ready
        self.on_progress = progress
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.work: queue.SimpleQueue[Deb] = queue.SimpleQueue()
        self.ready: queue.SimpleQueue[tuple[Deb, Path] | None] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[tuple[Deb, Path | BaseException]] = queue.SimpleQueue()

    def run(self, wanted: list[Deb], connections: int) -> dict[Deb, Path]:
        for deb in wanted:
            self.work.put(deb)
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
        paths: dict[Deb, Path] = {}
        started = []
        try:
            for thread in workers + unpackers:
                thread.start()
                started.append(thread)
            while len(paths) < len(wanted):
                try:
                    deb, answer = self.answers.get(timeout=HEARING_SECONDS)
                except queue.Empty:
                    continue
                if isinstance(answer, BaseException):
                    raise answer
                paths[deb] = answer
        finally:
            self.stopped.set()
            for _ in unpackers:
                self.ready.put(None)
            self.join(started, interrupting=len(paths) < len(wanted))
        return {deb: paths[deb] for deb in wanted}

    def join(self, threads: list[threading.Thread], *, interrupting: bool) -> None:
        """Wait until *threads* have ended, or too long has passed; *interrupting* breaks off what they wait for."""
        deadline = time.monotonic() + _GRACE_SECONDS
        while (alive := [thread for thread in threads if thread.is_alive()]) and time.monotonic() < deadline:
            if interrupting:
                self.http.interrupt()  # again and again: a transfer may have begun just after the last time
            alive[0].join(0.05)

    def serve_downloads(self) -> None:
        while not self.stopped.is_set():
            try:
                deb = self.work.get_nowait()
            except queue.Empty:
                return
            try:
                path = self.ensure(deb)
            except BaseException as error:
                self.answers.put((deb, error))
                return
            if self.on_ready is None:
                self.answers.put((deb, path))
            else:
                self.ready.put((deb, path))

    def serve_ready(self) -> None:
        assert self.on_ready is not None
        while (item := self.ready.get()) is not None and not self.stopped.is_set():
            deb, path = item
            try:
                self.on_ready(deb, path)
            except BaseException as error:
                self.answers.put((deb, error))
                return
            self.answers.put((deb, path))

    def ensure(self, deb: Deb) -> Path:
        found = self.store.find_blob(deb.sha256)
        if found is not None and found.stat().st_size == deb.size:
            self.progress(deb.size)
            return found
        url = f"{self.mirror.base(deb.archive)}/{deb.filename}"
        try:
            with self.store.writing_blob(deb.sha256, name=url) as blob:
                self.http.download(url, _Sink(blob, self.stopped), size=deb.size, progress=self.progress)
        except NotFound as error:
            raise FetchError(
                f"the mirror no longer has {deb}: {error}",
                hint="a newer version has taken its place: lock again with `incamera lock`, "
                "or name a snapshot of the archive in INCAMERA_DEBIAN_MIRROR",
            ) from error
        return self.store.blob_path(deb.sha256)

    def progress(self, count: int) -> None:
        if self.on_progress is not None:
            with self.lock:
                self.on_progress(count)


class _Sink:
    """A blob that takes no more once all is to stop."""

    def __init__(self, blob: BlobWriter, stopped: threading.Event) -> None:
        self._blob = blob
        self._stopped = stopped

    @property
    def size(self) -> int:
        return self._blob.size

    def write(self, data: bytes) -> None:
        if self._stopped.is_set():
            raise _Stopped
        self._blob.write(data)

    def restart(self) -> None:
        if self._stopped.is_set():
            raise _Stopped
        self._blob.restart()
