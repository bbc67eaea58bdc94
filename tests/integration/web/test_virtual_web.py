"""A package in a virtual camera with a web server: installed through it, run there, looked after and removed."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from incamera.connect.choose import choose_web_device
from incamera.connect.web import web_connected
from incamera.errors import DeviceError
from incamera.targets.profile import require_profile
from incamera.vapix.client import Call
from incamera.vapix.device_info import SystemReady, read_system_ready
from incamera.vapix.params import set_params
from incamera.virtual.camera import Extras, require_camera, restart_camera, stop_camera
from incamera.virtual.start import start_virtual
from tests.integration.cameras import on
from tests.integration.project import write_project
from tests.integration.web.signing import signed
from tests.unit.vapix.packages import sign
from tests.waiting import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera
    from tests.integration.command import Run

pytestmark = on(
    "axis-os-12-armv7hf",
    matrix=[
        *("axis-os-11-armv7hf+web", "axis-os-11-aarch64+web", "axis-os-12-aarch64"),
        *("axis-os-13-armv7hf", "axis-os-13-aarch64"),
    ],
)

# Says what it is, and which of the web server's files it can read. Then it answers at its proxy's port, and as FastCGI.
APP = """
import glob, grp, http.server, json, os, pwd, socket, struct, threading

def can_read(path):
    try:
        return bool(os.listdir(path) if os.path.isdir(path) else open(path).read())
    except OSError:
        return False

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

def answer_fast_cgi(server):
    while True:
        caller, _ = server.accept()
        kind = length = 1
        while (kind, length) != (5, 0):
            _, kind, number, length, padding = struct.unpack(">BBHHBx", caller.recv(8, socket.MSG_WAITALL))
            if length + padding:
                caller.recv(length + padding, socket.MSG_WAITALL)
        text = b"Content-Type: text/plain\\r\\n\\r\\nfast"
        caller.sendall(struct.pack(">BBHHBx", 1, 6, number, len(text), 0) + text)
        caller.sendall(struct.pack(">BBHHBx8x", 1, 3, number, 8, 0))
        caller.close()

secrets = ["/usr/libexec/axis", "/run/axis", "/run/axis/certificate.pem", "/usr/local/packages/.axis/state.json"]
secrets += glob.glob("/proc/[0-9]*/environ")
found = {
    "user": pwd.getpwuid(os.getuid()).pw_name,
    "group": grp.getgrgid(os.getgid()).gr_name,
    "folder": os.getcwd(),
    "readable": [path for path in secrets if can_read(path) and path != f"/proc/{os.getpid()}/environ"],
    "slice": os.environ.get("G_SLICE"),
}
server = socket.create_server(os.environ["FCGI_SOCKET_NAME"], family=socket.AF_UNIX)
os.chmod(os.environ["FCGI_SOCKET_NAME"], 0o666)
threading.Thread(target=answer_fast_cgi, args=[server], daemon=True).start()
proxied = http.server.HTTPServer(("127.0.0.1", 2001), Handler)
class SocketServer(http.server.HTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self):
        self.socket.bind(self.server_address)
        os.chmod(self.server_address, 0o666)

    def get_request(self):
        return self.socket.accept()[0], ("web server", 0)

if os.path.exists("/tmp/lookout.sock"):
    os.unlink("/tmp/lookout.sock")
own = SocketServer("/tmp/lookout.sock", Handler)
threading.Thread(target=own.serve_forever, daemon=True).start()
print("found", json.dumps(found), flush=True)
proxied.serve_forever()
"""
PACKAGE = """
targets = ["armv7hf", "aarch64"]

