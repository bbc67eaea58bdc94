"""device discover: which cameras there are in the local network, and which of them the user has added already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera import mdns
from incamera.errors import DeviceError, UsageError
from incamera.units import format_count
from incamera.workflows.devices import list_devices

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.mdns import Answer


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a camera says of itself in *answer*, and the names of the *devices* that have its address."""

    answer: Answer
    devices: tuple[str, ...]


def discover_cameras(context: Context, seconds: float, interfaces: Sequence[str] | None = None) -> list[Discovered]:
    """Return the cameras that answer within *seconds*. Raises UsageError, DeviceError."""
    names = mdns.list_interfaces()
    if unknown := [name for name in interfaces or () if name not in names]:
        raise UsageError(
            f'this computer has no network interface "{unknown[0]}"', hint=f"choose one of: {', '.join(names)}"
        )
    with context.reporter.step("discover") as step:
        try:
            answers = mdns.discover(seconds, interfaces)
        except OSError as error:
            raise DeviceError(
                f"cannot look for cameras: {error.strerror or error}", hint="is this computer connected to a network?"
            ) from error
        step.note(format_count(len(answers), "camera"))
    hosts: dict[str, list[str]] = {}
    for device, is_virtual in list_devices(context):
        if not is_virtual:
            hosts.setdefault(device.address.host.lower(), []).append(device.name)
    found = []
    for answer in answers:
        known = [name for host in (answer.address, answer.host.lower()) for name in hosts.get(host, ())]
        found.append(Discovered(answer, tuple(dict.fromkeys(known))))
    return found
