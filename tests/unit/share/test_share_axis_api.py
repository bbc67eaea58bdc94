"""The camera's own network-share API, against a fake camera that answers as Axis documents."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import quoteattr

import pytest

from incamera.connect.attached import find_host_folder
from incamera.console import Console
from incamera.context import Context
from incamera.errors import ConfigError, DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable, UsageError
from incamera.http import Http
from incamera.http_auth import Login
from incamera.share.axis_api import NetworkShareApi
from incamera.share.axis_cgi import AxisCgi
from incamera.share.registry import save_share, shares_folder
from incamera.share.values import Protocol, Share
from incamera.store import Store
from incamera.workflows.share import attach_by_api, detach_by_api, open_api

SHARE = Share(
    name="lab",
    folder=Path("/lab"),
    protocol=Protocol.smb,
    address="192.0.2.1",
    port=445,
    path="data",
    user="camera",
    password="g&h e=i",
)
LOGIN = Login("root", "pa:ss")


class FakeCamera:
    """A web server with Digest authentication and the network-share API, with answers and errors as documented."""

    def __init__(self) -> None:
        self.shares: dict[str, dict[str, str]] = {}
        self.mounted = False
        self.busy = False  # a recording on the share is open
        self.test_error, self.state_when_bound = "", "OK"
        self.calls: list[str] = []
        camera = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            nonces: ClassVar[list[str]] = []

            def do_GET(self) -> None:
                if not self.authorized():
                    nonce = f"nonce{len(self.nonces)}"
                    self.nonces.append(nonce)
                    challenge = f'Digest realm="AXIS_00408C", nonce="{nonce}", algorithm=MD5, qop="auth", stale=false'
                    return self.answer(401, "", **{"WWW-Authenticate": challenge})
                parts = urlsplit(self.path)
                if not parts.path.startswith("/axis-cgi/disks/"):
                    return self.answer(404, "")
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                folder, _, call = parts.path.removeprefix("/axis-cgi/").removesuffix(".cgi").rpartition("/")
                if folder == "disks":
                    camera.calls.append(f"disk {call}")
                    return self.xml("root", getattr(camera, f"disk_{call}")(**query))
                camera.calls.append(call)
                if query.pop("schemaversion", "") != "1":
                    return self.xml("NetworkShareResponse", fault("40", "Specified version is not supported"))
                return self.xml("NetworkShareResponse", getattr(camera, call)(**query))

            def authorized(self) -> bool:
                fields = dict(re.findall(r'(\w+)="?([^",]+)"?', self.headers.get("Authorization", "")))

                def md5(text: str) -> str:
                    return hashlib.md5(text.encode()).hexdigest()

                who, what = md5(f"{LOGIN.user}:AXIS_00408C:{LOGIN.password}"), md5(f"GET:{self.path}")
                middle = ":".join(fields.get(key, "") for key in ("nonce", "nc", "cnonce", "qop"))
                return fields.get("nonce") in self.nonces and fields["response"] == md5(f"{who}:{middle}:{what}")

            def xml(self, root: str, inside: str) -> None:
                head = f'<?xml version="1.0" encoding="utf-8"?><{root} SchemaVersion="1.0" xmlns:xsi="urn:any">'
                self.answer(200, f"{head}{inside}</{root}>")

            def answer(self, status: int, body: str, **headers: str) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def list(self, shareid: str) -> str:
        rows = "".join(
            f"<NetworkShare ShareId={quoteattr(number)} "
            + " ".join(f"{key}={quoteattr(value)}" for key, value in share.items() if key != "password")
            + "/>"
            for number, share in self.shares.items()
        )
        return f'<ListSuccess><NetworkShares NumberOfShares="{len(self.shares)}">{rows}</NetworkShares></ListSuccess>'

    def test(self, **words: str) -> str:
        self.requests = 0
        return '<TestSuccess JobId="7"/>'

    def job(self, jobid: str) -> str:
        assert jobid == "7"
        self.requests += 1
        if self.requests < 3:
            return "<JobSuccess><Progress>15</Progress></JobSuccess>"
        end = fault(self.test_error, "Error while mounting network share.") if self.test_error else "<GeneralSuccess/>"
        return f"<JobSuccess>{end}</JobSuccess>"

    def add(self, **words: str) -> str:
        if any(share["NiceName"] == words["nicename"] for share in self.shares.values()):
            return fault("220", "The NiceName is not unique")
        number = str(35419 + len(self.shares))
        names = {"NiceName": "nicename", "Address": "address", "Share": "share", "User": "user", "password": "pass"}
        self.shares[number] = {ours: words.get(theirs, "") for ours, theirs in names.items()}
        return f'<AddSuccess ShareId="{number}"/>'

    def bind(self, shareid: str) -> str:
        if any("DiskId" in share for share in self.shares.values()):
            return fault("300", "No available disk")
        self.shares[shareid]["DiskId"] = "NetworkShare"
        self.mounted = self.state_when_bound == "OK"
        self.requests = 0
        return '<BindSuccess DiskID="NetworkShare"/>'

    def unbind(self, shareid: str) -> str:
        if self.mounted:
            return fault("400", "The network share is mounted and cannot be unbound")
        del self.shares[shareid]["DiskId"]
        return "<GeneralSuccess/>"

    def remove(self, shareid: str) -> str:
        if "DiskId" in self.shares[shareid]:
            return fault("500", "The network share is bound and cannot be removed")
        del self.shares[shareid]
        return "<GeneralSuccess/>"

    def disk_list(self, diskid: str) -> str:
        assert diskid == "NetworkShare"
        self.requests += 1
        state = self.state_when_bound if self.requests > 1 else "connected"
        return f'<disks numberofdisks="1"><disk diskid="NetworkShare" filesystem="cifs" status="{state}"/></disks>'

    def disk_mount(self, action: str, diskid: str) -> str:
        assert (action, diskid) == ("unmount", "NetworkShare")
        if self.busy:
            return '<job action="unmount" diskid="NetworkShare" result="ERROR" description="busy"/>'
        self.requests = 0
        return '<job action="unmount" diskid="NetworkShare" result="OK" jobid="4"/>'

    def disk_job(self, jobid: str, diskid: str) -> str:
        assert (jobid, diskid) == ("4", "NetworkShare")
        self.requests += 1
        self.mounted = self.requests < 2
        return f'<job jobid="4" diskid="NetworkShare" result="OK" progress="{min(50 * self.requests, 100)}"/>'


def fault(code: str, why: str) -> str:
    return f"<GeneralError><ErrorCode>{code}</ErrorCode><ErrorDescription>{why}</ErrorDescription></GeneralError>"


@pytest.fixture
def camera() -> Iterator[FakeCamera]:
    camera = FakeCamera()
    thread = threading.Thread(target=camera.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield camera
    camera.server.shutdown()
    camera.server.server_close()
    thread.join()


def api(camera: FakeCamera, login: Login = LOGIN) -> NetworkShareApi:
    return NetworkShareApi(AxisCgi(Http({}), camera.url, login), sleep=lambda _: None)


def test_share_is_added_and_mounted_once(camera: FakeCamera) -> None:
    assert api(camera).attach(SHARE, "192.0.2.9")
    assert camera.shares["35419"] == {
        "NiceName": "lab",
        "Address": "192.0.2.9",
        "Share": "data",
        "User": "camera",
        "password": SHARE.password,
        "DiskId": "NetworkShare",
    }
    assert list(dict.fromkeys(camera.calls)) == ["list", "test", "job", "add", "bind", "disk list"]
    camera.calls.clear()
    assert not api(camera).attach(SHARE, "192.0.2.9")
    assert camera.calls == ["list", "disk list"]


def test_share_with_another_address_is_mounted_again(camera: FakeCamera) -> None:
    api(camera).attach(SHARE, "192.0.2.9")
    assert api(camera).attach(SHARE, "192.0.2.10")
    assert [(share["Address"], share["DiskId"]) for share in camera.shares.values()] == [("192.0.2.10", "NetworkShare")]
    assert camera.calls[camera.calls.index("unbind") : -2] == (
        ["unbind", "disk mount", "disk job", "disk job", "unbind", "remove", "add", "bind"]
    )


def test_share_that_is_bound_but_not_mounted_is_mounted_again(camera: FakeCamera) -> None:
    api(camera).attach(SHARE, "192.0.2.9")
    camera.requests = 0  # its next status of the disk is "connected", so not mounted
    camera.calls.clear()
    assert api(camera).attach(SHARE, "192.0.2.9")
    assert "bind" in camera.calls
    assert camera.mounted


def test_another_share_is_not_replaced_but_can_be_detached(camera: FakeCamera) -> None:
    camera.add(nicename="recordings", address="nas", share="video", user="u")
    camera.bind("35419")
    with pytest.raises(DeviceError, match="recordings"):
        api(camera).attach(SHARE, "192.0.2.9")
    assert len(camera.shares) == 1
    assert api(camera).detach() == "recordings"
    assert camera.shares == {}
    assert api(camera).detach() is None


def test_share_that_cannot_be_mounted_is_removed_again(camera: FakeCamera) -> None:
    camera.state_when_bound = "failed"
    with pytest.raises(DeviceError, match="cannot mount the network share"):
        api(camera).attach(SHARE, "192.0.2.9")
    assert camera.shares == {}


def test_share_that_fails_the_cameras_test_replaces_nothing(camera: FakeCamera) -> None:
    api(camera).attach(SHARE, "192.0.2.9")
    camera.test_error = "710"
    with pytest.raises(DeviceError, match="Error while mounting") as caught:
        api(camera).attach(SHARE, "192.0.2.10")
    assert "port 445" in str(caught.value.hint)
    assert camera.mounted
    assert [share["Address"] for share in camera.shares.values()] == ["192.0.2.9"]


def test_share_in_use_stays_mounted(camera: FakeCamera) -> None:
    api(camera).attach(SHARE, "192.0.2.9")
    camera.busy = True
    with pytest.raises(DeviceError, match="cannot unmount the network share: busy"):
        api(camera).detach()
    assert camera.mounted


def test_waiting_for_the_mount_has_a_timeout(camera: FakeCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    camera.state_when_bound = "connected"
    monkeypatch.setattr("incamera.share.axis_api._TIMEOUT_SECONDS", 0)
    camera.job = lambda jobid: "<JobSuccess><GeneralSuccess/></JobSuccess>"  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="has not mounted the network share within"):
        api(camera).attach(SHARE, "192.0.2.9")
    assert camera.shares == {}


def test_wrong_password_is_refused_and_not_printed(camera: FakeCamera) -> None:
    with pytest.raises(DeviceRefused, match="root") as caught:
        api(camera, Login("root", "wrong-one")).attach(SHARE, "192.0.2.9")
    assert "wrong-one" not in str(caught.value)
    assert camera.calls == []


def test_no_message_has_the_shares_password(camera: FakeCamera) -> None:
    camera.server.shutdown()  # before server_close, since the server's thread uses the socket
    camera.server.server_close()
    with pytest.raises(DeviceUnreachable) as caught:
        api(camera).add(SHARE, "192.0.2.9")
    for shown in (SHARE.password, "g%26h", "pass="):
        assert shown not in str(caught.value) + str(caught.value.__cause__)


def test_share_on_another_port_than_445_is_refused(camera: FakeCamera) -> None:
    with pytest.raises(UsageError, match="port 445 only"):
        api(camera).attach(dataclasses.replace(SHARE, port=4450), "192.0.2.9")
    assert camera.calls == []


def test_server_without_the_api_is_unsuitable(camera: FakeCamera) -> None:
    with pytest.raises(DeviceUnsuitable, match="no network-share API"):
        NetworkShareApi(AxisCgi(Http({}), f"{camera.url}/elsewhere", LOGIN)).list()


# Answers that no camera gives


@contextmanager
def raw_server(
    *pieces: bytes, forever: bytes = b"", handler: type[socketserver.BaseRequestHandler] | None = None
) -> Iterator[str]:
    """Yield the address of a server that answers each request with these bytes, or as *handler* does."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.recv(65536)
                for piece in pieces:
                    self.request.sendall(piece)
                while forever:
                    self.request.sendall(forever)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), handler or Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><a>&b;</a>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a>",
        b"\xff",
        b"<a>\xff</a>",
        b"<a>\0</a>",
        BOMB.encode(),
        f'<?xml version="1.0" encoding="utf-16"?>{BOMB}'.encode("utf-16"),
        b"<?xml version='1.0' encoding='nonsense'?><a",
        b"<a>" * 100_000,
        b"<a>" * 100_000 + b"</a>" * 100_000,
        b'<a><job jobid=""/><TestSuccess/></a>',
        b'<a x="1" x="2"/>',
    ],
    ids=range(12),
)
def test_odd_xml_is_a_device_error(body: bytes) -> None:
    with raw_server(HEAD + body) as url, pytest.raises(DeviceError):
        NetworkShareApi(AxisCgi(Http({}), url, LOGIN)).test(SHARE, "192.0.2.9")


