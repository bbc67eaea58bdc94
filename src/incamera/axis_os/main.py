"""The back end of a virtual camera's web server: it runs as root in the camera, from its boot on.

It waits until the camera has woken up and data/web.sh has written the settings: only then are a serial number, accounts
and a certificate known. Then it starts Apache, which passes requests on to it over a socket, the system's bus (D-Bus),
and the apps.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingMixIn, UnixStreamServer
from typing import Any, BinaryIO, cast

from incamera.archives.openpgp import PublicKey
from incamera.axis_os.accounts import Account, login_files, service_files
from incamera.axis_os.answers import ROUTES, answer, find_route
from incamera.axis_os.apache import BLOCKED, FAILURES, render_apps, render_configuration
from incamera.axis_os.bus import SOCKET, offer_service, reload_bus, render_bus, serve
from incamera.axis_os.camera import Camera, Places
from incamera.axis_os.event_stream import PATH as STREAM
from incamera.axis_os.event_stream import stream_events
from incamera.axis_os.events import Feed
from incamera.axis_os.exchange import BAD_REQUEST, MOST_BODY_BYTES, Reply, parse_request
from incamera.axis_os.facts import Facts
from incamera.axis_os.syslog import listen_to_syslog
from incamera.axis_os.throttle import Limits, Throttle, parse_line
from incamera.axis_os.websocket import WebSocket, accept_key

PROGRAM = Path("/usr/libexec/axis")
RUN = Path("/run/axis")
FCGI = Path("/run/axis-fcgi")
PLACES = Places(
    packages=Path("/usr/local/packages"),
    kept=Path("/usr/local/packages/.axis/state.json"),
    parameters=Path("/usr/local/packages/.incamera-parameters"),
    accounts=Path("/etc"),
)
_BUS_CONFIGURATION = Path("/etc/dbus-1/system.conf")
_WEB_GID = 33
_SSH_PID = Path("/run/incamera-ssh.pid")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_PAUSE_SECONDS = 0.03
_NOTED_SECONDS = 60.0
_RESTART_SECONDS = 0.5
_LONGEST_LINE = 65536
_MOST_HEADERS = 200
_MOST_SKIPPED_BYTES = 1 << 30
_CHUNK = 1 << 16
# Each stream of events keeps one of Apache's threads.
_streams = threading.BoundedSemaphore(8)
_REASONS = {
    200: "OK", 201: "Created", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 409: "Conflict",
    413: "Request Entity Too Large", 503: "Service Unavailable",
}  # fmt: skip


class BackEnd(ThreadingMixIn, UnixStreamServer):
    """Answers the web server over a socket."""

    daemon_threads = True
    request_queue_size = 64
    camera: Camera
    open_feed: Callable[[], Feed] = Feed

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            self.camera.log.write("httpd", f"{type(error).__name__}: {error}", level="ERR")


class _Body:
    """The *length* bytes of an upload's body in *stream*."""

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, size: int) -> bytes:
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        return data

    def skip(self) -> None:
        """Read what nobody has read: the web server takes no answer before it has sent all."""
        most = _MOST_SKIPPED_BYTES
        while most > 0 and self._left and (data := self.read(_CHUNK)):
            most -= len(data)


