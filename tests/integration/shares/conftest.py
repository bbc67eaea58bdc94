"""Shares that this computer serves, and a camera that mounts them."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.connect.choose import virtual_device
from incamera.connect.connection import connected
from incamera.connect.shares import attach_share
from incamera.errors import UsageError
from incamera.share.settings import ShareSettings
from incamera.share.values import Protocol
from incamera.workflows.share import add_share, forget_share, served

from ..allow_list import ssh_allow_list  # noqa: F401 - a fixture
from ..cameras import inside, lease_camera
from ..command import Running, command_environment, running
from .nfs_server import serve_nfs

if TYPE_CHECKING:
    from incamera.connect.shares import Attached
    from incamera.context import Context
    from incamera.share.values import Share
    from incamera.virtual.camera import VirtualCamera

NAME = f"test-{os.getpid()}"
PRIVATE = Path(tempfile.gettempdir()) / f"incamera-{os.getuid()}"

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root: it mounts on this computer, or has an NFS server")


camera = pytest.fixture(scope="package", name="camera")(lease_camera)


@pytest.fixture(scope="session", autouse=True)
def _forgotten(context: Context) -> Iterator[None]:
    yield
    with suppress(UsageError):
        forget_share(context, NAME)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a folder, 100% ours"


@contextmanager
def serve(context: Context, folder: Path, name: str = NAME, **more: object) -> Iterator[Share]:
    """Serve *folder* for the block, on a port that stays ours when the server ends; then remove the share."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        settings = {"port": free.getsockname()[1], **more}
    folder.mkdir(exist_ok=True)
    try:
        with served(context, name, ShareSettings(folder=folder, **settings)) as (share, _):
            yield share
    finally:
        with suppress(UsageError):
            forget_share(context, name)


@contextmanager
def nfs_share(context: Context, folder: Path) -> Iterator[Share]:
    """A share of somebody's own NFS server, made known with `share add`; it is forgotten with the block."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = ShareSettings(folder=folder, protocol=Protocol.nfs, address="127.0.0.1", port=port, path=f"/{NAME}")
    with serve_nfs(context, folder, port, f"/{NAME}", folder.parent / "ganesha"):
        try:
            yield add_share(context, NAME, settings)
        finally:
            with suppress(UsageError):
                forget_share(context, NAME)


def mount(context: Context, camera: VirtualCamera, share: Share) -> Attached:
    with connected(context, virtual_device(camera)) as connection:
        return attach_share(context, connection, share)


class Meanwhile(threading.Thread):
    """A command in a camera that runs in a thread of its own."""

    def __init__(self, camera: VirtualCamera, command: str) -> None:
        super().__init__(daemon=True)
        self.camera, self.command, self.said = camera, command, ""
        self.start()

    def run(self) -> None:
        self.said = inside(self.camera, self.command)

    def result(self, seconds: float = 90) -> str:
        self.join(seconds)
        assert not self.is_alive(), f"still waiting for: {self.command}"
        return self.said


def runs(camera: VirtualCamera, program: str) -> bool:
    """Return whether *program* runs in *camera*."""
    return bool(inside(camera, f"grep -lx 'Name:.{program}' /proc/[0-9]*/status 2>/dev/null"))


def waits_for_share(camera: VirtualCamera) -> bool:
    """Return whether a process in *camera* waits, in the kernel, for an SMB server that does not answer."""
    return bool(inside(camera, "grep -l smb2_reconnect /proc/[0-9]*/wchan 2>/dev/null"))


@contextmanager
def serving_command(folder: Path) -> Iterator[Running]:
    """`incamera share serve` in a process of its own."""
    folder.mkdir(exist_ok=True)
    with running("share", "serve", folder, "--name", NAME, env=command_environment()) as command:
        command.await_output(str(folder))
        yield command


def private_folder(folder: Path) -> Path:
    """Return the private folder of the server of *folder*."""
    return next(path.parent for path in PRIVATE.glob("share-*/folder") if path.readlink() == folder)
