"""A camera's web server inside the test process: logins, apps, parameters and the log, with recorded answers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import quoteattr

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
        found: Callable[..., None] | None = getattr(self, f"cgi_{name}", None)
        if found is None:
            return handler.reply(404, b"<html>not found</html>", content_type="text/html")
        return found(handler, query, body)

    def cgi_systemready(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        handler.reply(200, self.ready)

    def cgi_basicdeviceinfo(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        assert json.loads(body)["apiVersion"]
        handler.reply(200, recorded(self.info))

    def cgi_apidiscovery(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        handler.reply(200, recorded("api_discovery_1_get_api_list-Q1961-TE@12.9.57"))

    def cgi_applications_list(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        rows = "".join(
            f'\n <application Name={quoteattr(app.name)} Vendor="me" Version={quoteattr(app.version)} '
            f'Status="{app.state}" SignatureStatus="{"Signed" if app.signed else "Unknown"}" />'
            for app in self.apps.values()
        )
        handler.reply(200, f'<reply result="ok">{rows}</reply>'.encode(), content_type="text/xml")

    def cgi_applications_config(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        if query["name"] != "AllowUnsigned" or self.allow_unsigned is None:
            return handler.reply(400, b"")
        if query["action"] == "set":
            self.allow_unsigned = query["value"] == "true"
        value = "true" if self.allow_unsigned else "false"
        return handler.reply(200, f'<reply result="ok"><param name="AllowUnsigned" value="{value}" /></reply>'.encode())

    def cgi_applications_upload(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        boundary = handler.headers["Content-Type"].partition("boundary=")[2]
        head, _, rest = body.partition(b"\r\n\r\n")
        data, end, after = rest.rpartition(f"\r\n--{boundary}--".encode())
        assert head.startswith(f"--{boundary}\r\n".encode())
        assert end
        assert after == b"\r\n"
        self.uploads.append(data)
        if self.upload_result is not None:
            return handler.reply(200, self.upload_result.encode(), content_type="text/plain")
        if not self.allow_unsigned and b"PGP" not in data:
            self.log.append("2026-05-01T10:00:00.000+00:00 axis [ ERR     ] acapctl[7]: code 2: not signed")
            return handler.reply(200, b"Error: 2", content_type="text/plain")
        from tests.unit.vapix.packages import name_and_version

        name, version = name_and_version(data)
        state = self.apps[name].state if name in self.apps else "Stopped"
        self.apps[name] = App(name, version, state)
        return handler.reply(200, b"OK", content_type="text/plain")

    def cgi_applications_control(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        handler.reply(200, (self.control_result or self.control(query)).encode(), content_type="text/plain")

    def control(self, query: Mapping[str, str]) -> str:
        app = self.apps.get(query["package"])
        if app is None:
            return "Error: 4"
        if query["action"] == "remove":
            del self.apps[app.name]
            return "OK"
        if query["action"] == "start":
            if app.state == "Running":
                return "Error: 6"
            app.state = "Running"
            self.log.append(f"2026-05-01T10:00:01.000+00:00 axis [ INFO    ] {app.name}[140843]: hello")
            return "OK"
        if app.state != "Running":
            return "Error: 7"
        app.state = "Running" if query["action"] == "restart" else "Stopped"
        return "OK"

    def cgi_admin_systemlog(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        name = query.get("appname", "")
        lines = [line for line in self.log if name in line]
        text = f"----- Contents of SYSTEM_LOG for '{name}' -----\n\n" + "".join(f"{line}\n" for line in lines)
        handler.reply(200, text.encode(), content_type="text/plain")

    def cgi_param(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        if "action" not in query:
            return handler.reply(200, b"# Error: action must be specified\n", content_type="text/plain")
        if query["action"] == "list":
            prefix = query["group"] + "."
            found = {key: value for key, value in self.params.items() if key.startswith(prefix)}
            if not found:
                text = f"# Error: Error -1 getting param in group '{query['group']}'\n"
            else:
                text = "".join(f"{key}={value}\n" for key, value in found.items())
            return handler.reply(200, text.encode(), content_type="text/plain")
        changes = {key: value for key, value in query.items() if key != "action"}
        if unknown := [key for key in changes if key not in self.params]:
            text = f"# Error: Error setting '{unknown[0]}' to '{changes[unknown[0]]}'!\n"
            return handler.reply(200, text.encode(), content_type="text/plain")
        self.params |= changes
        return handler.reply(200, b"OK\n", content_type="text/plain")

    def cgi_pwdgrp(self, handler: Handler, query: Mapping[str, str], body: bytes) -> None:
        if "action" not in query:
            return handler.reply(200, b"<html><body>Error: action must be specified</body></html>")
        if query["user"] in self.users:
            return handler.reply(200, recorded("pwdgrp_add_user_already_exists-D4200-VE@12.9.57-001"))
        if not self.users and query["user"] != "root":
            return handler.reply(200, b"<html><body>Error: not a valid initial admin user.</body></html>")
        self.users[query["user"]] = query["pwd"]
        page = recorded("pwdgrp_add_user_already_exists-D4200-VE@12.9.57.")
        return handler.reply(200, page.replace(b"cassettetest", query["user"].encode()))


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
        if urlsplit(self.path).path in PUBLIC or not self.camera.users:
            return True
        header = self.headers.get("Authorization")
        if header:
            self.camera.authorizations.append(header)
        self.fault = self.camera.find_fault(header, self.command, self.path) if header else "missing"
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