class _Handler(StreamRequestHandler):
    """Answers one request of the web server, which has checked its form, and closes the connection."""

    server: BackEnd
    timeout = 60

    def handle(self) -> None:
        words = self.rfile.readline(_LONGEST_LINE).decode("latin-1").split()
        if len(words) != 3:
            return
        method, target, _ = words
        headers = self._read_headers()
        if target.partition("?")[0] == STREAM and "upgrade" in headers.get("connection", "").lower():
            self._stream(method, target, headers)
            return
        length = int(headers.get("content-length") or 0)
        if "100-continue" in headers.get("expect", "").lower():
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._reply(method, self._answer(method, target, headers, length))

    def _stream(self, method: str, target: str, headers: dict[str, str]) -> None:
        """Send events over a WebSocket until the client ends it."""
        camera, key = self.server.camera, headers.get("sec-websocket-key", "")
        token = parse_request(method, target).fields.get("wssession", "")
        if not headers.get("x-axis-user") and not camera.tokens.takes(token):
            self._reply(method, Reply(b"Unauthorized\n", "text/html", 401))
            return
        if not key or method != "GET":
            self._reply(method, BAD_REQUEST)
            return
        if not _streams.acquire(blocking=False):
            self._reply(method, Reply(b"Service Unavailable\n", "text/html", 503))
            return
        feed = self.server.open_feed()
        try:
            head = (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
            )
            self.wfile.write(head.encode())
            stream_events(WebSocket(self.connection), feed)
        finally:
            feed.close()
            _streams.release()

    def _read_headers(self) -> dict[str, str]:
        found = {}
        for _ in range(_MOST_HEADERS):
            line = self.rfile.readline(_LONGEST_LINE).decode("latin-1").rstrip("\r\n")
            if not line:
                break
            name, _, value = line.partition(":")
            found[name.lower()] = value.strip()
        return found

    def _answer(self, method: str, target: str, headers: dict[str, str], length: int) -> Reply:
        route = find_route(target.partition("?")[0])
        is_upload = route is not None and route.is_upload
        if not is_upload and length > MOST_BODY_BYTES:
            return Reply(b"Request Entity Too Large\n", "text/html", 413)
        body = b"" if is_upload else self.rfile.read(length)
        try:
            request = parse_request(
                method,
                target,
                body=body,
                content_type=headers.get("content-type", ""),
                user=headers.get("x-axis-user", ""),
            )
        except ValueError:
            return BAD_REQUEST
        if not is_upload:
            return answer(self.server.camera, request)
        upload = _Body(cast("BinaryIO", self.rfile), length)
        reply = answer(self.server.camera, replace(request, stream=cast("BinaryIO", upload), length=length))
        upload.skip()
        return reply

    def _reply(self, method: str, reply: Reply) -> None:
        words = _REASONS.get(reply.status, "Unknown")
        length = "" if reply.parts else f"Content-Length: {len(reply.body)}\r\n"
        head = (
            f"HTTP/1.1 {reply.status} {words}\r\nContent-Type: {reply.content_type}\r\n{length}"
            "Cache-Control: no-cache\r\nConnection: close\r\n\r\n"
        )
        self.wfile.write(head.encode("latin-1", "replace"))
        if method != "HEAD":
            for part in reply.parts or (reply.body,):
                self.wfile.write(part)


def listen(path: Path) -> BackEnd:
    """Return a server at the socket *path*, whose *camera* is to be set before it serves."""
    path.unlink(missing_ok=True)
    server = BackEnd(str(path), _Handler)
    path.chmod(0o660)
    return server


def _write(path: Path, text: str, mode: int = 0o600, gid: int = 0) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text, "utf-8")
    os.chown(temporary, 0, gid)
    temporary.chmod(mode)
    temporary.replace(path)


_giving = threading.Lock()


def _give_credentials(camera: Camera, name: str) -> str:
    """Return `USER:PASSWORD` of a new account for an app. It does not wait for an app that is being installed."""
    with _giving:
        credentials = camera.service_accounts.add(name, camera.facts.realm)
        _write_service_accounts(camera)
    return credentials


def _write_service_accounts(camera: Camera) -> None:
    for name, text in service_files(camera.service_accounts.accounts).items():
        _write(RUN / name, text, 0o640, _WEB_GID)


