"""Which device a command is about, and the way to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceRefused, DeviceUnsuitable
from incamera.targets.architecture import Architecture
from incamera.targets.profile import default_profile, load_profiles, require_profile
from incamera.workflows.virtual import start_virtual

if TYPE_CHECKING:
    from incamera.device.facts import DeviceFacts
    from incamera.device.host_keys import HostKey
    from incamera.device.session import Session
    from incamera.device.values import Device
    from incamera.project.settings import Project
    from incamera.targets.profile import Profile
    from incamera.targets.target import Target
    from incamera.virtual.camera import VirtualCamera
    from incamera.workflows.context import Context


def devices_folder(context: Context) -> Path:
    return context.store.root / "devices"


def choose_device(
    context: Context, name: str | None, *, project: Project | None = None, target: Target | None = None
) -> Device:
    """Return the device called *name*: a virtual camera that runs, a profile (its camera is started), or the user's.

    Without a name: INCAMERA_DEVICE, the project's device, else a virtual camera for *target*, or the project's first.
    """
    name = name or context.environment.get("INCAMERA_DEVICE") or (project.device if project is not None else None)
    if name is None:
        if target is None and project is not None:
            target = project.default_targets[0]
        return ensure_virtual(context, default_profile(target.architecture) if target else default_profile())
    if camera := find_virtual(context, name):
        return virtual_device(camera)
    if name in load_profiles():
        return ensure_virtual(context, require_profile(name))

    from incamera.device.registry import require_device

    return require_device(devices_folder(context), name)


def find_virtual(context: Context, name: str) -> VirtualCamera | None:
    from incamera.virtual.camera import list_cameras

    return next((camera for camera in list_cameras(context.store) if camera.name == name), None)


def ensure_virtual(context: Context, profile: Profile) -> Device:
    """Return a running virtual camera of *profile*, started if none runs."""
    from incamera.virtual.camera import list_cameras

    running = [camera for camera in list_cameras(context.store) if camera.profile == profile.name]
    return virtual_device(running[0] if running else start_virtual(context, profile))


def virtual_device(camera: VirtualCamera) -> Device:
    from incamera.device.values import Device

    return Device(
        name=camera.name,
        host=camera.ssh_host,
        port=camera.ssh_port,
        user=camera.ssh_user,
        keys=(camera.key,),
        host_key=camera.host_public_key,
    )


def add_device(
    context: Context, name: str, address: str | None, *, accept_key: str | None = None
) -> tuple[Device, DeviceFacts]:
    """Connect to a device, have its host key accepted, look at it, and write it down under *name*.

    *accept_key* is the fingerprint of the key to accept, for those who cannot be asked.
    """
    from incamera.device import registry
    from incamera.device.values import parse_address

    device = parse_address(address, name=name) if address else registry.require_device(devices_folder(context), name)
    with connected(context, device, accept_key=accept_key) as session:
        facts = probe_device(context, session)
    require_architecture(facts, device)
    registry.add_device(devices_folder(context), device)
    return device, facts


def list_devices(context: Context) -> list[tuple[Device, bool]]:
    """Return the devices that are known, and of each whether it is a virtual camera."""
    from incamera.device.registry import load_devices
    from incamera.virtual.camera import list_cameras

    known = [(device, False) for device in load_devices(devices_folder(context)).values()]
    return known + [(virtual_device(camera), True) for camera in list_cameras(context.store)]


def look_at_device(context: Context, name: str | None) -> tuple[Device, DeviceFacts]:
    device = choose_device(context, name)
    with connected(context, device) as session:
        return device, probe_device(context, session)


def probe_device(context: Context, session: Session) -> DeviceFacts:
    from incamera.device.probe import probe

    # Virtual cameras resumed from one saved state say that they are one boot: those of one name differ by their port.
    device = session.device
    return probe(session, cache=device_cache(context) / f"{device}-{device.port or 22}.json")


def require_architecture(facts: DeviceFacts, device: Device) -> Architecture:
    architecture = Architecture.from_machine(facts.architecture)
    if architecture is None:
        raise DeviceUnsuitable(
            f"{device} is a {facts.architecture} machine", hint="cameras are " + " or ".join(Architecture)
        )
    return architecture


def device_cache(context: Context) -> Path:
    """Where we keep what was found out about devices."""
    folder = context.store.root / "caches" / "devices"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def connected(context: Context, device: Device, *, accept_key: str | None = None) -> Iterator[Session]:
    """A connection to *device*; a device that is met for the first time is trusted when the user says so."""
    from incamera.device.registry import known_hosts_file
    from incamera.device.ssh import connect

    mismatch: list[str] = []

    def decide(key: HostKey) -> bool:
        if accept_key is not None:
            if key.fingerprint.removeprefix("SHA256:") == accept_key.removeprefix("SHA256:"):
                return True
            mismatch.append(key.fingerprint)
            return False
        return context.reporter.confirm(
            f"{key.device} ({key.address}) is new here. Its {key.algorithm} key is {key.fingerprint}. Trust it?"
        )

    known_hosts = known_hosts_file(devices_folder(context))
    try:
        with connect(device, known_hosts=known_hosts, decide=decide, environment=context.environment) as session:
            yield session
    except DeviceRefused as error:
        if not mismatch:
            raise
        raise DeviceRefused(
            f"{device} shows the key {mismatch[0]}, not {accept_key}",
            hint="either the fingerprint was mistyped, or another machine answers at that address",
        ) from error
