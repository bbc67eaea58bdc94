"""A camera behind Debian's Apache on this computer, with the camera's configuration and back end."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.axis_os.accounts import login_files, service_files
from incamera.axis_os.answers import ROUTES
from incamera.axis_os.apache import FAILURES, render_apps, render_configuration
from incamera.axis_os.applications import Installed, Page, Proxy
from incamera.axis_os.events import Feed
from incamera.axis_os.main import listen, watch_failures
from incamera.axis_os.pictures import Pictures
from incamera.axis_os.service_accounts import ADDRESS
from incamera.build.deb_trees import ensure_deb_tree
from incamera.http_auth import Login
from incamera.targets.host import require_host
from incamera.targets.packages import DebSet
from incamera.vapix.address import WebDevice, parse_url
from incamera.vapix.client import Client
from incamera.virtual import stand_ins
from incamera.virtual.web_server import NOT_NEEDED
from incamera.virtual.web_settings import make_certificate
from tests.unit.axis_os.test_axis_os_answers import make_camera
from tests.unit.vapix.conftest import KnownLogins
from tests.unit.vapix.packages import make_package
from tests.waiting import wait_until

if TYPE_CHECKING:
    from incamera.axis_os.camera import Camera
    from incamera.context import Context


VIDEO = max((Path(stand_ins.__file__).parent / "bin" / platform.machine()).iterdir()) / "libvdostream.so.1"
# What Apache writes into its log when it serves with a new configuration.
_READY = "resuming normal operations"


@dataclass
class Served:
    """A camera behind Apache. *ports*: those of this computer, by the camera's own.

    *reload* writes what Apache is to know, and comes back when it knows it. *service_port*: that of `ADDRESS`, for
    apps. *start* returns the words that start one of Debian's programs.
    """

    camera: Camera
    ports: dict[int, int]
    service_port: int
    certificate: str
    folder: Path
    reload: Callable[[], None]
    start: Callable[..., list[str]]
    clients: list[Client] = field(default_factory=list)

    def client(self, port: int = 443, user: str = "root", password: str = "pass") -> Client:
        scheme = "https" if port == 443 else "http"
        address = replace(parse_url(f"{scheme}://127.0.0.1:{self.ports[port]}"), user=user)
        if port == 443:
            address = replace(address, certificate=self.certificate)
        client = Client(WebDevice(name="gate", address=address), KnownLogins(Login(user, password)))
        self.clients.append(client)
        return client

    def set_parameters(self, parameters: Mapping[str, str]) -> None:
        self.camera.set_parameters(parameters)
        self.reload()

    def install_package(self, folder: Path) -> None:
        """Install the app `own_app`."""
        with self.camera.changing() as kept:
            kept.switches["AllowUnsigned"] = True
        self.camera.install(make_package(folder / "own.eap"))
        self.reload()

    def give_credentials(self, name: str) -> str:
        credentials = self.camera.service_accounts.add(name, self.camera.facts.realm)
        for file, text in service_files(self.camera.service_accounts.accounts).items():
            (self.folder / file).write_text(text)
        return credentials

    def send(self, data: bytes, port: int = 80) -> bytes:
        """Return all that comes back on a connection to which *data* is sent."""
        return self._send(data, ("127.0.0.1", self.ports[port]))

    def send_as_app(self, data: bytes) -> bytes:
        """Return what comes back at the address for apps."""
        return self._send(data, (ADDRESS, self.service_port))

    def _send(self, data: bytes, address: tuple[str, int]) -> bytes:
        with socket.create_connection(address, timeout=60) as connection:
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


def free_port(address: str = "127.0.0.1") -> int:
    with socket.create_server((address, 0)) as server:
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


class SocketServer(ThreadingHTTPServer):
    """The server of an app at the path of a socket."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(str(self.server_address))
        Path(str(self.server_address)).chmod(0o666)
        self.server_name, self.server_port = "app", 0

    def get_request(self) -> tuple[socket.socket, Any]:
        return self.socket.accept()[0], ("app", 0)


@pytest.fixture(scope="module")
def app_socket() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="incamera-app-"))
    folder.chmod(0o755)
    address: Any = str(folder / "app.sock")
    with SocketServer(address, App) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield folder / "app.sock"
        server.shutdown()
    shutil.rmtree(folder)


