"""Start, list, find and stop virtual cameras. Each running camera has a folder in the store."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
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
from incamera.virtual.agreed import PAUSE_AFTER_SECONDS, POWER_CUT, RECORD, RESTART
from incamera_agent.wire.frames import load_json

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.targets.profile import Profile
    from incamera.virtual.chips import Chip
    from incamera.virtual.state import VirtualTrees, Warn

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_LOCK = "lock"
# The kernel gives no process a higher number.
_PIDS = range(1, (1 << 22) + 1)
# -1: it cannot restart.
_NUMBERS = {
    "ssh_port": range(1, 1 << 16), "https_port": range(1 << 16), "http_port": range(1 << 16), "pid": _PIDS,
    "qemu_pid": _PIDS, "restarts": range(-1, 1 << 31),
}  # fmt: skip
_STOP_TIMEOUT_SECONDS = 6
# Shutting down takes 20 s at most, waking up 90 s.
_RESTART_TIMEOUT_SECONDS = 120
_RESTART_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualCamera:
    """A running virtual camera.

    `key`: the file of the private key to log in with. `pid`: that of its supervisor process.
    `resumed`: it was resumed from a saved state, and not booted first.
    `seconds`: how long it took from the call of `start_camera` until its servers answered.
    `paused`: it stands still until the next connection, since nobody used it. `used_by`: what kept it from being paused
    without a connection, a process or a mounted share. `restarts`: how often it has restarted.
    `ssh_user`: "" where nobody can log in over SSH. `https_port`, `http_port`: 0 without a web server. `certificate` is
    the SHA-256 of its certificate, and `password` the file with the password of its account, `root`. `chip`: that of
    `--chip`, "" without one.
    """

    name: str
    profile: str
    ssh_host: str
    ssh_port: int
    ssh_user: str
    ssh_server: str
    key: Path
    host_public_key: str
    pid: int
    qemu_pid: int
    resumed: bool
    seconds: float
    paused: bool = False
    used_by: str | None = None
    restarts: int = 0
    https_port: int = 0
    http_port: int = 0
    certificate: str = ""
    password: Path | None = None
    chip: str = ""

    @property
    def url(self) -> str:
        """The address of its web server, "" without one."""
        return f"https://127.0.0.1:{self.https_port}" if self.https_port else ""


# cairo's fonts and their settings are among them: apps bring their own.
_NOT_NEEDED = ("debconf", "dpkg", "fontconfig-config", "libx11-data", "perl-base", "tar")


@dataclass(frozen=True, kw_only=True, slots=True)
class Extras:
    """What cameras of one profile may differ in.

    `chip`: the camera has its devices for inference, without one those of the processor. `pause_after`: it is paused
    when nobody has used it for so many seconds.
    """

    chip: Chip | None = None
    pause_after: float = PAUSE_AFTER_SECONDS


NO_EXTRAS = Extras()


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualPlan:
    """The Debian packages of a virtual camera: QEMU for this host, the camera's user land, and its kernel."""

    tools: DebSet
    userland: DebSet
    kernel: DebSet


