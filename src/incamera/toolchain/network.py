"""Refuses downloads during a build, with an HTTP proxy on loopback that records what a build wanted to download.

A wheel must depend only on what is locked. Nearly all programs that download (pip, urllib, curl, git, CMake, cargo) use
the proxy in the environment variables. So a build that tries to download fails at once, and the message has the
address.

An isolated build has a network of its own. `data/enter.py` makes the proxy's socket there, and sends it to us.
"""

from __future__ import annotations

import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from incamera.toolchain.data.enter import PROXY_PORT

_REFUSAL = b"HTTP/1.1 403 Builds may not download\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_MAX_LINE_BYTES = 8192


@dataclass(slots=True)
class Refusals:
    """`wanted`: the hosts or addresses that were requested. `environment`: the variables that name the proxy.

    `socket`: the Unix socket to which isolated builds send theirs; None when builds are not isolated.
    """

    environment: dict[str, str] = field(default_factory=dict)
    wanted: list[str] = field(default_factory=list)
    socket: Path | None = None


@contextmanager
def refusing_downloads(folder: Path | None = None) -> Iterator[Refusals]:
    """Run the proxy until the block ends: for isolated builds with a *folder*, in which a socket is made."""
    if folder is None:
        refusals = Refusals()
        with _answering(socket.create_server(("127.0.0.1", 0)), refusals) as port:
            refusals.environment = _variables(port)
            yield refusals
        return
    refusals = Refusals(_variables(PROXY_PORT), socket=folder / "refusals")
    with _receiving(refusals):
        yield refusals


@contextmanager
def _receiving(refusals: Refusals) -> Iterator[None]:
    """Answer on each socket that is sent to *refusals*' own, until the block ends."""
    assert refusals.socket is not None
    refusals.socket.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as receiver, ExitStack() as answering:
        # Through the folder's descriptor, since the path of a socket may have 107 bytes only.
        descriptor = os.open(refusals.socket.parent, os.O_PATH)
        try:
            receiver.bind(f"/proc/self/fd/{descriptor}/{refusals.socket.name}")
        finally:
            os.close(descriptor)
        receiver.listen()

        def receive() -> None:
            with suppress(OSError):  # closed
                while True:
                    sender, _ = receiver.accept()
                    with sender:
                        _, sockets, _, _ = socket.recv_fds(sender, 1, 1)
                    for number in sockets:
                        answering.enter_context(_answering(socket.socket(fileno=number), refusals))

        thread = threading.Thread(target=receive, daemon=True)
        thread.start()
        try:
            yield
        finally:
            receiver.shutdown(socket.SHUT_RDWR)  # ends accept
            thread.join()


@contextmanager
def _answering(listener: socket.socket, refusals: Refusals) -> Iterator[int]:
    """Refuse what is requested on *listener* until the block ends, and close it then. Yields its port."""

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

    with Server(listener.getsockname(), Handler, bind_and_activate=False) as server:
        server.socket.close()
        server.socket = listener
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def _variables(port: int) -> dict[str, str]:
    proxy = f"http://127.0.0.1:{port}"
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
