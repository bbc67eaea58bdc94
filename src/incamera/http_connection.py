"""One connection to a camera's web server, whose certificate is known by its digest. Answers are bounded.

`http` is for servers of the internet: it retries, follows redirections and uses proxies. None of that is done here. A
request may change something in the camera, and its address is in the user's own network.
"""

from __future__ import annotations

import hashlib
import io
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any, cast

_CONNECT_SECONDS = 10.0
# How long a server may send nothing, or take nothing.
_IDLE_SECONDS = 60.0
# How long to wait for "100 Continue": not every server sends it (RFC 9110, 10.1.1).
_CONTINUE_SECONDS = 1.0
_CONTINUE = re.compile(rb"HTTP/1\.[01] 100\b")
_LONGEST_LINE, _MOST_LINES = 4096, 100


class NotConnected(Exception):
    """No connection to the server could be made, so that nothing was sent."""


class Interrupted(Exception):
    """The connection ended, or the answer did not come, or is malformed. The request may have been carried out."""


class OtherCertificate(Exception):
    """The server shows a certificate that is not the expected one. *certificate* is in DER form."""

    def __init__(self, certificate: bytes) -> None:
        super().__init__("the server shows another certificate")
        self.certificate = certificate


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request: *size* bytes, which *chunks* gives anew for each attempt."""

    size: int
    chunks: Callable[[], Iterable[bytes]]

    @classmethod
    def of(cls, data: bytes) -> Body:
        return cls(len(data), lambda: [data] if data else [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """*target* is the path with the query. *expects* asks the server whether it wants the body before it is sent.

    *limit* is how many bytes the answer may have, *seconds* how long it may take.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    expects: bool = False
    limit: int = 1 << 20
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered. *challenges* are its WWW-Authenticate headers.

    *retry_after* is in how many seconds one may ask again, where the server says that.
    """

    status: int
    body: bytes
    location: str = ""
    content_type: str = ""
    challenges: tuple[str, ...] = ()
    retry_after: int | None = None


class WebConnection:
    """A connection that is opened for the first request, and again when the server has closed it."""

    def __init__(self, host: str, port: int, *, encrypted: bool, digest: str | None = None) -> None:
        """*digest* is the SHA-256 of the server's certificate in hexadecimal digits. None trusts no certificate."""
        self._address = host, port
        self._encrypted = encrypted
        self._digest = digest
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    def send(self, request: Request) -> Answer:
        """Return the answer to *request*. Raises NotConnected, Interrupted, OtherCertificate."""
        if self._socket is not None and _has_ended(self._socket):
            self.close()
        line = self._socket = self._socket or self._connect()
        keep = False
        try:
            answer, keep = self._exchange(line, request)
            return answer
        except TimeoutError:
            raise Interrupted(f"there was no answer within {request.seconds:.0f} s") from None
        except OSError as error:
            raise Interrupted(f"the connection ended: {error.strerror or error}") from None
        except (HTTPException, ValueError) as error:
            raise Interrupted(f"the answer is not HTTP: {type(error).__name__}") from None
        finally:
            if not keep:
                self.close()

    def _connect(self) -> socket.socket:
        try:
            plain = socket.create_connection(self._address, timeout=_CONNECT_SECONDS)
        except OSError as error:
            raise NotConnected(error.strerror or str(error)) from None
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._encrypted:
            return plain
        try:
            line = _tls_context().wrap_socket(plain, server_hostname=self._address[0])
        except (OSError, ValueError) as error:
            plain.close()
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise NotConnected(f"it does not speak TLS as it should: {why}") from None
        certificate = line.getpeercert(binary_form=True) or b""
        # Before the first byte: nothing is said to a server that is not the right one.
        if self._digest is None or hashlib.sha256(certificate).hexdigest() != self._digest:
            line.close()
            raise OtherCertificate(certificate)
        return line

    def _exchange(self, line: socket.socket, request: Request) -> tuple[Answer, bool]:
        """Return the answer, and whether the connection can be used for another request."""
        incoming = _Incoming(line, time.monotonic() + request.seconds)
        was_sent = self._send(line, request, incoming)
        incoming.deadline = time.monotonic() + request.seconds
        source = _Source(incoming)
        response = HTTPResponse(cast("Any", source), method=request.method)
        response.begin()
        if response.length is not None and response.length > request.limit:
            raise Interrupted(f"the answer would be longer than {request.limit} bytes")
        body = response.read(request.limit + 1)
        if len(body) > request.limit:
            raise Interrupted(f"the answer is longer than {request.limit} bytes")
        if response.length:
            raise Interrupted("the answer is cut off")
        headers = response.headers
        answer = Answer(
            response.status,
            body,
            location=headers.get("Location", ""),
            content_type=headers.get("Content-Type", ""),
            challenges=tuple(headers.get_all("WWW-Authenticate", ())),
            retry_after=_seconds(headers.get("Retry-After", "")),
        )
        response.close()
        return answer, was_sent and not response.will_close and not source.reader.has_more

    def _send(self, line: socket.socket, request: Request, incoming: _Incoming) -> bool:
        """Send *request*. Returns False when the server has answered before it had the whole body."""
        line.settimeout(_IDLE_SECONDS)
        line.sendall(self._head(request))
        if request.body is None:
            return True
        if request.expects and not _is_wanted(incoming):
            return False
        try:
            for data in request.body.chunks():
                line.settimeout(_IDLE_SECONDS)
                line.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            # A server that refuses it may answer and close the connection: the answer is read, if it has arrived.
            return False
        return True

    def _head(self, request: Request) -> bytes:
        host, port = self._address
        shown = f"[{host}]" if ":" in host else host
        default = 443 if self._encrypted else 80
        headers = {
            "Host": shown if port == default else f"{shown}:{port}",
            "User-Agent": "incamera",
            "Accept-Encoding": "identity",
            **request.headers,
        }
        if request.body is not None:
            headers["Content-Length"] = str(request.body.size)
            if request.expects:
                headers["Expect"] = "100-continue"
        lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
        if not all(text.isascii() and text.isprintable() for text in lines):
            raise Interrupted("the request has a character that no header can have")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


