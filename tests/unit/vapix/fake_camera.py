"""A camera's web server in the test process: logins of its own, recorded answers, and the rules of virtual cameras."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from incamera.axis_os.accounts import make_account
from incamera.axis_os.answers import answer
from incamera.axis_os.applications import Installed
from incamera.axis_os.camera import Camera, Places
from incamera.axis_os.exchange import Request
from incamera.axis_os.facts import Facts
from incamera.axis_os.running import Runner

DATA = Path(__file__).parents[2] / "data" / "vapix"
REALM = "AXIS_0123456789AB"
# The paths that need no login.
PUBLIC = ("/axis-cgi/systemready.cgi",)


def recorded(name: str) -> bytes:
    return next(DATA.glob(f"{name}*")).read_bytes()


@dataclass
class App:
    name: str
    version: str = "1.0.0"
    state: str = "Stopped"
    signed: bool = False


@dataclass
class FakeCamera:
    """What tests change: the knobs. What they look at: *requests*, *uploads*, *apps*, *log*."""

    users: dict[str, str] = field(default_factory=lambda: {"root": "pa:ss w\u00f6rd"})
    scheme: str = "basic"
    algorithm: str | None = "MD5"
    qop: str | None = "auth"
    nonce_uses: int = 1 << 30
    challenges: list[str] | None = None
    info: str = "basic_device_info_get_all_properties-P3245-LVE@11.11.192"
    ready: bytes = recorded("system_ready_1_system_ready-M1075-L@11.11.192")
    allow_unsigned: bool | None = True
    apps: dict[str, App] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    upload_result: str | None = None
    upload_seconds: float = 0
    control_result: str | None = None
    pages: dict[str, Callable[[Handler], None]] = field(default_factory=dict)
    reads_forms: bool = True

    requests: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self.nonces: dict[str, int] = {}
        self.lock = threading.Lock()

    # Logins, by an implementation of their own

    def challenge(self, stale: bool) -> list[str]:
        if self.challenges is not None:
            return self.challenges
        if self.scheme == "basic":
            return [f'Basic realm="{REALM}"']
        with self.lock:
            nonce = f"nonce{len(self.nonces)}"
            self.nonces[nonce] = 0
        words = [f'Digest realm="{REALM}"', f'nonce="{nonce}"', f"stale={'true' if stale else 'false'}"]
        words += [f"algorithm={self.algorithm}"] if self.algorithm else []
        words += [f'qop="{self.qop}"'] if self.qop else []
        return [", ".join(words)]

    def find_fault(self, header: str, method: str, uri: str) -> str | None:
        """Return why the Authorization *header* is refused: "wrong" or "stale"; None when it is right."""
        scheme, _, rest = header.partition(" ")
        if scheme == "Basic" and self.scheme == "basic":
            user, _, password = base64.b64decode(rest).decode().partition(":")
            return None if self.users.get(user) == password else "wrong"
        if scheme != "Digest" or self.scheme != "digest":
            return "wrong"
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', rest))
        hashed = hashlib.sha256 if self.algorithm == "SHA-256" else hashlib.md5

        def digest(*parts: str) -> str:
            return hashed(":".join(parts).encode()).hexdigest()

        who = digest(fields["username"], REALM, self.users.get(fields["username"], "\0"))
        middle = (
            [fields[key] for key in ("nonce", "nc", "cnonce", "qop") if key in fields]
            if self.qop
            else [fields["nonce"]]
        )
        if fields["uri"] != uri or fields["response"] != digest(who, *middle, digest(method, uri)):
            return "wrong"
        with self.lock:
            used = self.nonces.get(fields["nonce"], 1 << 40)
            if used >= self.nonce_uses or (self.qop and int(fields["nc"], 16) != used + 1):
                return "stale"
            self.nonces[fields["nonce"]] = used + 1
        return None

    # Answers

    def answer(self, handler: Handler, path: str, query: Mapping[str, str], body: bytes) -> None:
        name = path.removeprefix("/axis-cgi/").removesuffix(".cgi").replace("/", "_")
        found: Callable[..., None] = getattr(self, f"cgi_{name}", self.ask_rules)
        return found(handler, query, body)

    def cgi_systemready(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        handler.reply(200, self.ready)

    def cgi_basicdeviceinfo(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        assert json.loads(body)["apiVersion"]
        handler.reply(200, recorded(self.info))

    def cgi_apidiscovery(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        handler.reply(200, recorded("api_discovery_1_get_api_list-Q1961-TE@12.9.57"))

    def cgi_applications_config(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        if self.allow_unsigned is None:
            return handler.reply(400, b"")
        return self.ask_rules(handler, query, body)

    def cgi_applications_upload(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        boundary = handler.headers["Content-Type"].partition("boundary=")[2]
        head, _, rest = body.partition(b"\r\n\r\n")
        data, end, after = rest.rpartition(f"\r\n--{boundary}--".encode())
        assert head.startswith(f"--{boundary}\r\n".encode())
        assert end
        assert after == b"\r\n"
        self.uploads.append(data)
        time.sleep(self.upload_seconds)
        if self.upload_result is not None:
            return handler.reply(200, self.upload_result.encode(), content_type="text/plain")
        return self.ask_rules(handler, query, body)

    def cgi_applications_control(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        if self.control_result is not None:
            return handler.reply(200, self.control_result.encode(), content_type="text/plain")
        return self.ask_rules(handler, query, body)

    def ask_rules(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        """Answer by the rules of AXIS OS, as virtual cameras do: with a camera that has the state of this one."""
        path = urlsplit(handler.path).path
        request = Request(
            method=handler.command,
            path=path,
            fields=query,
            body=body,
            content_type=handler.headers.get("Content-Type", ""),
            user=handler.user,
            stream=io.BytesIO(body),
            length=len(body),
        )
        with self.lock, tempfile.TemporaryDirectory() as folder:
            behind = self._open(Path(folder))
            reply = answer(behind, request)
            self._take(behind, query)
        handler.reply(reply.status, reply.body, content_type=reply.content_type)

    def _open(self, folder: Path) -> Camera:
        known = json.loads(recorded(self.info))["data"]["propertyList"]
        facts = Facts(version=known["Version"], architecture=known["Architecture"], serial=REALM.removeprefix("AXIS_"))
        places = Places(packages=folder / "apps", kept=folder / "kept" / "state", parameters=folder / "parameters")
        behind = Camera(facts, places, runner=_Runner)
        kept = behind.kept
        for user, password in self.users.items():
            kept.accounts[user] = make_account(user, password, REALM)
        if self.allow_unsigned is not None:
            kept.switches["AllowUnsigned"] = self.allow_unsigned
        kept.parameters.update(self.params)
        for number, app in enumerate(self.apps.values()):
            (places.packages / app.name).mkdir()
            kept.apps[app.name] = Installed(
                name=app.name,
                title=app.name,
                vendor="me",
                version=app.version,
                uid=number,
                run_mode="once",
                is_signed=app.signed,
                is_wanted=app.state == "Running",
            )
        behind.prepare()
        behind.boot()
        behind.log.load(self.log)
        return behind

    def _take(self, behind: Camera, query: Mapping[str, str]) -> None:
        """Take over what has changed."""
        self.apps = {
            app.name: App(app.name, app.version, "Running" if running else "Stopped", app.is_signed)
            for app, running in behind.apps()
        }
        self.allow_unsigned = behind.switch("AllowUnsigned") if self.allow_unsigned is not None else None
        self.params = {name: value for name, value in behind.kept.parameters.items() if name in self.params}
        self.log = behind.log.lines()
        for user in behind.kept.accounts:
            self.users.setdefault(user, query.get("pwd", ""))


class _Runner(Runner):
    """An app that says hello, and runs without a process."""

    runs = False

    @property
    def is_running(self) -> bool:
        return self.runs

    def start(self) -> None:
        self.runs = True
        self._log.write(self.app.name, "hello", pid=140843)

    def stop(self) -> bool:
        did, self.runs = self.runs, False
        return did


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    camera: FakeCamera

    def setup(self) -> None:
        super().setup()
        with self.camera.lock:
            self.camera.connections += 1

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        camera = self.camera
        parts = urlsplit(self.path)
        camera.requests.append(f"{self.command} {self.path}")
        camera.bodies.append(body)
        if parts.path in camera.pages:
            return camera.pages[parts.path](self)
        if not self.is_welcome():
            return self.refuse()
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if camera.reads_forms and self.headers.get("Content-Type") == "application/x-www-form-urlencoded":
            query |= {key: values[0] for key, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        return camera.answer(self, parts.path, query, body)

    do_POST = do_GET

    def is_welcome(self) -> bool:
        """Return whether the login is right. A camera without users lets everybody in."""
        self.fault: str | None = None
        self.user = ""
        if urlsplit(self.path).path in PUBLIC or not self.camera.users:
            return True
        header = self.headers.get("Authorization")
        if header:
            self.camera.authorizations.append(header)
        self.fault = self.camera.find_fault(header, self.command, self.path) if header else "missing"
        self.user = "root" if self.fault is None else ""
        return self.fault is None

    def refuse(self) -> None:
        headers = [("WWW-Authenticate", text) for text in self.camera.challenge(self.fault == "stale")]
        self.reply(401, b"<html>401</html>", headers=headers)

    def handle_expect_100(self) -> bool:
        if self.is_welcome():
            # The digest of a request counts once.
            if self.camera.scheme == "digest":
                self.camera.nonces = {nonce: used - 1 for nonce, used in self.camera.nonces.items()}
            return super().handle_expect_100()
        self.camera.requests.append(f"{self.command} {self.path} (refused before its body)")
        self.refuse()
        self.close_connection = True
        return False

    def reply(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in [("Content-Length", str(len(body))), ("Content-Type", content_type), *(headers or [])]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        pass  # in some tests the client hangs up on purpose


@contextmanager
def serving_camera(camera: FakeCamera, certificate: Path | None) -> Iterator[FakeCamera]:
    """Serve *camera* over https with the key and the certificate in the file *certificate*, or over http."""
    handler = type("CameraHandler", (Handler,), {"camera": camera})
    server = _Server(("127.0.0.1", 0), handler)
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "https"
    camera.url = f"{scheme}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield camera
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
