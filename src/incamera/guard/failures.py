"""The errors for what a guard that failed says."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from incamera.errors import ConnectionLost, DeviceError, DeviceUnsuitable
from incamera.runtime.launcher.protocol import GUARD, ExitCode
from incamera_agent.wire.protocol import signal_exit_code

if TYPE_CHECKING:
    from incamera.transport.device import Device
    from incamera.transport.protocols import Transport

# It was killed by SIGTERM, or by a signal that the SSH server did not name.
_ENDED = (signal_exit_code(signal.SIGTERM), 255)


class NoRoom(DeviceUnsuitable):
    """The place has too little space. Another place may have enough."""


class NotSeen(DeviceError):
    """The device does not see what was written into a folder of this computer that it should have mounted."""


class CannotActivate(DeviceUnsuitable):
    """The bundle is on the device, but cannot run there in that form."""


class Taken(DeviceError):
    """Another user of the device has taken a folder, or could take it."""


def explain(transport: Transport, code: int, message: str, place: str) -> DeviceError:
    """Return the error for a guard that ended with the exit code *code* and *message* on its standard error."""
    device, message = transport.device, message.removeprefix(f"{GUARD}: ")
    match code:
        case ExitCode.no_space:
            return _no_room(transport, place)
        case ExitCode.damaged if "No space" not in message:
            return DeviceError(
                f"the bundle did not arrive complete on {device}: {message.splitlines()[-1] if message else ''}",
                hint="deploy again: only what is missing is sent. What ran before is untouched. If it happens again, "
                "`incamera store verify` finds damaged files on this computer",
            )
        case ExitCode.busy:
            return DeviceError(
                f"another deploy of this app to {device} is still under way",
                hint="wait and deploy again, or end the other one with --take-over",
            )
        case ExitCode.taken:
            return _taken(device, message)
        case ExitCode.read_only:
            return DeviceUnsuitable(
                f"{place} on {device} is read-only",
                hint="is the SD card locked, or failing? --to chooses another place. What ran before is untouched",
            )
        case ExitCode.unreachable:
            return DeviceError(
                f"{place} on {device} does not answer: {message}",
                hint="was the card pulled, or is the share's server away? What ran before is untouched",
            )
        case ExitCode.interrupted:
            return ConnectionLost(
                f"the connection to {device} was lost", hint="deploy again: it resumes where it stopped"
            )
        case ExitCode.image_damaged:
            hint = "`incamera deploy --verify` reads all files there, and sends the damaged ones again"
            return DeviceError(f"the bundle's image on {device} is damaged: {message}", hint=hint)
        case ExitCode.no_memory if "No space left" in message:
            return full_tmp(device)
        case ExitCode.no_memory | ExitCode.cannot_mount:
            return CannotActivate(
                f"the bundle cannot run from {place} on {device}: {message}", hint="--to chooses another place"
            )
        case ExitCode.locked:
            hint = "was a card pulled, or is a share's server away? Then only a restart of the device ends that process"
            return DeviceError(f"the bundle cannot be activated on {device}: {message}", hint=hint)
        case ExitCode.cannot_execute | ExitCode.no_guard:
            return DeviceUnsuitable(
                f"programs in {place} on {device} cannot be executed{f': {message}' if message else ''}",
                hint="is it mounted noexec, or does the architecture differ? `incamera device info` shows both",
            )
    if code in _ENDED:
        return DeviceError(
            f"the deploy to {device} was ended there", hint="another deploy may have ended it with --take-over"
        )
    if "No space" in message:  # from tar, or the shell
        return _no_room(transport, place)
    return DeviceError(f"cannot deploy to {device}: {message or f'exit code {code}'}")


def _taken(device: Device, message: str) -> Taken:
    """Return the error for a path that another user has taken, or to which others can write."""
    text, _, owner = message.partition(": owner ")
    path = text.split(" ", 4)[-1]
    if text.startswith("everybody can rename"):
        path = path.removeprefix("in ")
        hint = f"so another user could put programs there in place of yours. As root, type: chmod +t {path}"
        return Taken(f"{text} on {device}", hint=hint)
    if not owner:
        hint = f"look at it there. If it is incamera's, remove it (rm -r {path}), or type: chmod go-w {path}"
        return Taken(f"{text} on {device}", hint=hint)
    hint = f"it belongs to {owner}, and incamera does not use what others made. As {owner} or root, type: rm -r {path}"
    return Taken(f"{text} on {device}", hint=hint)


def full_tmp(device: Device | str) -> DeviceUnsuitable:
    """Return the error for a device in whose /tmp nothing can be written."""
    return DeviceUnsuitable(
        f"{device} has no space left in /tmp, where each run needs some",
        hint="find there what takes it (du -k /tmp), and remove that. It is in RAM: a restart empties it",
    )


def _no_room(transport: Transport, place: str) -> NoRoom:
    return NoRoom(
        f"{transport.device} has no space left in {place}",
        hint="remove something there, or choose another place with --to. What ran before is untouched",
    )
