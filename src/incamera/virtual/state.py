"""Firmware and saved states in the store: made once from known inputs, found again by their digest."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceError
from incamera.targets.host import require_host
from incamera.tree import list_tree, tree_digest
from incamera.virtual import firmware as firmware_module
from incamera.virtual.firmware import build_firmware, open_firmware
from incamera.virtual.keeper import Order
from incamera.virtual.keeping import start_keeper
from incamera.virtual.monitor import QemuCrashed
from incamera.virtual.qcow2 import empty_disk
from incamera.virtual.qemu import Disk, plan_machine

if TYPE_CHECKING:
    from incamera.store import Store
    from incamera.targets.profile import Profile
    from incamera.virtual.keys import CameraKeys

FIRMWARE_KIND = "virtual-firmware"
STATE_KIND = "virtual-state"
# Part of every state's key: raise it when a state from the same words and firmware would be another.
VERSION = 1
_COLD_BOOT_SECONDS = 60

# Told what is being done, in words for a user.
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedState:
    """A booted camera in files. `machine`: QEMU's words, the same for saving and resuming. `made`: only just now."""

    machine: tuple[str, ...]
    memory: Path
    disks: tuple[Disk, ...]
    made: bool


def ensure_state(
    store: Store, profile: Profile, *, tools: Path, userland: Path, kernel: Path, keys: CameraKeys, progress: Progress
) -> SavedState:
    """Return the saved state of *profile*; if there is none, build the firmware, boot it and save it.

    Raises BuildError when a tree lacks something, DeviceError when the camera does not boot.
    """
    host = require_host()
    scripts = [file.read_text("utf-8") for file in sorted(_data_files(), key=lambda file: file.name)]
    trees = [_tree_key(store, userland), _tree_key(store, kernel)]
    secrets = [hashlib.sha256(keys.host).hexdigest(), keys.login_public]
    # What only QEMU is told makes no other firmware.
    inside = replace(profile, machine="", cpu="", processors=0, memory_megabytes=0, sources=())
    firmware_key = _digest([firmware_module.VERSION, repr(inside), trees, scripts, secrets])

    def make_firmware(folder: Path) -> None:
        progress(f"put together the firmware of {profile.name}")
        build_firmware(folder, profile, userland=userland, kernel=kernel, keys=keys)

    firmware_folder, _ = store.ensure_tree(FIRMWARE_KIND, firmware_key, make_firmware)
    machine = plan_machine(tools, host, profile, open_firmware(firmware_folder))
    words = [word.replace(str(store.root), "") for word in machine]
    state_key = _digest([VERSION, firmware_key, _tree_key(store, tools), words])

    def make_state(folder: Path) -> None:
        progress(f"boot {profile.name} for the first time")
        try:
            _boot_and_save(folder, profile, machine)
        except QemuCrashed:
            # QEMU itself crashes now and then where it has to share few processors; it seldom does so twice.
            progress(f"boot {profile.name} again, since QEMU has crashed")
            for left in folder.iterdir():
                left.unlink()
            shutil.rmtree(folder.parent / "logs")
            _boot_and_save(folder, profile, machine)

    folder, found = store.ensure_tree(STATE_KIND, state_key, make_state)
    return SavedState(
        machine=tuple(machine), memory=folder / "memory", disks=_disks(folder, profile, scratch=True), made=not found
    )


def _boot_and_save(folder: Path, profile: Profile, machine: list[str]) -> None:
    disks = _disks(folder, profile, scratch=False)
    sizes = {place.kind.value: place.megabytes for place in profile.places}
    for disk in disks:
        disk.path.write_bytes(empty_disk(sizes[disk.serial]))
    logs = folder.parent / "logs"
    logs.mkdir()
    order = Order(
        machine=tuple(machine),
        folder=logs,
        state=folder / "memory",
        disks=disks,
        save=True,
        litter=folder.parent,
        started=time.monotonic(),
        patience=_COLD_BOOT_SECONDS,
    )
    with start_keeper(order, purpose=f"boot the virtual camera {profile.name}") as keeper:
        if not keeper.answer.get("saved"):
            raise DeviceError(f"cannot boot the virtual camera {profile.name}: no state was saved")


def _disks(folder: Path, profile: Profile, *, scratch: bool) -> tuple[Disk, ...]:
    return tuple(
        Disk(serial=place.kind.value, path=folder / f"{place.kind}.qcow2", scratch=scratch)
        for place in profile.places
        if place.kind.has_disk
    )


def _data_files() -> list[Path]:
    folder = Path(str(resources.files("incamera.virtual").joinpath("data")))
    return [path for path in folder.iterdir() if path.is_file()]


def _tree_key(store: Store, path: Path) -> str:
    """Return a digest of a tree's files: of their list where the store has one, since it vouches for it."""
    listing = path.with_name(f"{path.name}.json")
    if path.parent.parent == store.root / "trees" and listing.exists():
        return hashlib.sha256(listing.read_bytes()).hexdigest()
    return tree_digest(list_tree(path))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
