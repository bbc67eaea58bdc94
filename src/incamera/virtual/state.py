"""Firmware and saved states in the store: each is made once, and found again by a digest of its inputs."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, StoreError
from incamera.targets.host import require_host
from incamera.tree import list_tree, read_entry, tree_digest
from incamera.virtual import firmware as firmware_module
from incamera.virtual.checksums import find_damaged, write_checksums
from incamera.virtual.firmware import build_firmware, open_firmware
from incamera.virtual.monitor import QemuCrashed
from incamera.virtual.qcow2 import empty_disk, empty_overlay
from incamera.virtual.qemu import Disk, plan_machine
from incamera.virtual.stand_ins import camera_service, stand_ins
from incamera.virtual.supervisor_client import start_supervisor
from incamera.virtual.supervisor_request import SupervisorRequest
from incamera.virtual.web_server import back_end_files

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.targets.profile import Profile
    from incamera.virtual.keys import CameraKeys

FIRMWARE_KIND = "virtual-firmware"
STATE_KIND = "virtual-state"
# Part of each state's cache key: increase it when the same command line and firmware give another state.
VERSION = 3
# A few seconds when the computer is idle; a minute and more beside other work that takes all processors.
_BOOT_TIMEOUT_SECONDS = 180

# Called with a text for the user.
Warn = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualTrees:
    """The Debian packages of a virtual camera, unpacked: QEMU for this host, the camera's user land, and its kernel.

    `openssh`: its SSH server, None when that is dropbear, which is in the user land. `web`: its web server, None for a
    camera without one.
    """

    tools: Path
    userland: Path
    kernel: Path
    openssh: Path | None = None
    web: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedState:
    """The saved state of a booted camera. `machine`: QEMU's command line. `made`: it was saved by this call."""

    machine: tuple[str, ...]
    memory: Path
    disks: tuple[Disk, ...]
    made: bool


def ensure_state(store: Store, profile: Profile, trees: VirtualTrees, keys: CameraKeys, warn: Warn) -> SavedState:
    """Return the saved state of *profile*; if there is none, build the firmware, boot it and save its state.

    A state with a damaged file is removed and made again; *warn* is called with a text about it.
    Raises BuildError when a file is missing in the *trees*, DeviceError when the camera does not boot.
    """
    firmware_key = _firmware_key(store, profile, trees, keys)

    def make_firmware(folder: Path) -> None:
        build_firmware(
            folder,
            profile,
            userland=trees.userland,
            kernel=trees.kernel,
            openssh=trees.openssh,
            web=trees.web,
            keys=keys,
        )

    firmware_folder, _ = store.ensure_tree(FIRMWARE_KIND, firmware_key, make_firmware)
    firmware = open_firmware(firmware_folder)
    with suppress(OSError):  # older versions made it readable for all
        firmware.archive.chmod(0o600)
    machine = plan_machine(trees.tools, require_host(), profile, firmware)
    words = [word.replace(str(store.root), "") for word in machine]
    state_key = _digest([VERSION, firmware_key, _tree_key(store, trees.tools), words])

    def make_state(folder: Path) -> None:
        try:
            _boot_and_save(folder, profile, machine)
        except QemuCrashed:
            # QEMU sometimes crashes on a busy host with few processors, but rarely twice.
            for path in folder.iterdir():
                path.unlink()
            shutil.rmtree(folder.parent / "logs")
            _boot_and_save(folder, profile, machine)
        write_checksums(folder)

    if damaged := store.discard_damaged(STATE_KIND, state_key, find_damaged):
        warn(f"the saved state of {profile.name} is damaged ({damaged}): it is removed, and the camera boots again")
    booting = store.find_tree(STATE_KIND, state_key) is None
    if damaged := store.discard_damaged(FIRMWARE_KIND, firmware_key, partial(_find_damaged, store, whole=booting)):
        warn(f"the firmware of {profile.name} is damaged ({damaged}): it is built again")
        store.ensure_tree(FIRMWARE_KIND, firmware_key, make_firmware)
    folder, found = store.ensure_tree(STATE_KIND, state_key, make_state)
    return SavedState(machine=tuple(machine), memory=folder / "memory", disks=_disks(folder, profile), made=not found)