@pytest.mark.parametrize(
    ("pieces", "forever"),
    [
        ([HEAD], b"<a>" * 20_000),
        ([HEAD.replace(b"200", b"500")], b"x" * 60_000),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"], b"x" * 60_000),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\nConnection: close\r\n\r\n"], b"x" * 60_000),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"], b"7530\r\n" + bytes(30_000) + b"\r\n"),
        ([b"HTTP/1.1 200 OK\r\n"], b"X-More: " + b"y" * 1000 + b"\r\n"),
        ([b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n"\r\n\r\n'], b"x" * 60_000),
        ([], b"x" * 60_000),
    ],
    ids=range(8),
)
def test_endless_answer_is_a_device_error_and_is_not_kept(pieces: list[bytes], forever: bytes) -> None:
    with raw_server(*pieces, forever=forever) as url, pytest.raises(DeviceError):
        NetworkShareApi(AxisCgi(Http({}), url, LOGIN)).list()


def test_answer_that_comes_byte_by_byte_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incamera.http._CALL_SECONDS", 0.2)

    stopped = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(HEAD)
            while not stopped.wait(0.02):
                self.request.sendall(b"x")

    with raw_server(handler=Handler) as url:
        try:
            with pytest.raises(DeviceUnreachable, match="did not answer within"):
                NetworkShareApi(AxisCgi(Http({}), url, LOGIN)).list()
        finally:
            stopped.set()


