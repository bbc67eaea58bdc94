"""Names and folders of virtual cameras, without starting one."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.__main__ import main
from incamera.errors import DeviceError, UsageError
from incamera.targets.profile import load_profiles, require_profile
from incamera.virtual.camera import (
    damaged_cameras,
    find_camera,
    list_cameras,
    plan_virtual,
    require_camera,
    start_camera,
)
from incamera.virtual.state import VirtualTrees

if TYPE_CHECKING:
    from incamera.store import Store

RECORD = {
    "name": "porch", "profile": "axis-os-10-armv7hf", "ssh_host": "127.0.0.1", "ssh_user": "root", "key": "/k",
    "host_public_key": "ssh-ed25519 AAAA", "resumed": True, "ssh_port": 4711, "pid": 1, "qemu_pid": 2, "seconds": 0.6,
}  # fmt: skip


def make_folder(store: Store, name: str) -> Path:
    folder = store.root / "virtual" / name
    folder.mkdir(parents=True)
    (folder / "camera.json").write_text(json.dumps(RECORD | {"name": name}))
    (folder / "lock").touch()
    return folder


def test_camera_is_listed_as_long_as_its_lock_is_held(store: Store) -> None:
    folder = make_folder(store, "porch")
    left_behind = make_folder(store, "garden")
    lock = os.open(folder / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert [camera.name for camera in list_cameras(store)] == ["porch"]
    assert require_camera(store, "porch").ssh_port == 4711
    assert not left_behind.exists()
    os.close(lock)
    assert list_cameras(store) == []
    assert not folder.exists()


DAMAGES = [
    *({"pid": -1}, {"pid": 1 << 40}, {"qemu_pid": True}, {"ssh_port": 0}, {"ssh_port": 70_000}, {"seconds": None}),
    *(b"", b"{", b"[]", b"\xff\xfe", b"[" * 200_000, b"\0" * 100),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_camera_with_a_damaged_record_hides_no_other(
    store: Store, damage: dict[str, object] | bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = damage if isinstance(damage, bytes) else json.dumps(RECORD | damage).encode()
    locks = []
    for name in ("garden", "porch"):
        locks.append(os.open(make_folder(store, name) / "lock", os.O_RDWR))
        fcntl.flock(locks[-1], fcntl.LOCK_EX)
    (store.root / "virtual/porch/camera.json").write_bytes(data)
    assert [camera.name for camera in list_cameras(store)] == ["garden"]
    assert damaged_cameras(store) == ["porch"]
    assert find_camera(store, "garden") is not None
    with pytest.raises(DeviceError, match='"porch" is damaged') as caught:
        require_camera(store, "porch")
    assert caught.value.hint == "end it with `incamera virtual stop porch`"
    monkeypatch.setenv("INCAMERA_STORE", str(store.root))
    assert main(["virtual", "list"]) == 0
    shown = capsys.readouterr()
    assert "garden" in shown.out
    assert "porch" not in shown.out
    assert "incamera virtual stop porch" in " ".join(shown.err.split())
    for lock in locks:
        os.close(lock)


def test_record_that_is_a_folder_is_damaged(store: Store) -> None:
    folder = make_folder(store, "porch")
    (folder / "camera.json").unlink()
    (folder / "camera.json").mkdir()
    lock = os.open(folder / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert damaged_cameras(store) == ["porch"]
    os.close(lock)


HOLD_LOCK = (
    "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, 2); print('locked', flush=True); time.sleep(60)"
)


@pytest.mark.starts_processes
@pytest.mark.parametrize("names", [["porch"], ["--all"], []])
def test_camera_with_a_damaged_record_is_stopped(
    store: Store, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(store, "porch")
    (folder / "camera.json").write_bytes(b"{")
    with subprocess.Popen([sys.executable, "-c", HOLD_LOCK, folder / "lock"], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        monkeypatch.setenv("INCAMERA_STORE", str(store.root))
        assert main(["virtual", "stop", *names]) == 0
        assert supervisor.wait(timeout=60) == -signal.SIGTERM
    assert not folder.exists()


def test_missing_camera_is_refused_with_the_closest_name(store: Store) -> None:
    with pytest.raises(DeviceError) as caught:
        require_camera(store, "porch")
    assert caught.value.hint is not None
    lock = os.open(make_folder(store, "porch") / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(DeviceError) as caught:
        require_camera(store, "proch")
    os.close(lock)
    assert caught.value.hint == 'did you mean "porch"?'


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "Porch", "x" * 80])
def test_invalid_name_is_refused_before_anything_is_written(store: Store, name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        start_camera(
            require_profile("axis-os-10-armv7hf"),
            VirtualTrees(tools=tmp_path, userland=tmp_path, kernel=tmp_path),
            store,
            name=name,
        )
    assert not (store.root / "keys").exists()


@pytest.mark.parametrize("name", load_profiles())
def test_plan_has_packages_of_the_cameras_architecture_and_qemu_for_the_host(name: str) -> None:
    profile = require_profile(name)
    plan = plan_virtual(profile)
    assert plan.userland.architecture == plan.kernel.architecture == profile.architecture.facts.debian
    assert plan.userland.suite == profile.suite
    assert {"busybox-static", "dropbear-bin"} <= set(plan.userland.roots)
    assert plan.tools.roots == ("qemu-system-arm",)
