"""Refuses downloads during a build, with an HTTP proxy on loopback that records what a build wanted to download.

A wheel must depend only on what is locked. Nearly all programs that download (pip, urllib, curl, git, CMake, cargo) use
the proxy in the environment variables. So a build that tries to download fails at once, and the message has the
address.
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_REFUSAL = b"HTTP/1.1 403 Builds may not download\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_MAX_LINE_BYTES = 8192


@dataclass(slots=True)
class Refusals:
    """`wanted`: the hosts or addresses that were requested. `environment`: the variables that name the proxy."""

    environment: dict[str, str] = field(default_factory=dict)
    wanted: list[str] = field(default_factory=list)


@contextmanager
def refusing_downloads() -> Iterator[Refusals]:
    """Run the proxy until the block ends."""
    refusals = Refusals()

    class Handler(socketserver.StreamRequestHandler):
        timeout = 10

        def handle(self) -> None:
            try:
                wanted = _parse_request(self.rfile.readline(_MAX_LINE_BYTES))
                if wanted not in refusals.wanted:
                    refusals.wanted.append(wanted)
                while self.rfile.readline(_MAX_LINE_BYTES).strip():  # some clients send everything before they read
                    pass
                self.wfile.write(_REFUSAL)
            except OSError:  # the client has hung up
                pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        refusals.environment = _variables(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield refusals
        finally:
            server.shutdown()
            thread.join()


def _variables(proxy: str) -> dict[str, str]:
    names = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")
    return {
        **dict.fromkeys((*names, *(name.upper() for name in names)), proxy),
        "no_proxy": "localhost,127.0.0.1,::1",
        # No retries, and no questions for passwords.
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_RETRIES": "0",
        "CARGO_NET_RETRY": "0",
        "GIT_ALLOW_PROTOCOL": "file:http:https",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _parse_request(line: bytes) -> str:
    """Return the host or address in a proxy request, `CONNECT example.org:443 …` or `GET http://example.org/x …`."""
    words = line.decode("latin-1").split()
    if len(words) < 2:
        return "the network"
    if words[0] == "CONNECT":
        return words[1].removesuffix(":443")
    parts = urlsplit(words[1])
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else words[1]