def plan_virtual(profile: Profile) -> VirtualPlan:
    """Return the packages of a virtual camera of *profile*. Raises InCameraError on an unsupported host."""
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
            leave_out=frozenset(_NOT_NEEDED),
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
    trees: VirtualTrees,
    store: Store,
    *,
    name: str | None = None,
    owner_pid: int | None = None,
    warn: Warn = lambda _: None,
    extras: Extras = NO_EXTRAS,
) -> VirtualCamera:
    """Start a virtual camera, and return it once its SSH server answers.

    It keeps running when this process ends, but ends with the process *owner_pid*. *name*: None for the profile's name,
    with a number when that is taken. *warn* is called with a text about damage that was repaired.

    Raises UsageError when *name* is not valid, DeviceError when it is taken or the camera does not start, BuildError
    when a file is missing in the trees.
    """
    started = time.monotonic()
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(
            f'"{name}" is not a valid name for a virtual camera',
            hint="use lower-case letters, digits, dots and hyphens",
        )
    from incamera.virtual.keys import ensure_keys  # lazy: commands for a camera that runs only list the cameras
    from incamera.virtual.signing import public_signing_key
    from incamera.virtual.ssh_server import SshServer
    from incamera.virtual.state import ensure_state, make_overlays
    from incamera.virtual.supervisor_client import start_supervisor
    from incamera.virtual.supervisor_request import SupervisorRequest
    from incamera.virtual.web_settings import NO_WEB, prepare_web

    keys = ensure_keys(store)
    state = ensure_state(store, profile, trees, keys, warn)
    with _reserve(store, name, profile.name) as (folder, lock):
        mac = _mac(folder)
        store.keep_trees([*state.machine, str(state.memory)], as_long_as=folder)
        record = {
            "name": folder.name,
            "profile": profile.name,
            "ssh_host": "127.0.0.1",
            "ssh_user": profile.user,
            "ssh_server": (SshServer.openssh if trees.openssh else SshServer.dropbear).value,
            "key": str(keys.login),
            "host_public_key": keys.host_public,
            "resumed": not state.made,
            "chip": extras.chip.name if extras.chip else "",
        }
        web = prepare_web(profile, folder, mac, public_signing_key(store)) if trees.web else NO_WEB
        request = SupervisorRequest(
            machine=state.machine,
            folder=folder,
            state=state.memory,
            disks=make_overlays(folder, state.disks),
            save=False,
            host_name="axis-" + mac.replace(":", ""),
            mac=mac,
            owner=owner_pid,
            record=record | web.record,
            started=started,
            pause_after=extras.pause_after,
            ports=(22, *web.ports),
            speaks_ssh=profile.has_root_login,
            settings=web.settings,
            devices=",".join(extras.chip.devices) if extras.chip else "-",
            environment=_download_variables(store),
        )
        purpose = f"start the virtual camera {folder.name}"
        with start_supervisor(request, purpose=purpose, pass_fds=(lock,)) as supervisor:
            camera = _parse_record(supervisor.answer.get("camera"))
            supervisor.keep()
    return camera


def list_cameras(store: Store) -> list[VirtualCamera]:
    """Return the running cameras, sorted by name. Removes the folders of cameras that were killed.

    Those whose record is damaged are left out: `damaged_cameras` names them.
    """
    return _read_records(store)[0]


def damaged_cameras(store: Store) -> list[str]:
    """Return the names of the cameras that run, although their records are damaged."""
    return _read_records(store)[1]


def damaged_record(name: str) -> DeviceError:
    """Return the error about the camera called *name*, whose record is damaged."""
    return DeviceError(
        f'the record of the virtual camera "{name}" is damaged, so it cannot be used',
        hint=f"end it with `incamera virtual stop {name}`",
    )


def find_camera(store: Store, name: str) -> VirtualCamera | None:
    """Return the running camera called *name*, None if there is none. Raises DeviceError when its record is damaged."""
    cameras, damaged = _read_records(store)
    if name in damaged:
        raise damaged_record(name)
    return next((camera for camera in cameras if camera.name == name), None)


def require_camera(store: Store, name: str) -> VirtualCamera:
    """Return the running camera called *name*. Raises DeviceError when there is none."""
    camera = find_camera(store, name)
    if camera is None:
        names = [camera.name for camera in list_cameras(store)]
        hint = did_you_mean(name, names) or "`incamera virtual list` lists those that are running"
        raise DeviceError(f'no virtual camera called "{name}" is running', hint=hint)
    return camera


def stop_camera(store: Store, name: str) -> None:
    """Stop the camera called *name*, and wait until its processes and its folder are gone.

    Raises DeviceError when no such camera is running.
    """
    if name in damaged_cameras(store):
        supervisor = _open_holder(_folder(store) / name / _LOCK)
    else:
        supervisor = _open_supervisor(require_camera(store, name))
    if supervisor is None:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(supervisor, number)
            if select.select([supervisor], [], [], _STOP_TIMEOUT_SECONDS)[0]:
                break
    finally:
        os.close(supervisor)
    with store.lock("virtual"):
        _prune(store)


def camera_folder(store: Store, name: str) -> Path:
    """Return the folder of the running camera *name*."""
    return _folder(store) / name


def restart_camera(store: Store, name: str, *, power_cut: bool = False) -> VirtualCamera:
    """Restart the camera called *name*, and return it once its SSH server answers.

    Its flash and card stay, its RAM is empty. With *power_cut* it is not shut down first, so that only what was synced
    stays. Raises DeviceError when no such camera is running, or it does not come back.
    """
    camera = require_camera(store, name)
    if camera.restarts < 0:
        hint = f"end it with `incamera virtual stop {name}`, and start another"
        raise DeviceError(f"{name} was started by an older version, which cannot restart it", hint=hint)
    return await_restart(store, camera, POWER_CUT if power_cut else RESTART)


