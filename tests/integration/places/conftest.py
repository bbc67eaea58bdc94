"""A project, and a camera to whose places it is deployed."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..allow_list import ssh_allow_list  # noqa: F401 - a fixture
from ..cameras import lease_camera, write_ssh_home
from ..line import Line
from ..project import write_project

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera

    from ..command import Run

Deploy = Callable[..., dict[str, Any]]

RAM, PACKAGE = "/tmp", "/usr/local/packages"
CARD, SHARE = "/var/spool/storage/SD_DISK", "/var/spool/storage/NetworkShare"
APP = "import sys, zlib\nprint('from', sys.prefix)\n"


camera = pytest.fixture(scope="package", name="camera")(lease_camera)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("places") / "mover", app=APP, name="mover")


# Another test process may use the same store at the same time.
SHARE_NAME = f"places-{os.getpid()}"


def free_port() -> int:
    """Return a port on loopback that nothing listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def deploy(incamera: Run, project: Path) -> Deploy:
    def one(camera: VirtualCamera, *words: str) -> dict[str, Any]:
        done = incamera("deploy", "--json", "-C", project, "--device", camera.name, *words)
        assert done.code == 0, done.err
        return {**json.loads(done.out), "messages": done.err}

    return one


def edit(project: Path) -> None:
    """Change the app's source, not what it does."""
    (project / "app.py").write_text(f"{APP}# {os.urandom(4).hex()}\n")


@contextmanager
def served(context: Context, folder: Path, camera: VirtualCamera, *, leave: bool = False) -> Iterator[None]:
    """Attach *folder* to the camera as its network share, and detach it after the block unless *leave*."""
    from incamera.connect.choose import virtual_device
    from incamera.connect.connection import connected
    from incamera.connect.shares import attach_share
    from incamera.share.settings import ShareSettings
    from incamera.workflows.share import detach, forget_share
    from incamera.workflows.share import served as serving

    with serving(context, SHARE_NAME, ShareSettings(folder=folder, port=free_port())) as (share, _):
        with connected(context, virtual_device(camera)) as connection:
            attach_share(context, connection, share)
        try:
            yield
        finally:
            if not leave:
                detach(context, camera.name)
                forget_share(context, SHARE_NAME)


@pytest.fixture
def other_host(tmp_path: Path, camera: VirtualCamera) -> Iterator[tuple[Line, dict[str, str]]]:
    """The home of another user, alice, who reaches the camera as `far` over a line that can be frozen."""
    line = Line(camera.ssh_port)
    home = write_ssh_home(tmp_path / "home", "far", camera, port=line.port)
    yield line, {**home, "LOGNAME": "alice"}
    line.close()
