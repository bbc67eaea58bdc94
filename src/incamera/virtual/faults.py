"""What can go wrong in a virtual camera: the stand-ins of its libraries read what is set from files of one folder."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from incamera.errors import UsageError
from incamera.names import did_you_mean

FAULTS_FOLDER = "/run/incamera-faults"
CARD = "SD_DISK"
STORAGE_FOLDER = "/var/spool/storage"
PULLED = "storage-pulled"
KILLED = "service-killed"

_NUMBER = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault. *values*: what it can be set to; the first is taken without one. *once*: it happens, and is over."""

    name: str
    about: str
    values: Sequence[int] = ()
    once: bool = False


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("video-restart", "the video service restarts", once=True),
        Fault("video-down", "the video service does not run"),
        Fault("inference-restart", "the inference service restarts", once=True),
        Fault("inference-down", "the inference service does not run"),
        Fault("messages-restart", "the service for messages restarts", once=True),
        Fault("messages-down", "the service for messages does not run"),
        Fault(KILLED, "the process behind all camera libraries is killed, and starts anew", once=True),
        Fault("dropped-frames", "after each frame, so many are lost", values=range(1, 1001)),
        Fault("rotation", "the camera hangs turned by so many degrees", values=(180, 0, 90, 270)),
        Fault("no-memory", "there is no memory for another stream or model"),
        Fault("device-busy", "other apps use all streams, and all connections for inference"),
        Fault("model-refused", "no device loads a model"),
        Fault("no-power", "no device has power for a model"),
        Fault(
            "slow-first-load", "a device's first load of a model takes so many milliseconds longer", range(1, 600_001)
        ),
        Fault("slow-jobs", "each job of a device takes so many milliseconds longer", range(1, 60_001)),
        Fault(PULLED, "the SD card is pulled, as by `virtual storage pulled`"),
    )
}


@dataclass(frozen=True, slots=True)
class SetFault:
    """A fault that is set, or was, to *value*; None for one without values."""

    fault: Fault
    value: int | None


class StorageState(StrEnum):
    """How the SD card is."""

    there = "there"
    exiting = "exiting"
    full = "full"
    readonly = "readonly"
    pulled = "pulled"


@dataclass(frozen=True, slots=True)
class StorageFacts:
    """A storage of the camera; sizes in kilobytes, 0 if it is pulled."""

    name: str
    state: StorageState
    size: int
    free: int


def new_number() -> int:
    """Return a number that was not there before: a service that reads it has restarted."""
    return secrets.randbelow(2**31) + 1


def parse_storages(text: str) -> list[StorageFacts]:
    """Return the storages in lines `NAME STATE SIZE FREE`."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 4 and words[1] in list(StorageState) and all(map(_NUMBER.fullmatch, words[2:])):
            found.append(StorageFacts(words[0], StorageState(words[1]), int(words[2]), int(words[3])))
    return found


def find_fault(name: str) -> Fault:
    """Return the fault *name*. Raises UsageError."""
    if name not in FAULTS:
        hint = did_you_mean(name, FAULTS) or "`incamera virtual fault list` shows them"
        raise UsageError(f'there is no fault "{name}"', hint=hint)
    return FAULTS[name]


def parse_fault(word: str) -> SetFault:
    """Return what `FAULT` or `FAULT=VALUE` sets. Raises UsageError for what cannot be set."""
    name, equals, text = word.partition("=")
    fault = find_fault(name)
    if not fault.values:
        if equals:
            raise UsageError(f"the fault {name} has no value", hint=f"leave out ={text}")
        return SetFault(fault, None)
    value = int(text) if _NUMBER.fullmatch(text) else None
    if equals and value not in fault.values:
        numbers = sorted(fault.values)
        hint = f"from {numbers[0]} to {numbers[-1]}" if len(numbers) > 9 else ", ".join(map(str, numbers))
        raise UsageError(f'the fault {name} cannot be "{text}"', hint=f"it can be {hint}")
    return SetFault(fault, fault.values[0] if value is None else value)


def parse_set_faults(text: str) -> list[SetFault]:
    """Return the faults in lines `NAME VALUE`, in the order of FAULTS. Those that happen once are left out."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        fault = FAULTS.get(name)
        if fault is not None and not fault.once:
            found[name] = SetFault(fault, int(value) if fault.values and _NUMBER.fullmatch(value) else None)
    return [found[name] for name in FAULTS if name in found]