def _write_files(camera: Camera) -> None:
    """Write what Apache is to know; when its configuration has changed, it reads it without ending connections."""
    parameters = camera.parameters()
    for name, text in login_files(camera.kept.accounts, camera.facts.realm, parameters).items():
        _write(RUN / name, text, 0o640, _WEB_GID)
    apps = [app for app, _ in camera.apps()]
    texts = {
        "apps.conf": render_apps(apps, PLACES.packages, FCGI),
        "apache.conf": render_configuration(camera.facts, parameters, ROUTES, program=PROGRAM, run=RUN),
    }
    changed = [name for name, text in texts.items() if _differs(RUN / name, text)]
    for name in changed:
        _write(RUN / name, texts[name])
    if changed:
        with suppress(OSError, ValueError):
            os.kill(int((RUN / "apache.pid").read_text()), signal.SIGUSR1)
    policy = render_bus(apps)
    if _differs(_BUS_CONFIGURATION, policy):
        _write(_BUS_CONFIGURATION, policy, 0o644)
        if (RUN / "bus.pid").exists():
            reload_bus()
    _run_ssh(camera)


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text("utf-8") != text


def _run_ssh(camera: Camera) -> None:
    """Start or stop the SSH server of a camera without root over SSH. Connections of one that stops go on."""
    try:
        process = int(_SSH_PID.read_text())
        os.kill(process, 0)
    except (OSError, ValueError):
        process = 0
    if camera.lets_ssh_in and not process:
        _SSH_PID.unlink(missing_ok=True)
        subprocess.run(["/usr/sbin/incamera-ssh"], env={"PATH": _PATH}, stdin=subprocess.DEVNULL, check=False)
    elif not camera.lets_ssh_in and process and camera.has_ssh_users:
        with suppress(OSError):
            os.kill(process, signal.SIGTERM)
        _SSH_PID.unlink(missing_ok=True)


def _wait_for_settings() -> dict[str, Any]:
    """Return the settings; wait for them in a camera that has not woken up yet."""
    settings = RUN / "settings"
    if not settings.exists():
        wake = RUN / "wake"
        os.mkfifo(wake, 0o600)
        with wake.open() as stream:
            stream.read()
        wake.unlink()
    found: dict[str, Any] = json.loads(settings.read_text("utf-8"))
    return found


def _end_servers() -> None:
    """End the servers of a back end that has ended."""
    for name in ("apache.pid", "bus.pid"):
        with suppress(OSError, ValueError):
            os.kill(int((RUN / name).read_text()), signal.SIGKILL)
        (RUN / name).unlink(missing_ok=True)


