"""Where on the device a bundle shall stand, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import DeviceUnsuitable
from incamera.targets.architecture import Architecture

if TYPE_CHECKING:
    from incamera.device.facts import DeviceFacts, Place

MEGABYTE = 1024 * 1024
# What the camera itself is left of its memory when a bundle stands in RAM: a quarter, but so much at least.
_RESERVED_SHARE = 4
_RESERVED_LEAST = 64 * MEGABYTE
# So that a disk is never filled to its last block.
_MARGIN = MEGABYTE

_KINDS = {
    "/usr/local/packages": "flash, where apps live",
    "/var/spool/storage/SD_DISK": "the SD card",
    "/var/spool/storage/NetworkShare": "the network share",
}


@dataclass(frozen=True, slots=True)
class Choice:
    place: Place
    why: str


def check_architecture(facts: DeviceFacts, wanted: Architecture, *, device: str) -> None:
    """Raises DeviceUnsuitable when the device cannot run what was built for *wanted*."""
    actual = Architecture.from_machine(facts.architecture)
    if actual is wanted:
        return
    if actual is None:
        raise DeviceUnsuitable(
            f"{device} is a {facts.architecture} machine, the bundle is for {wanted}",
            hint="cameras are " + " or ".join(Architecture),
        )
    raise DeviceUnsuitable(
        f"{device} is {actual}, the bundle is for {wanted}",
        hint=f'build for it: --target {actual}, or "{actual}" among [tool.incamera] targets',
    )


def choose_place(facts: DeviceFacts, *, app: str, size: int, device: str, preferred: str | None = None) -> Choice:
    """Choose the place for the bundle of *app*, of *size* bytes. Raises DeviceUnsuitable, with numbers.

    Where the app stands already only what changed comes, beside what is there, so that place is kept while it can be.
    Else RAM goes first, which spares the flash and is fast, if it leaves the camera enough; then flash, SD card, share.
    *preferred* is the user's own choice, and no other is taken then.
    """
    reasons = []
    places = [place for place in facts.places if preferred is None or place.path == preferred.rstrip("/")]
    if not places:
        known = ", ".join(place.path for place in facts.places)
        raise DeviceUnsuitable(f"{device} has no {preferred}", hint=f"it has {known}")
    for place in sorted(places, key=lambda place: app not in place.apps):
        here = app in place.apps
        problem = _find_problem(facts, place, 0 if here else size)
        if problem is None:
            return Choice(place, "it stands there already" if here else _praise(place))
        reasons.append(f"{place.path} {problem}")
    detail = "; ".join(reasons)
    if not any(place.writable and place.executable for place in places):
        raise DeviceUnsuitable(
            f"no place on {device} lets programs run: {detail}",
            hint="as root, AXIS OS up to 11 can be told to: mount -o remount,exec PLACE; "
            "on later versions only an installed .eap can run",
        )
    raise DeviceUnsuitable(
        f"{device} has no place for {_megabytes(size)}: {detail}",
        hint="remove what is not needed there, insert an SD card, or make the bundle smaller",
    )


def _find_problem(facts: DeviceFacts, place: Place, needed: int) -> str | None:
    if not place.writable:
        return "cannot be written"
    if not place.executable:
        return f"is mounted noexec ({place.filesystem})"
    if place.free is not None and place.free < needed + _MARGIN:
        return f"has {_megabytes(place.free)} free"
    reserved = max(_RESERVED_LEAST, facts.memory // _RESERVED_SHARE)
    if place.ram and needed and facts.memory_available - needed < reserved:
        return f"is RAM, of which {_megabytes(facts.memory_available)} is free and {_megabytes(reserved)} shall stay so"
    return None


def _praise(place: Place) -> str:
    if place.ram:
        return "RAM: fast, and spares the flash; empty after a restart"
    return _KINDS.get(place.path, place.filesystem)


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.0f} MB" if size >= 10 * MEGABYTE else f"{size / MEGABYTE:.1f} MB"