def pages(port: int, own: Path, back_end: Path) -> Installed:
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
            Proxy("socket", str(own), "viewer", "http"),
            Proxy("socket2", str(own), "anonymous", "ws"),
            Proxy("fast", "/nowhere/app.sock", "viewer", "fcgi"),
            Proxy("steal", str(back_end), "anonymous", "http"),
            Proxy("else", str(own), "anonymous"),
            Proxy("else", "/run/../run/x", "anonymous", "http"),
            Proxy("else", '/x"\nListen 1', "anonymous", "http"),
            Proxy('x" \nLoadModule y z', f"http://localhost:{port}", "anonymous"),
            Proxy("else", "http://192.0.2.1:80", "anonymous"),
            Proxy("else", 'http://localhost:80" \nListen 1', "anonymous"),
        ),
        pages=(Page("", "viewer"), Page("/down.cgi", "viewer"), Page('y"\nListen 1', "anonymous")),
    )


@pytest.fixture(scope="module", params=["11.11.192", "12.9.57"])
def served(request: pytest.FixtureRequest, context: Context, app_port: int, app_socket: Path) -> Iterator[Served]:
    host = require_host()
    roots, left_out = ("apache2-bin", "dbus-daemon"), frozenset(NOT_NEEDED)
    tree = ensure_deb_tree(
        context, "web", DebSet(suite="trixie", architecture=host.debian, roots=roots, leave_out=left_out)
    )
    folder = Path(tempfile.mkdtemp(prefix="incamera-web-"))
    folder.chmod(0o755)  # Apache's workers are another user when the tests run as root
    try:
        # The library is loaded once in a process: other tests know where its scene began.
        os.environ["INCAMERA_SCENE_BEGIN"] = "0"
        camera = make_camera(folder / "camera", request.param, Pictures(str(VIDEO)))
        back_end = listen(folder / "back-end.sock")
        back_end.camera = camera
        back_end.open_feed = partial(Feed, folder / "events", folder / "mounts")
        (folder / "back-end.sock").chmod(0o666)
        threading.Thread(target=back_end.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        watching = watch_failures(camera, folder)
        digest, pem = make_certificate(camera.facts.host_name)
        (folder / "certificate.pem").write_bytes(pem)
        (folder / "web").mkdir()
        ports, service_port = {port: free_port() for port in (443, 80)}, free_port(ADDRESS)

        def write() -> None:
            parameters, program = camera.parameters(), tree / "usr/lib/apache2"
            text = render_configuration(camera.facts, parameters, ROUTES, program=program, run=folder)
            for port, own in ports.items():
                text = text.replace(f"Listen {port}\n", f"Listen 127.0.0.1:{own}\n").replace(f"*:{port}>", f"*:{own}>")
            # In a camera, it is one of the addresses of port 80.
            text = text.replace(f"{ADDRESS}:80", f"{ADDRESS}:{service_port}") + f"Listen {ADDRESS}:{service_port}\n"
            apps = [pages(app_port, app_socket, folder / "back-end.sock"), *(app for app, _ in camera.apps())]
            texts = login_files(camera.kept.accounts, camera.facts.realm, parameters)
            texts |= service_files(camera.service_accounts.accounts)
            texts |= {"apache.conf": text, "apps.conf": render_apps(apps, folder / "camera" / "packages", folder)}
            for name, content in texts.items():
                (folder / name).write_text(content)

        write()
        html = folder / "camera" / "packages" / "pages" / "html"
        html.mkdir(parents=True)
        (html / "index.html").write_text("a page")
        (html / "out").symlink_to("/etc")
        loader = next(path for lib in ("lib64", "lib") if (path := tree / "usr" / lib / host.loader).exists())
        libraries = f"{tree}/usr/lib/{host.gnu}:{tree}/usr/lib"

        def start(*words: object) -> list[str]:
            return [*map(str, [loader, "--library-path", libraries, tree / "usr" / str(words[0]), *words[1:]])]

        with subprocess.Popen(start("sbin/apache2", "-f", folder / "apache.conf", "-DFOREGROUND")) as server:
            try:
                log = folder / "error.log"
                # Before it has said so, a signal would end it.
                wait_until(lambda: log.exists() and _READY in log.read_text(), "Apache serves")
                assert _listens(ports[443]), log.read_text()

                def reload() -> None:
                    times = log.read_text().count(_READY)
                    write()
                    server.send_signal(signal.SIGUSR1)
                    wait_until(lambda: log.read_text().count(_READY) > times, log.read_text)

                yield Served(camera, ports, service_port, digest, folder, reload, start)
            finally:
                server.terminate()
                server.wait(60)
                back_end.shutdown()
                back_end.server_close()
                with (folder / FAILURES).open("wb", buffering=0) as pipe:
                    (folder / FAILURES).unlink()
                    pipe.write(b"\n")
                watching.join()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def closing_clients(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "served" in request.fixturenames:
        served: Served = request.getfixturevalue("served")
        while served.clients:
            served.clients.pop().close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