def _start(*words: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start one of the camera's hidden programs."""
    environment = {"LD_LIBRARY_PATH": str(PROGRAM / "lib"), "PATH": _PATH}
    program = str(PROGRAM / "bin" / words[0])
    return subprocess.Popen([program, *words[1:]], env=environment, cwd="/", stdin=subprocess.DEVNULL, **options)


def _end(text: str) -> None:
    """End the back end and say why: init starts it and its servers anew."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
    os._exit(1)


def _start_apache() -> None:
    (RUN / "web").mkdir(exist_ok=True)
    process = _start("axis-httpd", "-f", str(RUN / "apache.conf"), "-DFOREGROUND")

    def watch() -> None:
        code = process.wait()
        with suppress(OSError):
            sys.stderr.write((RUN / "error.log").read_text("utf-8", "replace")[-2000:])
        _end(f"the web server has ended: {code}")

    threading.Thread(target=watch, daemon=True).start()


def watch_failures(camera: Camera, folder: Path) -> threading.Thread:
    """Block clients after too many wrong passwords, which Apache writes into a pipe in *folder*, and release them.

    The thread that comes back ends when the pipe is removed and written to.
    """
    pipe, blocked = folder / FAILURES, folder / BLOCKED
    shutil.rmtree(blocked, ignore_errors=True)
    blocked.mkdir(mode=0o755)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe, 0o600)
    # Open for writing, too: there is always somebody who reads, and no end.
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)

    def watch() -> None:
        throttle, left = Throttle(), b""
        while pipe.exists():
            select.select([descriptor], [], [], throttle.seconds_left)
            for address in throttle.release():
                (blocked / address).unlink(missing_ok=True)
            with suppress(BlockingIOError):
                left += os.read(descriptor, _CHUNK)
            *lines, left = left.split(b"\n")
            for line in lines:
                failure, limits = parse_line(line.decode("utf-8", "replace")), Limits.of(camera.parameters())
                if failure and limits and throttle.fail(*failure, limits):
                    (blocked / failure[0]).touch()
                    text = f"{failure[0]} is blocked for {limits.blocked_seconds:g} s after too many wrong passwords"
                    camera.log.write("httpd", text, level="WARNING")
        os.close(descriptor)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def _start_bus(camera: Camera) -> None:
    """Start the bus and the service there, and return when both answer. What the bus says goes to the camera's log."""
    SOCKET.parent.mkdir(exist_ok=True)
    SOCKET.unlink(missing_ok=True)
    words = ("dbus-daemon", f"--config-file={_BUS_CONFIGURATION}", "--nofork", "--nopidfile", "--nosyslog")
    process = _start(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    _write(RUN / "bus.pid", str(process.pid))

    def watch() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            camera.log.write("dbus-daemon", line.decode("utf-8", "replace").rstrip(), pid=process.pid)
        _end(f"the bus has ended: {process.wait()}\n{camera.log.show(None)[-2000:]}")

    threading.Thread(target=watch, daemon=True).start()
    connection = offer_service()

    def answer() -> None:
        with suppress(OSError):
            serve(connection, lambda name: _give_credentials(camera, name))
        _end("the bus has ended the connection of the service for credentials")

    threading.Thread(target=answer, daemon=True).start()


def _wait_until_serving(facts: Facts) -> None:
    """Wait until Apache answers at each port. Over https, it refuses such a request."""
    for port in map(int, facts.rules["schemes"]):
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                if connection.recv(1):
                    break
            time.sleep(_PAUSE_SECONDS)


def _wait_until_noted() -> None:
    """Wait until link.sh has noted which processes the camera has by itself: an app is none of them."""
    deadline = time.monotonic() + _NOTED_SECONDS
    while not (RUN / "noted").exists() and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)


def _restart() -> None:
    """Restart the camera when the answer to the request for it has been sent."""
    timer = threading.Timer(_RESTART_SECONDS, lambda: subprocess.run(["/bin/busybox", "reboot"], check=False))
    timer.daemon = True
    timer.start()


def main() -> None:
    RUN.mkdir(exist_ok=True)
    os.chown(RUN, 0, _WEB_GID)
    RUN.chmod(0o750)
    FCGI.mkdir(exist_ok=True)
    FCGI.chmod(0o1777)
    _BUS_CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
    server = listen(RUN / "back-end.sock")
    os.chown(RUN / "back-end.sock", 0, _WEB_GID)
    static = json.loads((PROGRAM / "camera.json").read_text("utf-8"))
    settings = _wait_for_settings()
    facts = Facts(version=static["version"], architecture=static["architecture"], serial=settings["serial"])
    _end_servers()
    _write(RUN / "certificate.pem", settings["certificate"])
    key = PublicKey(int(settings["signing_key"], 16))
    camera = server.camera = Camera(facts, PLACES, on_change=_write_files, restart=_restart, signing_key=key)
    # The bus asks for the users of apps by their names.
    camera.prepare()
    if problem := camera.find_upgrade_problem():
        # The host starts the AXIS OS of before again, with the disks as they were.
        _write(RUN / "refused", f"{problem}\n")
        _write(RUN / "ready", "")
        signal.pause()
    if not camera.kept.accounts and not camera.kept.was_set_back and settings["accounts"]:
        with camera.changing() as kept:
            kept.accounts = {name: Account.from_json(one) for name, one in settings["accounts"].items()}
    listen_to_syslog(Path("/dev/log"), camera.log, camera.find_app_of)
    _write_files(camera)
    _write_service_accounts(camera)
    watch_failures(camera, RUN)
    _start_apache()
    _start_bus(camera)
    _wait_until_serving(camera.facts)
    _write(RUN / "ready", "")
    _wait_until_noted()
    camera.boot()
    server.serve_forever()


if __name__ == "__main__":
    main()
