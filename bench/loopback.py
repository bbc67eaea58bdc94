"""A Debian mirror on loopback, in front of the user's own: caches, records what is asked for, and can be slow.

It is a tunnel too, for programs that are told of it by `https_proxy`, so that all they fetch is slowed and counted.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

from incamera.debian.mirror import find_mirror

_CHUNK = 64 * 1024


class LoopbackMirror(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, cache: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cache = cache
        self.upstream = find_mirror(os.environ)
        self.mbit: float | None = None
        self.bytes = 0
        self.asked: dict[str, int] = {}  # path → size, of what there was
        self._lock = threading.Lock()
        self._free_at = 0.0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def settings(self) -> dict[str, str]:
        """The environment that makes incamera use this mirror."""
        return {
            "INCAMERA_DEBIAN_MIRROR": f"{self.address}/debian",
            "INCAMERA_DEBIAN_SECURITY_MIRROR": f"{self.address}/debian-security",
            "no_proxy": "127.0.0.1",
        }

    def upstream_url(self, path: str) -> str:
        archive, _, rest = path.lstrip("/").partition("/")
        return f"{self.upstream.base('security' if archive == 'debian-security' else 'main')}/{rest}"

    def forget(self) -> None:
        self.bytes = 0
        self.asked.clear()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is its own affair."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def pay(self, count: int) -> None:
        """Count bytes, and wait until the line, which all connections share, has carried them."""
        with self._lock:
            self.bytes += count
            if self.mbit is None:
                return
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + count * 8 / (self.mbit * 1e6)
            wait = self._free_at - now
        time.sleep(wait)


@contextmanager
def loopback_mirror(folder: Path) -> Iterator[LoopbackMirror]:
    """Serve from a thread until the block is left; *folder* keeps what the real mirror sent."""
    with LoopbackMirror(folder) as mirror:
        threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield mirror
        finally:
            mirror.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LoopbackMirror

    def do_GET(self) -> None:
        cached = self.server.cache / self.path.strip("/").replace("/", "|")
        if not cached.exists():
            request = urllib.request.Request(self.server.upstream_url(self.path), headers={"User-Agent": "incamera"})
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    partial = cached.with_name(f"{threading.get_ident()}.part")
                    with partial.open("wb") as output:
                        shutil.copyfileobj(response, output, _CHUNK)
                    partial.replace(cached)
            except urllib.error.HTTPError as error:
                self.send_error(error.code)
                return
            except OSError:
                self.send_error(502)
                return
        size = cached.stat().st_size
        self.server.asked[self.path] = size
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        with suppress(ConnectionError), cached.open("rb") as body:
            self._send(body, size)

    def _send(self, body: BinaryIO, size: int) -> None:
        step = _CHUNK if self.server.mbit else size
        while size:
            sent = os.sendfile(self.connection.fileno(), body.fileno(), None, min(step, size))
            self.server.pay(sent)
            size -= sent

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        try:
            there = socket.create_connection((host.strip("[]"), int(port)), timeout=60)
        except (OSError, ValueError):
            self.send_error(502)
            return
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        with there:
            there.settimeout(None)
            up = threading.Thread(target=_pump, args=(self.connection, there, lambda _: None), daemon=True)
            up.start()
            _pump(there, self.connection, self.server.pay)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def _pump(source: socket.socket, sink: socket.socket, pay: Callable[[int], None]) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            pay(len(data))
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