class _Incoming(io.RawIOBase):
    """What the server sends, until *deadline*. With *patience*, that many seconds without a byte are no error."""

    def __init__(self, line: socket.socket, deadline: float) -> None:
        super().__init__()
        self._line = line
        self._returned = b""
        self.deadline = deadline
        self.patience: float | None = None
        self.is_over = False

    def readable(self) -> bool:
        return True

    def give_back(self, data: bytes) -> None:
        """Let *data* be what is read next."""
        self._returned = data + self._returned

    def readinto(self, buffer: Any) -> int | None:
        if self._returned:
            size = min(len(buffer), len(self._returned))
            buffer[:size], self._returned = self._returned[:size], self._returned[size:]
            return size
        if self.is_over:
            return 0
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._line.settimeout(min(left, _IDLE_SECONDS if self.patience is None else self.patience))
        try:
            return self._line.recv_into(buffer)
        except TimeoutError:
            if self.patience is None:
                raise
            return None
        except ssl.SSLZeroReturnError:
            return 0

    def read_line(self) -> bytes:
        """Return the next line, read byte by byte: nothing after it is taken."""
        line = b""
        while not line.endswith(b"\n"):
            data = self.read(1)
            if not data or len(line) > _LONGEST_LINE:
                raise Interrupted("the answer is not HTTP: its first line does not end")
            line += data
        return line


class _Source:
    """What the server sends, in the form in which `HTTPResponse` takes a socket."""

    def __init__(self, incoming: _Incoming) -> None:
        self.reader = _Reader(incoming)

    def makefile(self, mode: str) -> io.BufferedReader:
        return self.reader


class _Reader(io.BufferedReader):
    """Reads ahead. *has_more* is whether more had been read when it was closed: what belongs to no answer."""

    def __init__(self, incoming: _Incoming) -> None:
        super().__init__(incoming)
        self._incoming = incoming
        self.has_more = False

    def close(self) -> None:
        if not self.closed:
            self._incoming.is_over = True
            self.has_more = bool(self.peek(1))
        super().close()


def _is_wanted(incoming: _Incoming) -> bool:
    """Return whether to send the body: True after "100 Continue", and when the server says nothing for a second."""
    incoming.patience = _CONTINUE_SECONDS
    beginning = incoming.read(1)
    incoming.patience = None
    if beginning is None:
        return True
    incoming.give_back(beginning)
    line = incoming.read_line()
    if not _CONTINUE.match(line):
        incoming.give_back(line)
        return False
    for _ in range(_MOST_LINES):
        if incoming.read_line() in (b"\r\n", b"\n"):
            return True
    raise Interrupted("the answer is not HTTP: its headers do not end")


def _has_ended(line: socket.socket) -> bool:
    """Return whether the server has closed the connection, or has sent what nobody asked for."""
    line.settimeout(0)
    try:
        line.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False
    except OSError:
        return True
    return True


def _seconds(text: str) -> int | None:
    """Return the number of seconds that a header has; None where it has none, or another form of time."""
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text.strip(), re.ASCII) else None


def _tls_context() -> ssl.SSLContext:
    """Return a context that takes any certificate: cameras have their own, which is compared by its digest."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