# The command


@pytest.fixture
def context(tmp_path: Path) -> Context:
    environment = {"INCAMERA_API_PASSWORD": LOGIN.password}
    return Context(Store(tmp_path / "store"), Console(quiet=True), environment)


def test_attach_by_api_saves_which_device_has_the_share(context: Context, camera: FakeCamera, tmp_path: Path) -> None:
    save_share(shares_folder(context), dataclasses.replace(SHARE, folder=tmp_path, address="0.0.0.0"))
    api = dataclasses.replace(open_api(context, camera.url, "root", None), sleep=lambda _: None)
    assert attach_by_api(context, None, api, device="porch").fresh
    assert next(iter(camera.shares.values()))["Address"] == "127.0.0.1"
    assert find_host_folder(context, "porch") == tmp_path
    assert detach_by_api(context, api, device="porch") == "lab"
    assert find_host_folder(context, "porch") is None


def test_api_needs_a_password_and_an_address_without_a_login(context: Context, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="password of root"):
        open_api(Context(context.store, None, {}), "http://192.0.2.7", "root", None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not a camera's address"):
        open_api(context, "192.0.2.7", "root", None)
    with pytest.raises(UsageError, match="has a login in it") as caught:
        open_api(context, "http://root:geheim@192.0.2.7", "root", None)
    assert "geheim" not in str(caught.value)
    (tmp_path / "file").write_text("from the file\n")
    assert open_api(context, "http://192.0.2.7", "root", tmp_path / "file").cgi.login.password == "from the file"
