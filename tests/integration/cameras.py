"""Virtual cameras in tests: each is leased from a pool, and stopped as soon as it is returned.

A test takes the fixture `camera`, which a module's or a package's tests share. It is one of DEFAULT_PROFILE, unless a
mark on the test or its module names others: `@on(*PROFILES)`, those with root over SSH. `axis-os-11-armv7hf+openssh`
has another SSH server, `axis-os-11-armv7hf+web` a web server, too.
Tests for `make test-all` alone are marked `matrix`;
`@on("axis-os-11-armv7hf", matrix=["axis-os-11-aarch64"])` does so for one of the cameras.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.errors import DeviceError
from incamera.targets.profile import load_profiles, require_profile
from incamera.virtual.camera import list_cameras, stop_camera
from incamera.virtual.ssh_server import SshServer
from incamera.virtual.start import start_virtual

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera

ARCHITECTURES = ("armv7hf", "aarch64")
PROFILES = tuple(sorted(name for name, profile in load_profiles().items() if profile.has_root_login))
DEFAULT_PROFILE = "axis-os-11-armv7hf"
OPENSSH_PROFILE = f"{DEFAULT_PROFILE}+openssh"
SMALL_PROFILE = "axis-os-10-aarch64"
"""The profile whose camera starts fastest and needs the least memory."""

# A camera takes 200 to 600 MB of memory.
_CAMERAS_ALIVE = 2
# As many as a test process may use: QEMU takes a fifth less time for a deploy than with the two of the profiles, since
# it need not keep two in step.
_PROCESSORS = 1
# Longer than any test's command takes on a loaded machine.
_COMMAND_SECONDS = 300.0


class CameraPool:
    """The cameras of one test process; with pytest-xdist, each of the workers has its share of them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self._limit = max(1, _CAMERAS_ALIVE // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
        self._leased: set[str] = set()

    @contextlib.contextmanager
    def lease(self, profile: str, *, name: str | None = None) -> Iterator[VirtualCamera]:
        """Start a camera, and stop whatever has its name at the end of the block."""
        assert len(self._leased) < self._limit, f"a camera of {profile} would be one too many: return {self._leased}"
        camera = self._start(profile, name or f"test-{self._worker}-{profile.replace('+', '-')}")
        self._leased.add(camera.name)
        try:
            yield camera
        finally:
            self._leased.remove(camera.name)
            self.stop(camera.name)

    def _start(self, profile: str, name: str) -> VirtualCamera:
        """Start a camera called *name*, for which the store has caches; or, if other tests have started it, another."""
        try:
            return self.start(profile, name)
        except DeviceError:
            if not self._runs(name):
                raise
            return self.start(profile, f"{name}-{os.getpid()}")

    def _runs(self, name: str) -> bool:
        return name in [camera.name for camera in list_cameras(self._context.store)]

    def start(self, profile: str, name: str) -> VirtualCamera:
        """Start a camera that ends with this process at the latest."""
        profile, *options = profile.split("+")
        server = next((option for option in options if option in list(SshServer)), SshServer.dropbear)
        return start_virtual(
            self._context,
            replace(require_profile(profile), processors=_PROCESSORS),
            name=name,
            owner_pid=os.getpid(),
            ssh_server=SshServer(server),
            web="web" in options,
        )

    def stop(self, name: str) -> None:
        """Stop the camera called *name*, if it runs."""
        if self._runs(name):
            stop_camera(self._context.store, name)

    def restart(self, camera: VirtualCamera) -> VirtualCamera:
        """Return a fresh camera of the same name and profile, on another port."""
        self.stop(camera.name)
        return self.start(f"{camera.profile}+{camera.ssh_server}{'+web' if camera.url else ''}", camera.name)


@pytest.fixture(scope="session")
def cameras(context: Context) -> CameraPool:
    return CameraPool(context)


def lease_camera(request: pytest.FixtureRequest, cameras: CameraPool) -> Iterator[VirtualCamera]:
    """A running virtual camera of the profile that the test is for."""
    with cameras.lease(request.param) as camera:
        yield camera


camera = pytest.fixture(scope="module", name="camera")(lease_camera)


def on(*profiles: str, matrix: Iterable[str] = ()) -> pytest.MarkDecorator:
    """Mark a test, or by `pytestmark` a module, to run in a camera of each of *profiles*, and, with --all, *matrix*."""
    return pytest.mark.on(profiles=profiles, matrix=tuple(matrix))


def choose_profiles(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test that takes `camera` with the profiles of its mark."""
    if "camera" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("on")
    chosen = mark.kwargs if mark else {"profiles": [DEFAULT_PROFILE], "matrix": []}
    rest = [pytest.param(profile, marks=pytest.mark.matrix) for profile in chosen["matrix"]]
    metafunc.parametrize("camera", [*chosen["profiles"], *rest], indirect=True)


def inside(camera: VirtualCamera, command: str, *, terminal: str | None = None) -> str:
    """Return the output of *command*, run in *camera* over a new SSH connection, whatever its exit code.

    Raises TimeoutError after five minutes.
    """
    import asyncssh

    async def session() -> str:
        known = asyncssh.import_known_hosts(f"[{camera.ssh_host}]:{camera.ssh_port} {camera.host_public_key}\n")
        async with asyncssh.connect(
            camera.ssh_host,
            camera.ssh_port,
            username=camera.ssh_user,
            client_keys=[str(camera.key)],
            known_hosts=known,
            config=None,
            agent_path=None,
        ) as connection:
            done = await connection.run(command, term_type=terminal, term_size=(100, 30) if terminal else ())
            return str(done.stdout) + str(done.stderr)

    return asyncio.run(asyncio.wait_for(session(), _COMMAND_SECONDS))


def inside_to_the_end(camera: VirtualCamera, command: str) -> None:
    """Run *command* in *camera*. The connection may be lost at any moment, since the camera ends."""
    import asyncssh

    with contextlib.suppress(OSError, asyncssh.Error):
        inside(camera, command)


def add_account(camera: VirtualCamera, name: str, home: Path) -> dict[str, str]:
    """Add the account *name*, which is not root, to *camera*, and write *home* so that the camera is called so too.

    Returns the environment to use that home.
    """
    root_home = inside(camera, "echo ~").strip()
    inside(
        camera,
        f"grep -q ^{name}: /etc/passwd || echo {name}:x:1000:1000:{name}:/run/{name}:/bin/sh >>/etc/passwd; "
        "grep -q ^nobody: /etc/passwd || echo nobody:x:65534:65534:nobody:/:/bin/false >>/etc/passwd; "
        f"mkdir -pm 700 /run/{name}; cp -r {root_home}/.ssh /run/{name}; chown -R 1000:1000 /run/{name}",
    )
    return write_ssh_home(home, name, camera, port=camera.ssh_port, user=name)


def write_ssh_home(home: Path, alias: str, camera: VirtualCamera, *, port: int, user: str = "root") -> dict[str, str]:
    """Write a home in whose SSH configuration *camera* is called *alias*, and return the environment to use it."""
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    (home / ".ssh" / "config").write_text(
        f"Host {alias}\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {camera.key}\n"
    )
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {camera.host_public_key}\n")
    return {"HOME": str(home), "SSH_AUTH_SOCK": ""}
