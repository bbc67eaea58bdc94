"""What it means when the guard fails."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from incamera.errors import ConnectionLost, DeviceError, DeviceUnsuitable
from incamera.runtime.launcher.protocol import GUARD, ExitCode
from incamera_agent.wire.protocol import signal_exit_code

if TYPE_CHECKING:
    from incamera.transport.protocols import Transport

# It was killed by SIGTERM, or by a signal that the SSH server did not name.
_ENDED = (signal_exit_code(signal.SIGTERM), 255)


class NoRoom(DeviceUnsuitable):
    """The place turned out to be too small; another may do."""


class NotSeen(DeviceError):
    """What was written into the host's folder does not appear on the device."""


class CannotActivate(DeviceUnsuitable):
    """The bundle is on the device, which cannot start from that form."""


def explain(transport: Transport, code: int, message: str, place: str) -> DeviceError:
    """Return the error for a guard that ended with the exit code *code* and *message* on its standard error."""
    device, message = transport.device, message.removeprefix(f"{GUARD}: ")
    match code:
        case ExitCode.no_space:
            return _no_room(transport, place)
        case ExitCode.damaged if "No space" not in message:
            return DeviceError(
                f"the bundle did not come whole to {device}: {message.splitlines()[-1] if message else ''}",
                hint="deploy again: only what is missing is sent; what ran before is untouched",
            )
        case ExitCode.busy:
            return DeviceError(
                f"another deploy of this app to {device} is still under way",
                hint="wait for it, then try again; --take-over ends it",
            )
        case ExitCode.taken:
            hint = "have it removed there: what is in it would be run, or written to, as if it were yours"
            return DeviceError(f"{message} on {device}", hint=hint)
        case ExitCode.read_only:
            return DeviceUnsuitable(
                f"{place} on {device} is read-only",
                hint="an SD card may be locked or failing; --to takes another place; what ran before is untouched",
            )
        case ExitCode.unreachable:
            return DeviceError(
                f"{place} on {device} does not answer: {message}",
                hint="has the card been pulled, or is the share's server away? what ran before is untouched",
            )
        case ExitCode.interrupted:
            return ConnectionLost(
                f"the connection to {device} was lost", hint="deploy again: it goes on where it stopped"
            )
        case ExitCode.image_damaged:
            hint = "`incamera deploy --verify` reads all that is there, and mends it"
            return DeviceError(f"the bundle's image on {device} is damaged: {message}", hint=hint)
        case ExitCode.no_memory | ExitCode.cannot_mount:
            return CannotActivate(
                f"the bundle cannot run from {place} on {device}: {message}", hint="--to takes another place"
            )
        case ExitCode.locked:
            hint = "was a card pulled, or is a share's server away? what waits for it may be ended by a restart alone"
            return DeviceError(f"the bundle cannot be activated on {device}: {message}", hint=hint)
        case ExitCode.cannot_execute | ExitCode.no_guard:
            return DeviceUnsuitable(
                f"programs in {place} on {device} cannot be executed{f': {message}' if message else ''}",
                hint="it is mounted noexec, or the device has another architecture: `incamera device info` tells",
            )
    if code in _ENDED:
        return DeviceError(f"the deploy to {device} was ended there", hint="somebody may have said --take-over")
    if "No space" in message:  # from tar, or the shell
        return _no_room(transport, place)
    return DeviceError(f"cannot deploy to {device}: {message or f'exit code {code}'}")


def _no_room(transport: Transport, place: str) -> NoRoom:
    return NoRoom(
        f"{transport.device} has no space left in {place}",
        hint="remove something there, or choose another place; what ran before is untouched",
    )
