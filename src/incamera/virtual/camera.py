"""Virtual cameras: start, list, find and stop them. Each lives in a folder of the store until it is stopped."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, UsageError
from incamera.names import did_you_mean
from incamera.targets.host import require_host
from incamera.targets.packages import DebSet
from incamera.virtual.keeper import RECORD, Order
from incamera.virtual.keeping import start_keeper
from incamera.virtual.keys import ensure_keys
from incamera.virtual.state import Progress, ensure_state

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.targets.profile import Profile

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_LOCK = "lock"
_STOPS_WITHIN_SECONDS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualCamera:
    """A running virtual camera. `resumed`: its state was there before. `seconds`: from the call to SSH's banner."""

    name: str
    profile: str
    ssh_host: str
    ssh_port: int
    ssh_user: str
    key: Path
    host_public_key: str
    pid: int
    qemu_pid: int
    resumed: bool
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualPlan:
    """What `start_camera` needs unpacked: QEMU for this computer, the camera's user land, and its kernel."""

    tools: DebSet
    userland: DebSet
    kernel: DebSet


def plan_virtual(profile: Profile) -> VirtualPlan:
    """Return the packages that `start_camera` needs unpacked for *profile*. Raises InCameraError on an unfit host."""
    debian = profile.architecture.facts.debian
    return VirtualPlan(
        tools=DebSet(
            suite="bookworm",
            architecture=require_host().debian,
            roots=("qemu-system-arm",),
            leave_out=frozenset({"adduser", "debconf", "iso-codes", "libasound2-data", "passwd"}),
        ),
        userland=DebSet(
            suite=profile.suite,
            architecture=debian,
            roots=profile.packages,
            leave_out=frozenset({"debconf", "dpkg", "perl-base", "tar"}),
        ),
        kernel=DebSet(
            suite=profile.kernel_suite,
            architecture=debian,
            roots=(profile.kernel,),
            leave_out=frozenset({"initramfs-tools", "kmod", "linux-base"}),
        ),
    )


def start_camera(
    profile: Profile,
    *,
    tools: Path,
    userland: Path,
    kernel: Path,
    store: Store,
    name: str | None = None,
    owner_pid: int | None = None,
    progress: Progress = lambda _: None,
) -> VirtualCamera:
    """Start a virtual camera and return it once its SSH server answers. It outlives us, but not *owner_pid*.

    Raises UsageError when *name* is unfit, DeviceError when it is taken or the camera does not start, BuildError when
    a tree lacks something.
    """
    started = time.monotonic()
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(f'"{name}" cannot be a camera\'s name', hint="use small letters, digits, dots and hyphens")
    keys = ensure_keys(store)
    state = ensure_state(store, profile, tools=tools, userland=userland, kernel=kernel, keys=keys, progress=progress)
    progress(f"start {profile.name}")
    with _reserve(store, name, profile.name) as (folder, lock):
        mac = _mac(folder)
        record = {
            "name": folder.name,
            "profile": profile.name,
            "ssh_host": "127.0.0.1",
            "ssh_user": profile.user,
            "key": str(keys.login),
            "host_public_key": keys.host_public,
            "resumed": not state.made,
        }
        order = Order(
            machine=state.machine,
            folder=folder,
            state=state.memory,
            disks=state.disks,
            save=False,
            host_name="axis-" + mac.replace(":", ""),
            mac=mac,
            owner=owner_pid,
            record=record,
            started=started,
        )
        with start_keeper(order, purpose=f"start the virtual camera {folder.name}", pass_fds=(lock,)) as keeper:
            camera = _parse_record(keeper.answer["camera"])
            keeper.keep()
    return camera


def list_cameras(store: Store) -> list[VirtualCamera]:
    """Return the running cameras by name; what killed ones have left behind is removed."""
    with store.lock("virtual"):
        _prune(store)
    cameras = []
    for record in sorted(_folder(store).glob(f"[!.]*/{RECORD}")):
        with suppress(FileNotFoundError):  # stopped this moment
            cameras.append(_parse_record(json.loads(record.read_text("utf-8"))))
    return cameras


def require_camera(store: Store, name: str) -> VirtualCamera:
    """Return the running camera called *name*. Raises DeviceError."""
    cameras = {camera.name: camera for camera in list_cameras(store)}
    if name not in cameras:
        hint = did_you_mean(name, cameras) or "start one with `incamera virtual start`"
        raise DeviceError(f'no virtual camera called "{name}" is running', hint=hint)
    return cameras[name]


def stop_camera(store: Store, name: str) -> None:
    """End the camera called *name* and return when nothing of it is left. Raises DeviceError when there is none."""
    camera = require_camera(store, name)
    try:
        # Its lock was held a moment ago, so the number is still that keeper's.
        keeper = os.pidfd_open(camera.pid)
    except ProcessLookupError:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(keeper, number)
            if select.select([keeper], [], [], _STOPS_WITHIN_SECONDS)[0]:
                break
    finally:
        os.close(keeper)
    with store.lock("virtual"):
        _prune(store)


def _folder(store: Store) -> Path:
    return store.root / "virtual"


def _parse_record(record: dict[str, object]) -> VirtualCamera:
    return VirtualCamera(**record | {"key": Path(str(record["key"]))})  # type: ignore[arg-type]


@contextmanager
def _reserve(store: Store, name: str | None, base: str) -> Iterator[tuple[Path, int]]:
    """Take a name: its folder, and the descriptor of its lock, which the keeper inherits and holds while it lives."""
    with store.lock("virtual"), store.reporting_disk_errors():
        _folder(store).mkdir(mode=0o700, exist_ok=True)
        _prune(store)
        folder = _folder(store) / (name or base)
        number = 1
        while folder.exists():
            if name is not None:
                raise DeviceError(
                    f'a virtual camera called "{name}" is running already',
                    hint=f"stop it with `incamera virtual stop {name}`, or choose another name",
                )
            number += 1
            folder = _folder(store) / f"{base}-{number}"
        folder.mkdir(mode=0o700)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder, lock
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _prune(store: Store) -> None:
    """Remove the folders whose keeper is gone: nobody holds their lock. The caller holds the lock of all."""
    for folder in _folder(store).glob("*/"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except FileNotFoundError:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _mac(folder: Path) -> str:
    """Return an address with one of the vendor's prefixes, the same for the same name."""
    tail = hashlib.sha256(str(folder).encode()).digest()[:3]
    return ":".join(f"{byte:02x}" for byte in b"\x00\x40\x8c" + tail)
