"""device add|list|info|remove: the known devices, and what a device offers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.connect.choose import choose_device, devices_folder, find_virtual, virtual_device, virtual_web_device
from incamera.connect.connection import connected
from incamera.connect.passwords import forget_in_keyring
from incamera.deployment.plan import find_verdict
from incamera.device import registry
from incamera.device.capabilities import Speed
from incamera.errors import UsageError
from incamera.holder.client import close_connections
from incamera.targets.form import Form
from incamera.targets.profile import load_profiles
from incamera.transport.device import Device, parse_address
from incamera.vapix.address import WebDevice
from incamera.virtual.camera import list_cameras

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.device.facts import DeviceFacts, Place

# The base64 text of a SHA-256, which `ssh-keygen` prints without padding.
_FINGERPRINT = re.compile(r"(?:SHA256:)?[A-Za-z0-9+/]{43}=?")


def add_device(
    context: Context, name: str, address: str | None, *, accept_key: str | None = None
) -> tuple[Device, DeviceFacts]:
    """Connect to a device, have its host key accepted, probe it, and save it as *name*.

    *accept_key* is the fingerprint of the host key to accept, for use without a terminal.
    """
    require_own_name(context, name, address)
    _require_fingerprint(accept_key)
    if address:
        device = Device(name=name, address=parse_address(address))
    else:
        device = registry.require_device(devices_folder(context), name)
    with connected(context, device, accept_key=accept_key) as connection:
        connection.require_architecture()
        connection.session.check_channels()
        facts = connection.facts
    with context.store.reporting_disk_errors():
        registry.add_device(devices_folder(context), device)
    return device, facts


def require_own_name(context: Context, name: str, address: str | None) -> None:
    """Raise UsageError when no camera of the user's can be called *name*."""
    if address is None and ("@" in name or ":" in name):
        raise UsageError(
            f'"{name}" is an address, and the camera needs a name, too',
            hint=f"type `incamera device add NAME {name}`, with a name of your choice",
        )
    registry.require_name(name)
    if name in load_profiles() or find_virtual(context, name):
        raise UsageError(f"{name} is the name of a virtual camera", hint="choose another name for your own camera")


def _require_fingerprint(fingerprint: str | None) -> None:
    if fingerprint is not None and not _FINGERPRINT.fullmatch(fingerprint):
        raise UsageError(
            f'"{fingerprint}" is not the fingerprint of a host key',
            hint="write all of SHA256:…, as `ssh-keygen -lf` prints it",
        )


def remove_device(context: Context, name: str) -> None:
    """Remove the camera *name* of the user's, its host key, its password, and the connections that are kept open to it.

    Raises UsageError when there is none.
    """
    folder = devices_folder(context)
    if name not in registry.load_routes(folder) and find_virtual(context, name):
        raise UsageError(f"{name} is a virtual camera", hint=f"`incamera virtual stop {name}` removes it")
    with context.store.reporting_disk_errors():
        removed = registry.remove_device(folder, name)
    if removed.web is not None:
        forget_in_keyring(WebDevice(name=name, address=removed.web))
    close_connections(context.store.root, name)


def list_devices(context: Context) -> list[tuple[Device | WebDevice, bool]]:
    """Return the known devices, and whether each one is virtual. A camera with two addresses is there twice."""
    cameras = list_cameras(context.store)
    virtual: list[Device | WebDevice] = [
        *(virtual_device(camera) for camera in cameras if camera.ssh_user),
        *(virtual_web_device(camera) for camera in cameras if camera.https_port),
    ]
    virtual.sort(key=lambda device: device.name)
    folder = devices_folder(context)
    known: list[Device | WebDevice] = [
        *registry.load_devices(folder).values(),
        *registry.load_web_devices(folder).values(),
    ]
    known.sort(key=lambda device: device.name)
    return [(device, False) for device in known] + [(device, True) for device in virtual]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceReport:
    """What `device info` shows. `speeds` has the paths of the device's places as keys."""

    device: Device
    facts: DeviceFacts
    forms: frozenset[Form]
    speeds: Mapping[str, Speed]

    def verdict(self, place: Place) -> str:
        """Return in a few words what *place* can be used for."""
        return find_verdict(self.facts, place, self.forms)

    def speed(self, place: Place) -> Speed:
        return self.speeds.get(place.path, Speed())


def inspect_device(context: Context, name: str | None, *, speed: bool = True) -> DeviceReport:
    """Probe the device, try which forms of bundles it runs and, with *speed*, measure its places.

    Results are cached until the device restarts.
    """
    device = choose_device(context, name)
    with connected(context, device) as connection:
        if connection.facts.find_guard_place() is None:  # each place's verdict says why
            return DeviceReport(device=device, facts=connection.facts, forms=frozenset({Form.tree}), speeds={})
        forms = connection.forms()
        speeds: Mapping[str, Speed] = {}
        if speed:
            with context.reporter.step("measure"):
                speeds = connection.measure_speeds()
        return DeviceReport(device=device, facts=connection.facts, forms=forms, speeds=speeds)
