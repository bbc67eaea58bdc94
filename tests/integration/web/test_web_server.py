"""The web server of virtual cameras on this computer: Debian's Apache with the camera's configuration and back end."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.axis_os.accounts import login_files
from incamera.axis_os.answers import ROUTES
from incamera.axis_os.apache import render_apps, render_configuration
from incamera.axis_os.applications import Installed, Page, Proxy
from incamera.axis_os.main import listen
from incamera.build.deb_trees import ensure_deb_tree
from incamera.errors import DeviceRefused
from incamera.http_auth import Login
from incamera.targets.host import require_host
from incamera.targets.packages import DebSet
from incamera.vapix.address import WebDevice, parse_url
from incamera.vapix.applications import list_applications, read_switch, set_switch, upload
from incamera.vapix.client import Client
from incamera.vapix.device_info import read_apis, read_device_info, read_system_ready
from incamera.vapix.params import read_params, set_params
from incamera.virtual.web_server import NOT_NEEDED
from incamera.virtual.web_settings import make_certificate
from tests.unit.axis_os.test_axis_os_answers import make_camera
from tests.unit.vapix.conftest import KnownLogins
from tests.unit.vapix.packages import make_package
from tests.waiting import wait_until

if TYPE_CHECKING:
    from incamera.axis_os.camera import Camera
    from incamera.context import Context


@dataclass
class Served:
    """A camera behind Apache. *ports*: those of this computer, by the camera's own."""

    camera: Camera
    ports: dict[int, int]
    certificate: str
    clients: list[Client] = field(default_factory=list)

    def client(self, port: int = 443, user: str = "root", password: str = "pass") -> Client:
        scheme = "https" if port == 443 else "http"
        address = replace(parse_url(f"{scheme}://127.0.0.1:{self.ports[port]}"), user=user)
        if port == 443:
            address = replace(address, certificate=self.certificate)
        client = Client(WebDevice(name="gate", address=address), KnownLogins(Login(user, password)))
        self.clients.append(client)
        return client

    def send(self, data: bytes, port: int = 80) -> bytes:
        """Return all that comes back on a connection to which *data* is sent."""
        with socket.create_connection(("127.0.0.1", self.ports[port]), timeout=60) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def send_encrypted(self, data: bytes) -> bytes:
        """Return all that comes back on an encrypted connection to which *data* is sent."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.ports[443]), timeout=60) as plain,
            context.wrap_socket(plain) as connection,
        ):
            assert hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest() == self.certificate
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class App(BaseHTTPRequestHandler):
    """The server of an app, which says what it was asked for."""

    def do_GET(self) -> None:
        body = f"{self.path} {self.headers.get('X-Axis-User')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="module")
def app_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server.server_port
        server.shutdown()


def pages(port: int) -> Installed:
    return Installed(
        name="pages",
        title="pages",
        vendor="me",
        version="1.0.0",
        uid=2000,
        fast_cgi=True,
        proxies=(
            Proxy("api", f"http://localhost:{port}", "viewer"),
            Proxy("/inner/", f"http://localhost:{port}/mcp", "admin"),
            Proxy("open", f"http://localhost:{port}/", "anonymous"),
            Proxy("down", f"http://localhost:{free_port()}", "viewer"),
            Proxy('x" \nLoadModule y z', f"http://localhost:{port}", "anonymous"),
            Proxy("else", "http://192.0.2.1:80", "anonymous"),
            Proxy("else", 'http://localhost:80" \nListen 1', "anonymous"),
        ),
        pages=(Page("", "viewer"), Page("/down.cgi", "viewer"), Page('y"\nListen 1', "anonymous")),
    )


@pytest.fixture(scope="module", params=["11.11.192", "12.9.57"])
def served(request: pytest.FixtureRequest, context: Context, app_port: int) -> Iterator[Served]:
    host = require_host()
    roots, left_out = ("apache2-bin",), frozenset(NOT_NEEDED)
    tree = ensure_deb_tree(
        context, "web", DebSet(suite="trixie", architecture=host.debian, roots=roots, leave_out=left_out)
    )
    folder = Path(tempfile.mkdtemp(prefix="incamera-web-"))
    folder.chmod(0o755)  # Apache's workers are another user when the tests run as root
    try:
        camera = make_camera(folder / "camera", request.param)
        back_end = listen(folder / "back-end.sock")
        back_end.camera = camera
        (folder / "back-end.sock").chmod(0o666)
        threading.Thread(target=back_end.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        digest, pem = make_certificate(camera.facts.host_name)
        (folder / "certificate.pem").write_bytes(pem)
        for name, text in login_files(camera.kept.accounts, camera.facts.realm).items():
            (folder / name).write_text(text)
        (folder / "web").mkdir()
        ports = {port: free_port() for port in (443, 80)}
        text = render_configuration(camera.facts, ROUTES, program=tree / "usr/lib/apache2", run=folder)
        for port, own in ports.items():
            text = text.replace(f"Listen {port}\n", f"Listen 127.0.0.1:{own}\n").replace(f"*:{port}>", f"*:{own}>")
        (folder / "apache.conf").write_text(text)
        (folder / "apps.conf").write_text(render_apps([pages(app_port)], folder / "camera" / "packages", folder))
        html = folder / "camera" / "packages" / "pages" / "html"
        html.mkdir(parents=True)
        (html / "index.html").write_text("a page")
        (html / "out").symlink_to("/etc")
        loader = next(path for lib in ("lib64", "lib") if (path := tree / "usr" / lib / host.loader).exists())
        libraries = f"{tree}/usr/lib/{host.gnu}:{tree}/usr/lib"
        words = [loader, "--library-path", libraries, tree / "usr/sbin/apache2", "-f", folder / "apache.conf"]
        with subprocess.Popen([*map(str, words), "-DFOREGROUND"]) as server:
            try:
                wait_until(lambda: _listens(ports[443]), lambda: (folder / "error.log").read_text())
                yield Served(camera, ports, digest)
            finally:
                server.terminate()
                server.wait(60)
                back_end.shutdown()
                back_end.server_close()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def closing_clients(served: Served) -> Iterator[None]:
    yield
    while served.clients:
        served.clients.pop().close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("port", [443, 80])
def test_client_works_over_both_transports(served: Served, port: int, tmp_path: Path) -> None:
    client = served.client(port)
    assert read_device_info(client).version == served.camera.facts.version
    assert read_system_ready(client).is_ready
    assert "param-cgi" in {api.id for api in read_apis(client)}
    set_params(client, {"Image.I0.Name": "a&b=c d"})
    assert read_params(client, "Image.I0.Name") == {"Image.I0.Name": "a&b=c d"}
    set_switch(client, "AllowUnsigned", True)
    assert read_switch(client, "AllowUnsigned") is True
    package = make_package(tmp_path / "own.eap")
    upload(client, package, package.stat().st_size, name="own.eap")
    assert [app.name for app in list_applications(client)] == ["own_app"]


@pytest.mark.parametrize(
    ("port", "user", "password"), [(443, "root", "wrong"), (80, "root", "wrong"), (443, "guest", "pass")]
)
def test_wrong_password_and_wrong_role_are_refused(served: Served, port: int, user: str, password: str) -> None:
    with pytest.raises(DeviceRefused):
        list_applications(served.client(port, user, password))


def test_viewer_reads_parameters_and_cannot_say_that_it_is_another(served: Served) -> None:
    assert read_params(served.client(user="guest"), "Brand.Brand") == {"Brand.Brand": "AXIS"}
    request = b"GET /axis-cgi/systemready.cgi HTTP/1.0\r\nX-Axis-User: root\r\n\r\n"
    assert b"200 OK" in served.send(request)
    login = "Z3Vlc3Q6cGFzcw=="  # guest:pass
    head = f"GET /axis-cgi/param.cgi?action=update&Image.I0.Name=taken HTTP/1.0\r\nAuthorization: Basic {login}\r\n"
    answered = served.send_encrypted(head.encode() + b"X-Axis-User: root\r\nX-Axis-User : root\r\n\r\n")
    assert b"not authorized" in answered or b"400 Bad Request" in answered
    assert served.camera.parameters()["root.Image.I0.Name"] != "taken"


@pytest.mark.parametrize(
    ("path", "user", "status", "body"),
    [
        ("api/a?b=c", "guest", 200, b"/local/pages/api/a?b=c guest"),
        ("api", "", 401, b""),
        ("inner/x", "root", 200, b"/mcp/x root"),
        ("inner/x", "guest", 401, b""),
        ("open/x", "", 200, b"/local/pages/open/x "),
        ("down", "guest", 503, b""),
        ("down.cgi", "guest", 503, b""),
        ("index.html", "guest", 200, b"a page"),
        ("index.html", "", 401, b""),
        ("out/passwd", "guest", 403, b""),
        ("else", "root", 404, b""),
        ("x", "", 401, b""),
    ],
)
def test_pages_and_proxy_rules_of_an_app_have_their_access_level(
    path: str, user: str, status: int, body: bytes, served: Served
) -> None:
    login = base64.b64encode(f"{user}:pass".encode()).decode()
    head = f"GET /local/pages/{path} HTTP/1.0\r\nX-Axis-User: forged\r\n"
    head += f"Authorization: Basic {login}\r\n" if user else ""
    answered = served.send_encrypted(head.encode() + b"\r\n")
    assert int(answered.split()[1]) == status
    if status == 200:
        assert answered.partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize(
    "path", ["/axis-cgi/param.cgi", "/axis-cgi//param.cgi", "/axis-cgi/nothing.cgi", "/", "/local/x/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_nothing_but_systemready_is_answered_without_a_login(served: Served, path: str, method: str) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert served.send(head.encode()).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 50\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5\x00\r\n",
        b" Content-Length: 5\r\n",
    ],
)
def test_second_request_is_not_smuggled_to_the_back_end(served: Served, head: bytes) -> None:
    """What one server takes for a body, and the other for a request, would be answered as its user."""
    body = (
        b"0\r\n\r\nGET /axis-cgi/param.cgi?action=update&Image.I0.Name=smuggled HTTP/1.1\r\nX-Axis-User: root\r\n\r\n"
    )
    document = json.dumps({"apiVersion": "1", "method": "systemready"}).encode()
    served.send(b"POST /axis-cgi/systemready.cgi HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n" + document[:5] + body)
    assert served.camera.parameters()["root.Image.I0.Name"] != "smuggled"


def test_slow_clients_do_not_keep_others_waiting(served: Served) -> None:
    idle = [socket.create_connection(("127.0.0.1", served.ports[80]), timeout=60) for _ in range(24)]
    try:
        for one in idle:
            one.sendall(b"POST /axis-cgi/systemready.cgi HTTP/1.1\r\nHost: x\r\n")
        assert read_system_ready(served.client(80)).is_ready
    finally:
        for one in idle:
            one.close()