[tool.incamera.package]
reverse-proxy = [
  { api-path = "api", target = "http://localhost:2001", access = "viewer" },
  { api-path = "own", target = "/tmp/lookout.sock", access = "viewer", api-type = "http" },
]
http-config = [{ type = "fastCgi", name = "info.cgi", access = "admin" }]
"""


@pytest.fixture
def gate(camera: VirtualCamera, incamera: Run) -> Iterator[str]:
    """The camera, added by its address as a real one is; *gate* is its name."""
    name = f"gate-{os.getpid()}"
    added = incamera(
        *("device", "add", name, camera.url, "--accept-key", camera.certificate),
        *("--password-command", f"cat {camera.password}"),
    )
    assert added.code == 0, added.err
    yield name
    assert incamera("device", "remove", name).code == 0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "lookout", app=APP, name="lookout", settings=PACKAGE)


def takes_signed_only(camera: VirtualCamera) -> bool:
    return require_profile(camera.profile).track.startswith("13.")


def read_log(incamera: Run, device: str) -> str:
    done = incamera("logs", "--device", device, "--app", "lookout")
    assert done.code == 0, done.err
    return done.out


def test_package_runs_as_its_own_user_and_starts_again_with_the_camera(
    camera: VirtualCamera, context: Context, incamera: Run, gate: str, project: Path
) -> None:
    architecture = require_profile(camera.profile).architecture
    made = incamera("package", "--target", architecture, "--json", cwd=project)
    assert made.code == 0, made.err
    package = Path(json.loads(made.out)["packages"][0]["path"])
    if takes_signed_only(camera):
        refused = incamera("install", "--device", gate, "--allow-unsigned", package)
        assert refused.code != 0
        assert "not signed" in refused.err
        data = package.read_bytes()
        package.write_bytes(sign(data))
        stranger = incamera("install", "--device", gate, "--allow-unsigned", package)
        assert stranger.code != 0
        assert "by the key" in stranger.err
        package.write_bytes(data)
        package = signed(incamera, package)
    installed = incamera("install", "--device", gate, "--allow-unsigned", "--start", "--json", package)
    assert installed.code == 0, installed.err
    (app,) = json.loads(incamera("status", "--device", camera.name, "--json").out)["apps"]
    assert (app["name"], app["state"]) == ("lookout", "Running")
    wait_until(lambda: "found" in read_log(incamera, gate), lambda: read_log(incamera, gate))
    _, _, said = read_log(incamera, gate).partition(": found ")
    assert json.loads(said.splitlines()[0]) == {
        "user": "acap-lookout",
        "group": "addon",
        "folder": "/usr/local/packages/lookout/bundle/app",
        "readable": [],
        "slice": "always-malloc",
    }
    with web_connected(context, choose_web_device(context, camera.name)) as client:
        pages = {name: f"/local/lookout/{name}".encode() for name in ("api/x?y=z", "own/x?y=z")} | {"info.cgi": b"fast"}
        for page, answer in pages.items():
            assert client.call(Call(path=f"local/lookout/{page}", what=f"get {page}")).body == answer
    assert (camera.http_port == 0) is takes_signed_only(camera)
    if camera.http_port:
        plain, url = f"{gate}-plain", f"http://127.0.0.1:{camera.http_port}"
        added = incamera("device", "add", plain, url, "--password-command", f"cat {camera.password}")
        assert added.code == 0, added.err
        assert json.loads(incamera("status", "--device", plain, "--json").out)["apps"] == [app]
        assert incamera("device", "remove", plain).code == 0
    assert incamera("virtual", "restart", camera.name).code == 0
    again = require_camera(context.store, camera.name)
    assert (again.url, again.certificate) == (camera.url, camera.certificate)
    wait_until(lambda: "found" in read_log(incamera, gate), "the app was started again")
    removed = incamera("uninstall", "--device", gate, "--app", "lookout", "--yes")
    assert removed.code == 0, removed.err
    assert json.loads(incamera("status", "--device", gate, "--json").out)["apps"] == []


def test_third_wrong_password_blocks_the_computer_and_the_command_says_for_how_long(
    camera: VirtualCamera, context: Context, incamera: Run, tmp_path: Path
) -> None:
    group, password, name = "System.PreventDoSAttack", tmp_path / "password", f"late-{os.getpid()}"
    limits = {"DoSPageCount": "3", "DoSPageInterval": "300", "DoSBlockingPeriod": "3"}
    with web_connected(context, choose_web_device(context, camera.name)) as client:
        set_params(client, {f"{group}.{key}": value for key, value in limits.items()})
    right = (camera.password or Path()).read_bytes()
    password.write_bytes(right)
    command = f"cat {password}"
    options = ("--accept-key", camera.certificate, "--password-command", command)
    assert incamera("device", "add", name, camera.url, *options).code == 0
    password.write_text("wrong\n")
    for _ in range(3):
        wrong = incamera("status", "--device", name)
        assert (wrong.code, "does not accept the password of root" in wrong.err) == (4, True)

    def blocked() -> bool:
        done = incamera("status", "--device", name)
        return done.code == 4 and f"{name} refuses all requests of this computer for a while" in done.err

    password.write_bytes(right)
    wait_until(blocked, "even the right password is refused")
    wait_until(lambda: incamera("status", "--device", name).code == 0, "the camera answers again")
    assert incamera("device", "remove", name).code == 0
    with web_connected(context, choose_web_device(context, camera.name)) as client:
        set_params(client, {f"{group}.DoSPageCount": "20", f"{group}.DoSPageInterval": "1"})


@pytest.mark.matrix
def test_restart_and_factory_default_over_the_web(context: Context, incamera: Run, project: Path) -> None:
    profile = require_profile("axis-os-12-armv7hf")
    camera = start_virtual(context, profile, name=f"reset-{os.getpid()}", owner_pid=os.getpid())

    def state() -> SystemReady | None:
        with suppress(DeviceError), web_connected(context, choose_web_device(context, camera.name)) as client:
            return read_system_ready(client)
        return None

    def call(name: str) -> None:
        with web_connected(context, choose_web_device(context, camera.name)) as client:
            client.call(Call(path=f"axis-cgi/{name}", what=f"ask {name}"))

    try:
        installed = incamera("install", "--device", camera.name, "--allow-unsigned", "--start", cwd=project)
        assert installed.code == 0, installed.err
        before = state()
        assert before is not None
        call("restart.cgi")
        wait_until(lambda: (now := state()) is not None and now.boot_id != before.boot_id, "it has restarted")
        (app,) = json.loads(incamera("status", "--device", camera.name, "--json").out)["apps"]
        assert (app["name"], app["state"]) == ("lookout", "Running")
        call("factorydefault.cgi")
        wait_until(lambda: (now := state()) is not None and now.needs_setup, "it waits for its first account")
    finally:
        stop_camera(context.store, camera.name)


@pytest.mark.matrix
def test_camera_whose_apps_are_gone_is_paused_and_woken_by_its_web_server(
    context: Context, incamera: Run, project: Path
) -> None:
    """The web server starts processes anew when an app comes or goes: they are no use of the camera."""
    profile = require_profile("axis-os-12-armv7hf")
    camera = start_virtual(
        context, profile, name=f"idle-{os.getpid()}", owner_pid=os.getpid(), extras=Extras(pause_after=0.5)
    )

    def now() -> VirtualCamera:
        return require_camera(context.store, camera.name)

    try:
        installed = incamera("install", "--device", camera.name, "--allow-unsigned", "--start", cwd=project)
        assert installed.code == 0, installed.err
        wait_until(lambda: "process" in (now().used_by or ""), "the app counts as use")
        assert incamera("uninstall", "--device", camera.name, "--app", "lookout", "--yes").code == 0
        wait_until(lambda: now().paused, lambda: f"it is paused: {now().used_by}")
        assert incamera("status", "--device", camera.name).code == 0
    finally:
        stop_camera(context.store, camera.name)


@on(matrix=["axis-os-12-armv7hf", "axis-os-13-aarch64"])
def test_accounts_without_root_log_in_once_ssh_is_switched_on(camera: VirtualCamera, context: Context) -> None:
    assert run_over_ssh(camera, "root", "pass", "id") is None
    with web_connected(context, choose_web_device(context, camera.name)) as client:
        set_params(client, {"Network.SSH.Enabled": "yes"})
        account = {"username": "joe", "password": "pass word", "comment": ""}
        client.ask_json("config/rest/ssh/v2/users", "add an account", {"data": account})
    script = "id -un; pwd; cat /etc/shadow || echo closed"
    assert run_over_ssh(camera, "joe", "pass word", script) == "joe\n/usr/local/packages/.homes/joe\nclosed\n"
    assert run_over_ssh(camera, "joe", "wrong", "id") is None
    assert run_over_ssh(camera, "root", "pass word", "id") is None
    restart_camera(context.store, camera.name)
    assert run_over_ssh(camera, "joe", "pass word", "id -u") == "1500\n"
    with web_connected(context, choose_web_device(context, camera.name)) as client:
        set_params(client, {"Network.SSH.Enabled": "no"})
    assert run_over_ssh(camera, "joe", "pass word", "id") is None


def run_over_ssh(camera: VirtualCamera, user: str, password: str, command: str) -> str | None:
    """Return what *command* prints; None when *user* is not let in."""

    async def session() -> str:
        async with asyncssh.connect(
            camera.ssh_host,
            camera.ssh_port,
            username=user,
            password=password,
            client_keys=None,
            known_hosts=None,
            config=None,
            agent_path=None,
        ) as connection:
            return str((await connection.run(command)).stdout)

    try:
        return asyncio.run(asyncio.wait_for(session(), PATIENCE_SECONDS))
    except (OSError, asyncssh.Error):
        return None
