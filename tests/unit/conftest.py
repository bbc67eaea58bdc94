"""A store, and a web server on loopback with an HTTP client."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from incamera.http import Http
from incamera.store import Store

Answer = bytes | Callable[[BaseHTTPRequestHandler], None]


class Web:
    """A real HTTP server. *pages* maps paths to answers, or to lists of answers. *requests* are the paths requested."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer | list[Answer]] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # without it, each small response takes 40 ms

            def do_GET(self) -> None:
                web.requests.append(self.path)
                web.headers.append({name.lower(): value for name, value in self.headers.items()})
                answer = web.pages.get(self.path)
                if isinstance(answer, list):  # one after the other; the last one is repeated
                    answer = answer.pop(0) if len(answer) > 1 else answer[0]
                if answer is None:
                    answer = web.status(404)
                if isinstance(answer, bytes):
                    answer = web.status(200, answer)
                answer(self)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64  # with the default, simultaneous connections wait a second

            def handle_error(self, *args: object) -> None:
                pass  # in some tests the client hangs up on purpose

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @staticmethod
    def status(code: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
        """Return an answer with the status *code*. An underscore in a header's name becomes a hyphen."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(code)
            for name, value in {"Content_Length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        return answer

    @staticmethod
    def hanging_up(body: bytes, announced: int) -> Callable[[BaseHTTPRequestHandler], None]:
        """Return an answer that announces so many bytes, sends *body* and closes the connection."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            Web.status(200, body, Content_Length=str(announced))(handler)
            handler.close_connection = True

        return answer

    @staticmethod
    def ranged(body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
        """Return an answer with the requested range of *body*."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            begin, _, end = handler.headers.get("Range", "").removeprefix("bytes=").partition("-")
            if not (begin or end):
                return Web.status(200, body)(handler)
            first = int(begin) if begin else max(0, len(body) - int(end))
            last = min(int(end), len(body) - 1) if begin and end else len(body) - 1
            if first > last:
                return Web.status(416)(handler)
            content_range = f"bytes {first}-{last}/{len(body)}"
            return Web.status(206, body[first : last + 1], Content_Range=content_range)(handler)

        return answer

    @staticmethod
    def stalling(body: bytes, announced: int, until: threading.Event) -> Callable[[BaseHTTPRequestHandler], None]:
        """Return an answer that announces so many bytes, sends *body*, and then nothing *until* the event."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            Web.status(200, body, Content_Length=str(announced))(handler)
            handler.wfile.flush()
            until.wait(30)
            handler.close_connection = True

        return answer


@contextmanager
def serving(web: Web) -> Iterator[Web]:
    thread = threading.Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield web
    web.server.shutdown()
    web.server.server_close()
    thread.join()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web()) as web:
        yield web


@pytest.fixture
def safe_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """One that is asked by https, and whose certificate is trusted."""
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(make_certificate())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    web = Web()
    web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
    web.url = web.url.replace("http:", "https:")
    with serving(web):
        yield web


def make_certificate() -> bytes:
    """Return a certificate for 127.0.0.1, and its private key."""
    from cryptography import x509  # lazy: one test needs it
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2100))
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, first, last)
    host = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = builder.add_extension(host, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def http() -> Http:
    return Http({}, timeout=5, pause=0.001)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")