def _find_damaged(store: Store, folder: Path, *, whole: bool) -> str | None:
    """Return the name of a file of the firmware in *folder* that has changed; without *whole*, only sizes are compared.

    A camera that is resumed reads none of their bytes: it has them in its saved memory.
    """
    try:
        entries = store.tree_entries(FIRMWARE_KIND, folder.name)
    except (OSError, StoreError):
        return "its list of files"
    for entry in entries:
        try:
            intact = (
                read_entry(folder, entry.path) == entry
                if whole
                else ((folder / entry.path).stat().st_size == entry.size)
            )
        except OSError:
            intact = False
        if not intact:
            return entry.path
    return None


def _boot_and_save(folder: Path, profile: Profile, machine: list[str]) -> None:
    disks = _disks(folder, profile)
    sizes = {place.kind.value: place.megabytes for place in profile.places}
    for disk in disks:
        disk.path.write_bytes(empty_disk(sizes[disk.serial]))
    logs = folder.parent / "logs"
    logs.mkdir()
    request = SupervisorRequest(
        machine=tuple(machine),
        folder=logs,
        state=folder / "memory",
        disks=disks,
        save=True,
        discard=folder.parent,
        started=time.monotonic(),
        timeout=_BOOT_TIMEOUT_SECONDS,
    )
    with start_supervisor(request, purpose=f"boot the virtual camera {profile.name}") as supervisor:
        if not supervisor.answer.get("saved"):
            raise DeviceError(f"cannot boot the virtual camera {profile.name}: no state was saved")


def make_overlays(folder: Path, disks: Iterable[Disk]) -> tuple[Disk, ...]:
    """Write disks into *folder* that begin with the content of *disks*, and return them."""
    overlays = []
    for disk in disks:
        path = folder / disk.path.name
        path.write_bytes(empty_overlay(disk.path))
        overlays.append(Disk(serial=disk.serial, path=path, base=disk.path))
    return tuple(overlays)


def _disks(folder: Path, profile: Profile) -> tuple[Disk, ...]:
    return tuple(
        Disk(serial=place.kind.value, path=folder / f"{place.kind}.qcow2")
        for place in profile.places
        if place.kind.has_disk
    )


def _data_files() -> list[Path]:
    folder = Path(str(resources.files("incamera.virtual").joinpath("data")))
    return [path for path in folder.iterdir() if path.is_file()]


def _firmware_key(store: Store, profile: Profile, trees: VirtualTrees, keys: CameraKeys) -> str:
    scripts = [file.read_text("utf-8") for file in sorted(_data_files(), key=lambda file: file.name)]
    trees_inside = filter(None, (trees.userland, trees.kernel, trees.openssh, trees.web))
    packages = [_tree_key(store, tree) for tree in trees_inside]
    secrets = [hashlib.sha256(keys.host).hexdigest(), keys.login_public]
    # Without the settings that only QEMU gets: they do not change the firmware.
    inside = replace(profile, machine="", cpu="", processors=0, memory_megabytes=0, sources=())
    service = camera_service(profile.architecture, profile.version)
    imitated = [*stand_ins(profile.architecture, profile.version), *([service] if service else [])]
    libraries = [hashlib.sha256(path.read_bytes()).hexdigest() for path in imitated]
    # The rules of AXIS OS change often: a change makes no other camera boot again than those that have them.
    rules = [(name, hashlib.sha256(data).hexdigest()) for name, data in back_end_files().items()] if trees.web else []
    return _digest([firmware_module.VERSION, repr(inside), packages, scripts, secrets, libraries, rules])


def _tree_key(store: Store, path: Path) -> str:
    """Return a digest of a tree's files; of the store's list of them, where there is one, since that is faster."""
    listing = path.with_name(f"{path.name}.json")
    if path.parent.parent == store.root / "trees" and listing.exists():
        return hashlib.sha256(listing.read_bytes()).hexdigest()
    return tree_digest(list_tree(path))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
