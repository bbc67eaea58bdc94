"""acap.vapix: the account that the app gets by D-Bus, and a desk's camera with digest login."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.unit.acap_video.conftest import fresh_settings

import acap
from acap import vapix

__all__ = ["fresh_settings"]


class Camera(BaseHTTPRequestHandler):
    """The web server of a camera: basic login with the account of D-Bus, digest login for root."""

    accounts: ClassVar[set[str]] = set()
    asked: ClassVar[list[tuple[str, bytes]]] = []

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, data: bytes) -> None:
        login = self.headers.get("Authorization", "")
        known = {f"Basic {base64.b64encode(account.encode()).decode()}" for account in self.accounts}
        if login not in known and not re.match(r'Digest username="root",.*response="[0-9a-f]{32}"', login):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Digest realm="AXIS_1", nonce="n", algorithm=MD5, qop="auth"')
            self.end_headers()
            return
        self.asked.append((self.path, data))
        text = b"# Error: Error -1 getting param in group 'X'" if "group=X" in self.path else b"root.Brand.Brand=AXIS\n"
        if data:
            method = json.loads(data)["method"]
            error = {"error": {"code": 2004, "message": "unknown method"}}
            text = json.dumps(error if method == "no" else {"data": {"method": method}}).encode()
        self.send_response(404 if "missing" in self.path else 200)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *words: Any) -> None:
        pass


@pytest.fixture
def camera() -> Iterator[str]:
    Camera.accounts, Camera.asked = set(), []
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def message(kind: int, reply: int, body: bytes, error: str = "") -> bytes:
    """A message of a bus in D-Bus' format, written after its specification."""
    fields = struct.pack("<BB2sI", 5, 1, b"u\0", reply)
    if body:
        fields += struct.pack("<BB2sB2s", 8, 1, b"g\0", 1, b"s\0")
    if error:
        fields += b"\0" * (-len(fields) % 8) + struct.pack("<BB2sI", 4, 1, b"s\0", len(error)) + error.encode() + b"\0"
    start = struct.pack("<cBBBIII", b"l", kind, 0, 1, len(body), 9, len(fields))
    return start + fields + b"\0" * (-len(start + fields) % 8) + body


class Bus:
    """The system's bus: gives the accounts of *answers*, one after the other; None: an error."""

    def __init__(self, path: Path, *answers: str | None) -> None:
        self.answers = list(answers)
        self.names: list[bytes] = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                assert re.fullmatch(rb"\0AUTH EXTERNAL [0-9a-f]+\r\n", stream.readline())
                connection.sendall(b"OK 0123456789abcdef\r\n")
                assert stream.readline() == b"BEGIN\r\n"
                self.read_call(stream)
                # A signal comes first, as from a real bus.
                name = b"\x05\0\0\0:1.42\0"
                connection.sendall(message(4, 99, name) + message(2, 1, name))
                header, body = self.read_call(stream)
                assert b"com.axis.HTTPConf1.VAPIXServiceAccounts1" in header
                assert b"GetCredentials" in header
                self.names.append(body[4:-1])
                answer = self.answers.pop(0)
                text = answer or "not allowed"
                body = struct.pack("<I", len(text)) + text.encode() + b"\0"
                error = "" if answer else "org.freedesktop.DBus.Error.AccessDenied"
                connection.sendall(message(2 if answer else 3, 2, body, error))

    def read_call(self, stream: Any) -> tuple[bytes, bytes]:
        start = stream.read(16)
        size, _, array = struct.unpack_from("<III", start, 4)
        return stream.read(array + -(16 + array) % 8), stream.read(size)


