"""One connection to a web server: limits in size and time, `Expect`, and servers that break off or say too much."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.unit.vapix.conftest import digest_of

from incamera.http_connection import Answer, Body, Interrupted, NotConnected, OtherCertificate, Request, WebConnection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = Request(method="GET", target="/", limit=1000, seconds=20)


@dataclass
class Server:
    """A server that plays one script for each connection, and keeps what it was sent."""

    port: int = 0
    received: list[bytes] = field(default_factory=list)


Script = Callable[[socket.socket], None]


def saying(*parts: bytes) -> Script:
    """Read a request, say *parts*, and close the connection."""

    def play(line: socket.socket) -> None:
        read_head(line)
        for part in parts:
            line.sendall(part)

    return play


def read_head(line: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data and (more := line.recv(4096)):
        data += more
    return data


@contextmanager
def scripted(*scripts: Script, certificate: Path | None = None) -> Iterator[Server]:
    server = Server()
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]

    def run() -> None:
        for script in scripts:
            with suppress(OSError):
                line, _ = listener.accept()
                if certificate is not None:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(certificate)
                    line = context.wrap_socket(line, server_side=True)
                with line:
                    script(line)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.close()
        thread.join(20)


def ask(server: Server, request: Request = GET) -> Answer:
    connection = WebConnection("127.0.0.1", server.port, encrypted=False)
    try:
        return connection.send(request)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
def test_answer_is_read_to_its_end_however_that_is_marked(answer: bytes) -> None:
    with scripted(saying(*(answer[place : place + 1] for place in range(len(answer))))) as server:
        found = ask(server)
    assert (found.status, found.body) == (200, b"ok")


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"], "longer than 1000 bytes"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3e9\r\n" + b"x" * 1001], "longer than 1000"),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1001], "longer than 1000 bytes"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"], "cut off"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok"], "not HTTP"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nok"], "not HTTP"),
        ([b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 500], "not HTTP"),
        ([b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000], "not HTTP"),
        ([b"SSH-2.0-x\r\n"], "not HTTP"),
        ([b"HTTP/1.1 999999 OK\r\n\r\n"], "not HTTP"),
        ([], "connection ended"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" * 100], "connection ended"),
    ],
)
def test_answer_that_is_too_long_or_malformed_is_an_error(parts: list[bytes], why: str) -> None:
    with scripted(saying(*parts)) as server, pytest.raises(Interrupted, match=why):
        ask(server)


def test_answer_in_drops_is_given_up_in_time() -> None:
    ended = threading.Event()

    def drip(line: socket.socket) -> None:
        read_head(line)
        line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not ended.wait(0.05):
            line.sendall(b"x")

    with scripted(drip) as server, pytest.raises(Interrupted, match="no answer within 1 s"):
        ask(server, Request(method="GET", target="/", seconds=1))
    ended.set()


def test_connection_is_used_again_and_opened_anew_when_the_server_has_closed_it() -> None:
    def twice(line: socket.socket) -> None:
        for _ in range(2):
            read_head(line)
            line.sendall(OK)

    with scripted(twice, twice) as server:
        connection = WebConnection("127.0.0.1", server.port, encrypted=False)
        for _ in range(4):
            assert connection.send(GET).body == b"ok"
            time.sleep(0)
        connection.close()


def test_what_nobody_asked_for_is_not_taken_for_an_answer() -> None:
    sent = threading.Event()

    def chatty(line: socket.socket) -> None:
        read_head(line)
        line.sendall(OK)
        line.sendall(OK.replace(b"ok", b"no"))
        sent.set()
        line.recv(1000)

    with scripted(chatty, saying(OK)) as server:
        connection = WebConnection("127.0.0.1", server.port, encrypted=False)
        assert connection.send(GET).body == b"ok"
        sent.wait(20)
        assert connection.send(GET).body == b"ok"
        connection.close()


@pytest.mark.parametrize("continued", [b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n", b""])
def test_body_is_sent_when_the_server_wants_it_or_says_nothing(continued: bytes) -> None:
    received = []

    def play(line: socket.socket) -> None:
        assert b"Expect: 100-continue\r\n" in read_head(line)
        line.sendall(continued)
        received.append(line.recv(4))
        line.sendall(OK)

    body = Body.of(b"body")
    with scripted(play) as server:
        assert ask(server, Request(method="POST", target="/", body=body, expects=True)).status == 200
    assert received == [b"body"]


def test_body_is_not_sent_to_a_server_that_refuses_it() -> None:
    def chunks() -> Iterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    request = Request(method="POST", target="/", body=Body(1000, chunks), expects=True)
    with scripted(saying(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Basic\r\n\r\n")) as server:
        answer = ask(server, request)
    assert (answer.status, answer.challenges) == (401, ("Basic",))


def test_server_that_ends_the_connection_during_an_upload_is_an_error_or_its_answer_is_read() -> None:
    def refuse(line: socket.socket) -> None:
        read_head(line)
        line.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        line.shutdown(socket.SHUT_WR)
        line.recv(1000)

    body = Body(1 << 24, lambda: (bytes(1 << 16) for _ in range(256)))
    with scripted(refuse) as server:
        status = 413
        with suppress(Interrupted):  # when its answer was lost with the connection
            status = ask(server, Request(method="POST", target="/", body=body)).status
        assert status == 413


def test_nothing_is_said_to_a_server_with_another_certificate(certificate: Path) -> None:
    received = []

    def listen(line: socket.socket) -> None:
        received.append(line.recv(1000))

    for digest in (None, "0" * 64):
        with scripted(listen, certificate=certificate) as server:
            connection = WebConnection("127.0.0.1", server.port, encrypted=True, digest=digest)
            with pytest.raises(OtherCertificate) as error:
                connection.send(GET)
        assert error.value.certificate
    assert b"".join(received) == b""


def test_server_with_the_right_certificate_is_asked(certificate: Path) -> None:
    with scripted(saying(OK), certificate=certificate) as server:
        connection = WebConnection("127.0.0.1", server.port, encrypted=True, digest=digest_of(certificate))
        assert connection.send(GET).body == b"ok"
        connection.close()


def test_server_without_tls_and_a_closed_port_are_errors() -> None:
    with scripted(lambda line: line.sendall(b"SSH-2.0-x\r\n" * 10)) as server:
        with pytest.raises(NotConnected, match="TLS"):
            WebConnection("127.0.0.1", server.port, encrypted=True, digest="0" * 64).send(GET)
        port = server.port
    with pytest.raises(NotConnected):
        WebConnection("127.0.0.1", port, encrypted=False).send(GET)


def test_header_with_a_line_end_is_not_sent() -> None:
    with scripted() as server, pytest.raises(Interrupted, match="character"):
        ask(server, Request(method="GET", target="/ HTTP/1.1\r\nX: y"))
