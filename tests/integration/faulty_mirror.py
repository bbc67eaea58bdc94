"""A Debian mirror on loopback: the real one's files, kept from run to run, and whatever fault a test asks for."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from incamera.debian.mirror import find_mirror

from .paths import REPOSITORY

Fault = Callable[["Handler", bytes], None]
"""Answers a request in place of the mirror, which would have sent these bytes."""


@dataclass
class _Trap:
    pattern: re.Pattern[str]
    fault: Fault
    times: int | None


class FaultyMirror:
    """`url` is for INCAMERA_DEBIAN_MIRROR. `requests` holds the paths that were asked for."""

    def __init__(self, cache: Path) -> None:
        self._upstream = find_mirror(os.environ)
        self._cache = cache
        self._session = tempfile.TemporaryDirectory(prefix="incamera-mirror-")
        self._lock = threading.Lock()
        self._fetching: dict[Path, threading.Lock] = {}
        self._traps: list[_Trap] = []
        self._released = threading.Event()
        self.reached = threading.Event()
        self.requests: list[str] = []
        cache.mkdir(parents=True, exist_ok=True)
        mirror = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *args: object) -> None:
                pass  # clients that hang up are what some tests are about

        class Bound(Handler):
            pass

        Bound.mirror = mirror
        self._server = Server(("127.0.0.1", 0), Bound)
        self.url = f"http://127.0.0.1:{self._server.server_port}/debian"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        return {"INCAMERA_DEBIAN_MIRROR": self.url, "no_proxy": "127.0.0.1"}

    def misbehave(self, pattern: str, fault: Fault, *, times: int | None = None) -> None:
        """Answer paths that contain *pattern* with *fault*, always or so many times."""
        self._traps.append(_Trap(re.compile(pattern), fault, times))

    def behave(self) -> None:
        """Forget all faults, and end the answers that hang."""
        self._released.set()
        self._traps.clear()
        self.requests.clear()
        self.reached.clear()
        self._released = threading.Event()

    def kept_files(self, pattern: str) -> Iterator[bytes]:
        """Yield the files that were asked for once, under a path that contains *pattern*."""
        for file in self._cache.iterdir():
            if re.search(pattern, "/" + file.name.replace("|", "/")):
                yield file.read_bytes()

    def close(self) -> None:
        self.behave()
        self._server.shutdown()
        self._server.server_close()
        self._session.cleanup()

    # Faults

    @staticmethod
    def status(code: int) -> Fault:
        return lambda handler, _: handler.answer(b"", code=code)

    @staticmethod
    def wrong_bytes(handler: Handler, data: bytes) -> None:
        """As many bytes as there should be, one of them another."""
        middle = len(data) // 2
        handler.answer(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])

    @staticmethod
    def truncated(handler: Handler, data: bytes) -> None:
        """Half a file that passes itself off as whole."""
        handler.answer(data[: len(data) // 2])

    @staticmethod
    def cut(handler: Handler, data: bytes) -> None:
        """The connection breaks in the middle."""
        handler.answer(data[: len(data) // 2], announced=len(data))
        handler.close_connection = True

    def hang(self, handler: Handler, data: bytes) -> None:
        """Half a file, then nothing until the test says so."""
        released = self._released
        handler.answer(data[: len(data) // 2], announced=len(data))
        handler.wfile.flush()
        self.reached.set()
        released.wait(120)
        handler.close_connection = True

    # What the server asks

    def find_fault(self, path: str) -> Fault | None:
        with self._lock:
            self.requests.append(path)
            for trap in self._traps:
                if trap.pattern.search(path) and trap.times != 0:
                    if trap.times is not None:
                        trap.times -= 1
                    return trap.fault
        return None

    def load(self, path: str) -> bytes | None:
        """Return what the real mirror has at *path*, from the cache if it is there."""
        archive, _, rest = path.lstrip("/").partition("/")
        base = {"debian": self._upstream.main, "debian-security": self._upstream.security}.get(archive)
        if base is None:
            return None
        # What a name alone doesn't pin may change on the mirror: that is asked for once per test run.
        pinned = "/pool/" in path or "/by-hash/" in path
        kept = (self._cache if pinned else Path(self._session.name)) / path.strip("/").replace("/", "|")
        with self._lock:
            lock = self._fetching.setdefault(kept, threading.Lock())
        with lock:
            if not kept.exists():
                request = urllib.request.Request(f"{base}/{rest}", headers={"User-Agent": "incamera"})
                partial = kept.with_name(f"{os.getpid()}-{threading.get_ident()}.partial")
                try:
                    with urllib.request.urlopen(request, timeout=60) as response, partial.open("wb") as output:
                        shutil.copyfileobj(response, output)
                except urllib.error.HTTPError as error:
                    if error.code == 404:
                        return None
                    raise
                partial.replace(kept)
        return kept.read_bytes()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    mirror: FaultyMirror

    def do_GET(self) -> None:
        fault = self.mirror.find_fault(self.path)
        try:
            data = self.mirror.load(self.path)
        except OSError:
            self.answer(b"", code=502)
            return
        if fault is not None:
            fault(self, data or b"")
        elif data is None:
            self.answer(b"", code=404)
        else:
            self.answer(data)

    def answer(self, body: bytes, *, code: int = 200, announced: int | None = None) -> None:
        with suppress(ConnectionError):
            self.send_response(code)
            self.send_header("Content-Length", str(len(body) if announced is None else announced))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def session_mirror() -> Iterator[FaultyMirror]:
    """A mirror on loopback that keeps the files of the real one between runs."""
    mirror = FaultyMirror(REPOSITORY / ".incamera" / "mirror-cache")
    try:
        yield mirror
    finally:
        mirror.close()


@pytest.fixture
def local_mirror(session_mirror: FaultyMirror) -> Iterator[FaultyMirror]:
    """The same mirror; the faults that a test asks for end with it."""
    yield session_mirror
    session_mirror.behave()
