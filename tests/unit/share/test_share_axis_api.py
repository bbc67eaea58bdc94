"""The camera's own network-share API, against a web server that answers as Axis documents it: the one stand-in here."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import quoteattr

import pytest

from incamera.digest import Login, answer_challenges
from incamera.errors import ConfigError, DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable, UsageError
from incamera.http import Http
from incamera.share.axis_api import NetworkShareApi
from incamera.share.registry import save_share
from incamera.share.values import Protocol, Share
from incamera.store import Store
from incamera.workflows.context import Context
from incamera.workflows.share import shares_folder
from incamera.workflows.share_api import attach_by_api, detach_by_api, open_api
from incamera.workflows.share_attach import find_host_folder

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
    """Knows shares, and lets in who answers its digest."""

    def __init__(self) -> None:
        self.shares: dict[str, dict[str, str]] = {}
        self.refuses_to_bind = False
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
                if not parts.path.startswith("/axis-cgi/disks/networkshare/"):
                    return self.answer(404, "")
                call = parts.path.rpartition("/")[2].removesuffix(".cgi")
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                camera.calls.append(call)
                if query.pop("schemaversion", "") != "1":
                    return self.xml("<GeneralError><ErrorCode>40</ErrorCode></GeneralError>")
                return self.xml(getattr(camera, call)(**query))

            def authorized(self) -> bool:
                fields = dict(re.findall(r'(\w+)="?([^",]+)"?', self.headers.get("Authorization", "")))

                def md5(text: str) -> str:
                    return hashlib.md5(text.encode()).hexdigest()

                who, what = md5(f"{LOGIN.user}:AXIS_00408C:{LOGIN.password}"), md5(f"GET:{self.path}")
                middle = ":".join(fields.get(key, "") for key in ("nonce", "nc", "cnonce", "qop"))
                return fields.get("nonce") in self.nonces and fields["response"] == md5(f"{who}:{middle}:{what}")

            def xml(self, inside: str) -> None:
                head = '<?xml version="1.0" encoding="utf-8"?><NetworkShareResponse SchemaVersion="1.0">'
                self.answer(200, f"{head}{inside}</NetworkShareResponse>")

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
            + " ".join(f"{key}={quoteattr(share[key])}" for key in ("NiceName", "Address", "Share", "User", "DiskId"))
            + "/>"
            for number, share in self.shares.items()
        )
        return f'<ListSuccess><NetworkShares NumberOfShares="{len(self.shares)}">{rows}</NetworkShares></ListSuccess>'

    def add(self, **words: str) -> str:
        number = str(35419 + len(self.shares))
        names = {"NiceName": "nicename", "Address": "address", "Share": "share", "User": "user", "password": "pass"}
        self.shares[number] = {ours: words.get(theirs, "") for ours, theirs in names.items()} | {"DiskId": ""}
        return f'<AddSuccess ShareId="{number}"/>'

    def bind(self, shareid: str) -> str:
        if self.refuses_to_bind:
            error = "<ErrorCode>50</ErrorCode><ErrorDescription>Mount failed</ErrorDescription>"
            return f"<GeneralError>{error}</GeneralError>"
        self.shares[shareid]["DiskId"] = "NetworkShare"
        return '<BindSuccess DiskID="NetworkShare"/>'

    def unbind(self, shareid: str) -> str:
        self.shares[shareid]["DiskId"] = ""
        return "<GeneralSuccess/>"

    def remove(self, shareid: str) -> str:
        assert not self.shares[shareid]["DiskId"], "a camera removes no share that is mounted"
        del self.shares[shareid]
        return "<GeneralSuccess/>"


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
    return NetworkShareApi(Http({}), camera.url, login)


def test_a_share_is_added_and_mounted_once(camera: FakeCamera) -> None:
    assert api(camera).attach(SHARE, "192.0.2.9")
    assert camera.shares["35419"] == {
        "NiceName": "lab",
        "Address": "192.0.2.9",
        "Share": "data",
        "User": "camera",
        "password": SHARE.password,
        "DiskId": "NetworkShare",
    }
    assert camera.calls == ["list", "add", "bind"]
    assert not api(camera).attach(SHARE, "192.0.2.9")
    assert camera.calls[3:] == ["list"]


def test_a_share_that_has_moved_is_mounted_anew(camera: FakeCamera) -> None:
    api(camera).attach(SHARE, "192.0.2.9")
    assert api(camera).attach(SHARE, "192.0.2.10")
    assert [(share["Address"], share["DiskId"]) for share in camera.shares.values()] == [("192.0.2.10", "NetworkShare")]


def test_the_share_of_others_stays_unless_it_is_taken_away(camera: FakeCamera) -> None:
    camera.add(nicename="recordings", address="nas", share="video", user="u")
    camera.bind("35419")
    with pytest.raises(DeviceError, match="recordings"):
        api(camera).attach(SHARE, "192.0.2.9")
    assert len(camera.shares) == 1
    assert api(camera).detach() == "recordings"
    assert camera.shares == {}
    assert api(camera).detach() is None


def test_what_cannot_be_mounted_is_not_left_behind(camera: FakeCamera) -> None:
    camera.refuses_to_bind = True
    with pytest.raises(DeviceError, match="Mount failed"):
        api(camera).attach(SHARE, "192.0.2.9")
    assert camera.shares == {}


def test_a_wrong_password_is_refused_and_not_shown(camera: FakeCamera) -> None:
    with pytest.raises(DeviceRefused, match="root") as caught:
        api(camera, Login("root", "wrong-one")).attach(SHARE, "192.0.2.9")
    assert "wrong-one" not in str(caught.value)
    assert camera.calls == []


def test_no_message_shows_the_shares_password(camera: FakeCamera) -> None:
    camera.server.server_close()
    with pytest.raises(DeviceUnreachable) as caught:
        api(camera).add(SHARE, "192.0.2.9")
    for shown in (SHARE.password, "g%26h", "pass="):
        assert shown not in str(caught.value) + str(caught.value.__cause__)


def test_only_the_usual_port_will_do(camera: FakeCamera) -> None:
    with pytest.raises(UsageError, match="port 445 only"):
        api(camera).attach(dataclasses.replace(SHARE, port=4450), "192.0.2.9")
    assert camera.calls == []


def test_what_is_no_camera_is_told(camera: FakeCamera) -> None:
    with pytest.raises(DeviceUnsuitable, match="no network-share API"):
        NetworkShareApi(Http({}), f"{camera.url}/elsewhere", LOGIN).list()


# The command


@pytest.fixture
def context(tmp_path: Path) -> Context:
    environment = {"INCAMERA_API_PASSWORD": LOGIN.password}
    return Context(Store(tmp_path / "store"), None, environment)  # type: ignore[arg-type]


def test_a_device_attached_so_is_written_down(context: Context, camera: FakeCamera, tmp_path: Path) -> None:
    save_share(shares_folder(context), dataclasses.replace(SHARE, folder=tmp_path, address="0.0.0.0"))
    api = open_api(context, camera.url, "root", None)
    assert attach_by_api(context, None, api, device="porch").fresh
    assert next(iter(camera.shares.values()))["Address"] == "127.0.0.1"
    assert find_host_folder(context, "porch") == tmp_path
    assert detach_by_api(context, api, device="porch") == "lab"
    assert find_host_folder(context, "porch") is None


def test_a_password_is_needed(context: Context, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="password of root"):
        open_api(Context(context.store, None, {}), "http://192.0.2.7", "root", None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not a camera's address"):
        open_api(context, "192.0.2.7", "root", None)
    (tmp_path / "file").write_text("from the file\n")
    assert open_api(context, "http://192.0.2.7", "root", tmp_path / "file").login.password == "from the file"


# Digests

MUFASA = Login("Mufasa", "Circle of Life")
RFC = (
    'realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [  # RFC 7616, 3.9.1
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_digest_is_that_of_the_rfc(algorithm: str, response: str) -> None:
    header = answer_challenges(
        [f"Digest {RFC}, algorithm={algorithm}"],
        MUFASA,
        method="GET",
        uri="/dir/index.html",
        encrypted=False,
        nonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert header is not None
    assert f'response="{response}"' in header


def test_the_strongest_digest_is_taken_and_basic_only_where_nobody_listens() -> None:
    words = {"login": MUFASA, "method": "GET", "uri": "/"}
    both = [f"Digest {RFC}, algorithm=MD5", f"Digest {RFC}, algorithm=SHA-256", 'Basic realm="x"']
    assert "algorithm=SHA-256" in str(answer_challenges(both, encrypted=False, **words))  # type: ignore[arg-type]
    assert answer_challenges(['Basic realm="x"'], encrypted=False, **words) is None  # type: ignore[arg-type]
    basic = answer_challenges(['Basic realm="x"'], MUFASA, method="GET", uri="/", encrypted=True)
    assert basic == "Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl"
