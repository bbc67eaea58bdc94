"""What must be tried out on a device rather than asked: images that it mounts, and how fast its places are.

Trying takes seconds and, where it writes, wears out a flash a little: it is done once between two starts.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.disk import write_cache
from incamera.errors import ConnectionLost, DeviceError
from incamera.guard.verbs import measure, try_images

if TYPE_CHECKING:
    from incamera.device.facts import DeviceFacts, Place
    from incamera.transport.session import Session

_MEASURED_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Speed:
    """In bytes a second; None where it was not or could not be measured."""

    write: int | None = None
    read: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What was found since the device has started. `squashfs`: the compressions that it mounts; None: not tried yet."""

    boot: str
    squashfs: tuple[str, ...] | None = None
    speeds: Mapping[str, Speed] = field(default_factory=dict)


def ensure_images_tried(session: Session, facts: DeviceFacts, guard: str, *, cache: Path) -> tuple[str, ...]:
    """Return which images the guard at *guard* could mount: the compressions of squashfs; none where it mounts none."""
    known = load_capabilities(facts, cache)
    if known.squashfs is not None:
        return known.squashfs
    try:
        tried = try_images(session, guard)
    except ConnectionLost:
        raise
    except DeviceError:
        return ()
    if not tried.passing:
        _save(cache, dataclasses.replace(known, squashfs=tried.squashfs))
    return tried.squashfs


def ensure_speed(session: Session, facts: DeviceFacts, place: Place, guard: str, *, cache: Path) -> Speed:
    """Return how fast *place* is written and, not from memory, read."""
    known = load_capabilities(facts, cache)
    key = f"{place.path} {place.filesystem}"
    if key in known.speeds:
        return known.speeds[key]
    has_room = place.free is None or place.free > 4 * _MEASURED_BYTES
    if not (has_room and place.writable):
        return Speed()
    try:
        measured = measure(session, guard, place.path, _MEASURED_BYTES)
    except ConnectionLost:
        raise
    except DeviceError:
        return Speed()
    speed = Speed(measured.write, measured.read)
    _save(cache, dataclasses.replace(known, speeds={**known.speeds, key: speed}))
    return speed


def load_capabilities(facts: DeviceFacts, cache: Path) -> Capabilities:
    """Return what is known already, of this start of the device."""
    try:
        document = json.loads(cache.read_bytes())
        if document["boot"] != facts.boot:
            return Capabilities(boot=facts.boot)
        squashfs = document["squashfs"]
        return Capabilities(
            boot=facts.boot,
            squashfs=None if squashfs is None else tuple(str(name) for name in squashfs),
            speeds={str(key): Speed(**speed) for key, speed in document["speeds"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Capabilities(boot=facts.boot)


def _save(cache: Path, capabilities: Capabilities) -> None:
    write_cache(cache, json.dumps(dataclasses.asdict(capabilities)).encode())
