"""The supervisor of a virtual camera, with a program that it takes for QEMU. The real one is in tests/integration."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera.errors import DeviceError
from incamera.virtual.agreed import RESTART, UPGRADE, UPGRADED
from incamera.virtual.camera import (
    VirtualCamera,
    await_restart,
    list_cameras,
    require_camera,
    restart_camera,
    stop_camera,
)
from incamera.virtual.qemu import Disk
from incamera.virtual.supervisor_client import start_supervisor
from incamera.virtual.supervisor_request import SupervisorRequest, Upgrade

if TYPE_CHECKING:
    from incamera.store import Store

pytestmark = pytest.mark.starts_processes

NAME = "porch"
RECORD = {
    "name": NAME, "profile": "axis-os-10-armv7hf", "ssh_host": "127.0.0.1", "ssh_user": "root", "key": "/k",
    "host_public_key": "ssh-ed25519 AAAA", "resumed": True, "ssh_server": "dropbear",
}  # fmt: skip


@pytest.fixture
def use(tmp_path: Path) -> Path:
    """The file that says what uses the camera."""
    file = tmp_path / "use"
    file.write_text("process app (/proc/7/)")
    return file


@pytest.fixture
def camera(store: Store, tmp_path: Path, use: Path) -> Iterator[VirtualCamera]:
    """A camera that is paused after 20 ms."""
    (tmp_path / "state").touch()
    folder = store.root / "virtual" / NAME
    folder.mkdir(parents=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    (folder / "flash.qcow2").write_text("as it was")
    request = SupervisorRequest(
        machine=(sys.executable, str(Path(__file__).with_name("fake_qemu.py")), str(use)),
        folder=folder,
        state=tmp_path / "state",
        disks=(Disk(serial="flash", path=folder / "flash.qcow2"),),
        save=False,
        owner=os.getpid(),
        record=RECORD,
        pause_after=0.02,
    )
    with start_supervisor(request, purpose="start it", pass_fds=(lock,)) as supervisor:
        supervisor.keep()
    os.close(lock)
    yield require_camera(store, NAME)
    with contextlib.suppress(DeviceError):
        stop_camera(store, NAME)


def call(camera: VirtualCamera) -> socket.socket:
    connection = socket.create_connection((camera.ssh_host, camera.ssh_port), timeout=PATIENCE_SECONDS)
    assert connection.recv(4) == b"SSH-"
    return connection


def test_camera_is_paused_without_use_and_woken_by_a_connection(store: Store, camera: VirtualCamera, use: Path) -> None:
    wait_until(lambda: require_camera(store, NAME).used_by is not None, "it was asked what uses it")
    assert not require_camera(store, NAME).paused
    use.write_text("nothing")
    wait_until(lambda: require_camera(store, NAME).paused, "it is paused")
    with call(camera) as connection:
        wait_until(lambda: not require_camera(store, NAME).paused, "it is not paused")
        connection.sendall(b"hello")
        connection.recv(64)
    wait_until(lambda: require_camera(store, NAME).paused, "it is paused again")


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("power_cut", [False, True])
def test_restart_ends_connections_and_keeps_the_address(
    store: Store, camera: VirtualCamera, use: Path, power_cut: bool, is_paused: bool
) -> None:
    if is_paused:
        use.write_text("nothing")
        wait_until(lambda: require_camera(store, NAME).paused, "it is paused")
    with contextlib.nullcontext() if is_paused else call(camera) as connection:
        again = restart_camera(store, NAME, power_cut=power_cut)
        if connection is not None:
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(64):
                    pass
    assert (again.ssh_port, again.pid, again.restarts) == (camera.ssh_port, camera.pid, 1)
    assert again.qemu_pid != camera.qemu_pid
    call(again).close()


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ("awake", None),
        ("refused app: it is old", "app: it is old"),
        ("refused app: \x1b[31mred", "app: [31mred"),
        ("asleep", "the camera did not wake up"),
        ("crashes", "QEMU"),
    ],
)
def test_upgrade_takes_effect_or_leaves_the_camera_as_it_was(
    answer: str, refused: str | None, store: Store, camera: VirtualCamera, use: Path, tmp_path: Path
) -> None:
    folder = store.root / "virtual" / NAME
    program = Path(__file__).with_name("fake_qemu.py") if answer != "crashes" else tmp_path / "missing"
    upgrade = Upgrade(
        machine=(sys.executable, str(program), str(use), *answer.split()),
        state=tmp_path / "state",
        speaks_ssh=True,
        record={"profile": "axis-os-13-armv7hf", "ssh_user": ""},
    )
    (folder / UPGRADE).write_bytes(upgrade.dump())
    again = await_restart(store, camera, RESTART)
    outcome = json.loads((folder / UPGRADED).read_text())
    if refused is None:
        assert outcome["refused"] is None
        assert (again.profile, again.ssh_user) == ("axis-os-13-armv7hf", "")
    else:
        assert refused in outcome["refused"]
        assert (again.profile, again.ssh_user) == (camera.profile, camera.ssh_user)
    assert (again.ssh_port, again.pid) == (camera.ssh_port, camera.pid)
    assert sorted(path.name for path in folder.glob("*flash*")) == ["flash.qcow2"]
    assert (folder / "flash.qcow2").read_text() == "as it was"
    call(again).close()
    # A later restart is none into the other AXIS OS.
    assert restart_camera(store, NAME).profile == again.profile


def test_camera_that_ends_again_and_again_is_given_up(store: Store, camera: VirtualCamera) -> None:
    killed: set[int] = set()

    def kill_until_it_is_gone() -> bool:
        running = {camera.qemu_pid for camera in list_cameras(store)}
        for process in running - killed:
            killed.add(process)
            os.kill(process, signal.SIGKILL)
        return not running

    wait_until(kill_until_it_is_gone, "it has ended")
    assert len(killed) >= 5
    with socket.socket() as probe:
        assert probe.connect_ex((camera.ssh_host, camera.ssh_port)) != 0


def test_camera_of_an_older_version_is_not_signalled(store: Store, camera: VirtualCamera) -> None:
    record = store.root / "virtual" / NAME / "camera.json"
    fields = json.loads(record.read_text())
    del fields["restarts"], fields["paused"], fields["used_by"]
    record.write_text(json.dumps(fields))
    with pytest.raises(DeviceError, match="older version"):
        restart_camera(store, NAME)
    assert require_camera(store, NAME).pid == camera.pid
