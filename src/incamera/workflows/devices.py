"""Which device a command is about, and the way to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import DeviceRefused, DeviceUnreachable, DeviceUnsuitable
from incamera.targets.architecture import Architecture
from incamera.targets.form import Form, Kind
from incamera.targets.profile import default_profile, load_profiles, require_profile
from incamera.virtual.start import start_virtual

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.device.facts import DeviceFacts, Place
    from incamera.guard.capabilities import Speed
    from incamera.guard.guard import Guard
    from incamera.project.settings import Project
    from incamera.targets.profile import Profile
    from incamera.targets.target import Target
    from incamera.transport.device import Device
    from incamera.transport.host_keys import HostKey
    from incamera.transport.session import Session
    from incamera.virtual.camera import VirtualCamera


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
    from incamera.virtual.camera import list_cameras

    others = [*(camera.name for camera in list_cameras(context.store)), *load_profiles()]
    return require_device(devices_folder(context), name, others=dict.fromkeys(others))


def find_virtual(context: Context, name: str) -> VirtualCamera | None:
    from incamera.virtual.camera import list_cameras

    return next((camera for camera in list_cameras(context.store) if camera.name == name), None)


def ensure_virtual(context: Context, profile: Profile) -> Device:
    """Return a running virtual camera of *profile*, started if none runs."""
    from incamera.virtual.camera import list_cameras

    running = [camera for camera in list_cameras(context.store) if camera.profile == profile.name]
    return virtual_device(running[0] if running else start_virtual(context, profile))


def virtual_device(camera: VirtualCamera) -> Device:
    from incamera.transport.device import Device

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
    from incamera.transport.device import parse_address

    device = parse_address(address, name=name) if address else registry.require_device(devices_folder(context), name)
    with connected(context, device, accept_key=accept_key) as session:
        facts = probe_device(context, session)
    require_architecture(facts, device)
    with context.store.reporting_disk_errors():
        registry.add_device(devices_folder(context), device)
    return device, facts


def list_devices(context: Context) -> list[tuple[Device, bool]]:
    """Return the devices that are known, and of each whether it is a virtual camera."""
    from incamera.device.registry import load_devices
    from incamera.virtual.camera import list_cameras

    known = [(device, False) for device in load_devices(devices_folder(context)).values()]
    return known + [(virtual_device(camera), True) for camera in list_cameras(context.store)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What there is to say of a device."""

    device: Device
    facts: DeviceFacts
    forms: frozenset[Form]
    speeds: Mapping[str, Speed]

    def verdict(self, place: Place) -> str:
        from incamera.deployment.places import find_verdict

        return find_verdict(self.facts, place, self.forms)

    def speed(self, place: Place) -> Speed:
        from incamera.guard.capabilities import Speed

        return self.speeds.get(place.path, Speed())


def look_at_device(context: Context, name: str | None, *, speed: bool = True) -> Look:
    """Ask, try and, if *speed*, measure what the device is good for; what was measured since it started is believed."""
    device = choose_device(context, name)
    with connected(context, device) as session:
        facts = probe_device(context, session)
        guard = guard_for(facts, require_architecture(facts, device))
        forms = find_forms(context, session, facts, guard)
        speeds = {}
        if speed:
            with context.reporter.step("measure"):
                speeds = measure_places(context, session, facts, guard)
    return Look(device=device, facts=facts, forms=forms, speeds=speeds)


def probe_device(context: Context, session: Session) -> DeviceFacts:
    from incamera.device.facts import PLACES
    from incamera.device.probe import probe

    # Whoever looks at a mount whose server is away may wait for long.
    away = [path for path, kind in PLACES.items() if kind is Kind.share] if _is_share_away(context, session) else []
    return probe(session, cache=_cache(context, session), without=away)


def _is_share_away(context: Context, session: Session) -> bool:
    from incamera.workflows.share_attach import require_served

    try:
        require_served(context, str(session.device))
    except DeviceUnreachable:
        return True
    return False


def _cache(context: Context, session: Session, what: str = "") -> Path:
    # Virtual cameras resumed from one saved state say that they are one boot: those of one name differ by their port.
    device = session.device
    return device_cache(context) / ".".join([f"{device}-{device.port or 22}", *filter(None, [what]), "json"])


def guard_for(facts: DeviceFacts, architecture: Architecture, *, otherwise: str = "/tmp") -> Guard:
    """Return the guard for a device, to be kept where programs can be started: in RAM, most likely; or *otherwise*."""
    from incamera.guard.guard import Guard
    from incamera.runtime.launcher import require_launcher

    home = next((place.path for place in facts.places if place.writable and place.executable), otherwise)
    return Guard(require_launcher(architecture), home)


def find_forms(context: Context, session: Session, facts: DeviceFacts, guard: Guard) -> frozenset[Form]:
    """Return the forms that a bundle can run from on the device: tried there, once between two starts."""
    forms = {Form.tree}
    if not facts.links_roots:
        return frozenset(forms)
    if {"tar", "gzip"} <= set(facts.tools):
        forms.add(Form.archive)
    if tried_images(context, session, facts, guard):
        forms.add(Form.squashfs)
    return frozenset(forms)


def tried_images(context: Context, session: Session, facts: DeviceFacts, guard: Guard) -> tuple[str, ...]:
    """Return the kinds of images that the device mounts: `squashfs zstd`, …"""
    from incamera.guard.capabilities import ensure_images_tried
    from incamera.guard.guard import ensure_guard

    path = ensure_guard(session, guard)
    return ensure_images_tried(session, facts, path, cache=_cache(context, session, "trials"))


def measure_places(context: Context, session: Session, facts: DeviceFacts, guard: Guard) -> dict[str, Speed]:
    """Return the speeds of the device's places by their paths, measured once between two starts."""
    from incamera.guard.capabilities import ensure_speed
    from incamera.guard.guard import ensure_guard

    path, cache = ensure_guard(session, guard), _cache(context, session, "trials")
    return {place.path: ensure_speed(session, facts, place, path, cache=cache) for place in facts.places}


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
    from incamera.transport.ssh import connect

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