def await_restart(store: Store, camera: VirtualCamera, how: signal.Signals) -> VirtualCamera:
    """Have *camera*'s supervisor restart it, and return it once its servers answer. Raises DeviceError."""
    name = camera.name
    supervisor = _open_supervisor(camera)
    if supervisor is None:
        return require_camera(store, name)  # which raises
    try:
        signal.pidfd_send_signal(supervisor, how)
        deadline = time.monotonic() + _RESTART_TIMEOUT_SECONDS
        while (again := require_camera(store, name)).restarts == camera.restarts:
            if time.monotonic() > deadline:
                hint = f"`incamera virtual stop {name}` ends it"
                raise DeviceError(f"{name} did not restart within {_RESTART_TIMEOUT_SECONDS} s", hint=hint)
            # Returns at once when the supervisor has ended.
            select.select([supervisor], [], [], _RESTART_PAUSE_SECONDS)
    finally:
        os.close(supervisor)
    return again


def _open_supervisor(camera: VirtualCamera) -> int | None:
    """Return a descriptor of the camera's supervisor process, None when it has ended."""
    try:
        # Its lock was held just now, so the process of that number is still the supervisor.
        return os.pidfd_open(camera.pid)
    except ProcessLookupError:
        return None


def _open_holder(lock: Path) -> int | None:
    """Return a descriptor of the process that has the file *lock* open: the supervisor. None when there is none."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # another user's process, or one that has ended
            if link.readlink() == lock:
                process = os.pidfd_open(int(link.parts[2]))
                if link.readlink() == lock:  # still the same process
                    return process
                os.close(process)
    return None


def _folder(store: Store) -> Path:
    return store.root / "virtual"


def _read_records(store: Store) -> tuple[list[VirtualCamera], list[str]]:
    """Return the running cameras, and the names of those whose records are damaged."""
    with store.lock("virtual"):
        _prune(store)
    cameras, damaged = [], []
    for path in sorted(_folder(store).glob(f"[!.]*/{RECORD}")):
        try:
            cameras.append(_parse_record(load_json(path.read_bytes())))
        except FileNotFoundError:  # stopped in the meantime
            continue
        except (OSError, ValueError, DeviceError):
            damaged.append(path.parent.name)
    return cameras, damaged


def _parse_record(record: object) -> VirtualCamera:
    """Return the camera that a supervisor has described. Raises DeviceError."""
    if isinstance(record, dict):
        older = {"ssh_server": "dropbear", "paused": False, "used_by": None, "restarts": -1}
        older |= {"https_port": 0, "http_port": 0, "certificate": "", "password": None, "chip": ""}
        record = {**older, **record}
    types = {
        "resumed": bool, "paused": bool, "used_by": str | None, "seconds": float, "password": str | None,
        **dict.fromkeys(_NUMBERS, int),
    }  # fmt: skip
    names = [field.name for field in dataclasses.fields(VirtualCamera)]
    if not isinstance(record, dict) or any(not isinstance(record.get(name), types.get(name, str)) for name in names):
        raise DeviceError("the virtual camera's supervisor did not describe a camera")
    if any(type(record[name]) is not int or record[name] not in numbers for name, numbers in _NUMBERS.items()):
        raise DeviceError("the virtual camera's supervisor described a camera that cannot be")
    fields = {name: record[name] for name in names}
    password = fields["password"]
    return VirtualCamera(**fields | {"key": Path(fields["key"]), "password": Path(password) if password else None})


@contextmanager
def _reserve(store: Store, name: str | None, base: str) -> Iterator[tuple[Path, int]]:
    """Reserve a camera's name. Yields its folder, and a locked descriptor.

    The supervisor inherits the descriptor, so the lock is held as long as it runs.
    """
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


def _download_variables(store: Store) -> dict[str, str]:
    """Return what the user's environment says about downloads from a package index into *store*."""
    names = {"SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CONFIG_HOME"}
    found = {
        name: value
        for name, value in os.environ.items()
        if name in names or name.startswith("PIP_") or name.lower().endswith("_proxy")
    }
    return found | {"INCAMERA_STORE": str(store.root)}


def _prune(store: Store) -> None:
    """Remove the folders whose lock is free: their supervisor has ended. The caller holds the lock "virtual"."""
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
    """Return a MAC address with one of the vendor's prefixes, always the same for the same folder."""
    tail = hashlib.sha256(str(folder).encode()).digest()[:3]
    return ":".join(f"{byte:02x}" for byte in b"\x00\x40\x8c" + tail)