@pytest.fixture
def inside(camera: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The app runs in the camera: returns the path of the bus."""
    from acap.app import app_name

    monkeypatch.delenv("ACAP_VAPIX", raising=False)
    monkeypatch.setenv("ACAP_VAPIX_HERE", f"http://{camera}")
    monkeypatch.setenv("ACAP_APP_NAME", "lamp")
    app_name.cache_clear()
    monkeypatch.setattr(vapix, "_account", "")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'bus'}")
    return tmp_path / "bus"


@pytest.fixture
def start_bus(inside: Path) -> Iterator[Callable[..., Bus]]:
    started: list[Bus] = []

    def start(*answers: str | None) -> Bus:
        started.append(Bus(inside, *answers))
        return started[-1]

    yield start
    for bus in started:
        bus.server.shutdown(socket.SHUT_RDWR)
        bus.server.close()


def test_app_logs_in_with_the_account_that_dbus_gives(start_bus: Callable[..., Bus]) -> None:
    bus = start_bus("a1:secret", "a2:other")
    Camera.accounts = {"a1:secret"}
    assert acap.vapix.get("param.cgi", action="list", group="Brand") == "root.Brand.Brand=AXIS\n"
    assert acap.vapix.call("basicdeviceinfo.cgi", "getAll", version="1.3", propertyList=["Brand"]) == {
        "method": "getAll"
    }
    assert bus.names == [b"lamp"]
    assert Camera.asked[0][0] == "/axis-cgi/param.cgi?action=list&group=Brand"
    sent = json.loads(Camera.asked[1][1])
    assert sent == {"apiVersion": "1.3", "method": "getAll", "params": {"propertyList": ["Brand"]}}
    Camera.accounts = {"a2:other"}  # as after a restart of the camera's web server
    assert acap.vapix.get("/axis-cgi/x.cgi")
    assert bus.names == [b"lamp", b"lamp"]


def test_app_without_the_method_in_its_manifest_is_told(start_bus: Callable[..., Bus]) -> None:
    start_bus(None)
    with pytest.raises(
        PermissionError, match=r"AccessDenied: not allowed: the manifest needs com\.axis\.HTTPConf1"
    ) as caught:
        acap.vapix.get("param.cgi")
    assert isinstance(caught.value, acap.VapixDenied)


def test_computer_without_a_bus_is_told(inside: Path) -> None:
    with pytest.raises(acap.VapixDenied, match=r"D-Bus: .*on a desk, name a camera in ACAP_VAPIX"):
        acap.vapix.get("param.cgi")


def test_desk_logs_in_as_the_camera_demands(camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACAP_VAPIX", f"http://root:pa%3Ass@{camera}")
    assert acap.vapix.get("param.cgi", action="list") == "root.Brand.Brand=AXIS\n"
    monkeypatch.setenv("ACAP_VAPIX", f"http://nobody:x@{camera}")
    with pytest.raises(acap.VapixDenied, match="HTTP 401"):
        acap.vapix.get("param.cgi")


@pytest.mark.parametrize(
    ("use", "code", "message"),
    [
        (lambda: acap.vapix.get("missing.cgi"), 404, "HTTP 404"),
        (lambda: acap.vapix.get("param.cgi", group="X"), 0, "Error -1 getting param in group 'X'"),
        (lambda: acap.vapix.call("x.cgi", "no"), 2004, "unknown method"),
    ],
)
def test_error_of_the_camera_is_told(
    camera: str, monkeypatch: pytest.MonkeyPatch, use: Any, code: int, message: str
) -> None:
    monkeypatch.setenv("ACAP_VAPIX", f"http://root:x@{camera}")
    with pytest.raises(OSError, match=message) as caught:
        use()
    assert isinstance(caught.value, acap.VapixFailed)
    assert caught.value.code == code


class Answers:
    """A server that answers each request with *text*, whatever that is."""

    def __init__(self, text: bytes) -> None:
        self.text, self.requests = text, list[bytes]()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.url = f"http://root:x@127.0.0.1:{self.port}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self.requests.append(connection.recv(65536))
                connection.sendall(self.text)


@pytest.fixture
def answers() -> Iterator[Callable[[bytes], Answers]]:
    started: list[Answers] = []

    def start(text: bytes) -> Answers:
        started.append(Answers(text))
        return started[-1]

    yield start
    for one in started:
        one.server.shutdown(socket.SHUT_RDWR)
        one.server.close()


OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
DENIED = b"HTTP/1.1 401 x\r\nConnection: close\r\nWWW-Authenticate: Digest "


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000,
        OK + b"Content-Length: 99\r\n\r\ncut off",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"\r\n" + b"[" * 100_000,
        OK + b'\r\n{"error": {"code": Infinity}}',
        OK + b"\r\n[1]",
        DENIED + b'algorithm="ROT13", realm=a, nonce="b"\r\n\r\n',
        DENIED + b"nothing\r\n\r\n",
    ],
    ids=["nothing", "no-http", "endless", "cut", "chunk", "deep", "infinite", "list", "algorithm", "no-challenge"],
)
def test_answer_that_is_none_is_an_error_of_vapix(
    answers: Callable[[bytes], Answers], monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    monkeypatch.setenv("ACAP_VAPIX", answers(text).url)
    with pytest.raises((acap.VapixFailed, acap.VapixDenied)):
        acap.vapix.call("basicdeviceinfo.cgi", "getAll")


def test_answer_without_end_is_an_error_of_vapix(
    answers: Callable[[bytes], Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vapix, "_MOST_BYTES", 1 << 20)
    monkeypatch.setenv("ACAP_VAPIX", answers(OK + b"\r\n" + bytes(2 << 20)).url)
    with pytest.raises(acap.VapixFailed, match="more than 1 MB"):
        acap.vapix.request("x.cgi")


def test_login_is_not_sent_on_to_another_server(
    answers: Callable[[bytes], Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = answers(OK + b"\r\nstolen")
    where = f"Location: http://127.0.0.1:{other.port}"
    camera = answers(f"HTTP/1.1 302 Found\r\nConnection: close\r\n{where}\r\n\r\n".encode())
    monkeypatch.setenv("ACAP_VAPIX", camera.url)
    with pytest.raises(acap.VapixFailed, match="HTTP 302"):
        acap.vapix.request("x.cgi")
    assert other.requests == []


@pytest.mark.parametrize("url", ["camera", "ftp://x", "http://"])
def test_desk_variable_that_is_no_url_is_told(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ACAP_VAPIX", url)
    with pytest.raises(acap.VapixFailed, match="is no URL of a camera"):
        acap.vapix.get("param.cgi")
