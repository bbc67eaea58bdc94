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
from incamera.runtime.launcher.protocol import Verb
from incamera.transport.protocols import Program

if TYPE_CHECKING:
    from incamera.device.facts import DeviceFacts, Place
    from incamera.transport.session import Session

_MEASURED_BYTES = 4 << 20
_TRIAL_SECONDS = 60.0
# What may be otherwise in a minute (mounted.c) is not remembered.
_PASSING = "cannot write to /tmp"


@dataclass(frozen=True, slots=True)
class Speed:
    """In bytes a second; None where it was not or could not be measured."""

    write: int | None = None
    read: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trials:
    """What was found since the device has started. `images` is None until it has been tried what can be mounted."""

    boot: str
    images: tuple[str, ...] | None = None
    speeds: Mapping[str, Speed] = field(default_factory=dict)


def ensure_images_tried(session: Session, facts: DeviceFacts, guard: str, *, cache: Path) -> tuple[str, ...]:
    """Return what the guard at *guard* could mount: lines as `squashfs zstd`; none where nothing could be."""
    known = load_trials(facts, cache)
    if known.images is None:
        result = session.run(Program((guard, Verb.try_images)), timeout=_TRIAL_SECONDS)
        lines = result.text.splitlines()
        known = dataclasses.replace(known, images=tuple(line for line in lines if line.startswith("squashfs ")))
        if result.exit_code == 0 and not any(_PASSING in line for line in lines):
            _save(cache, known)
    return known.images or ()


def ensure_speed(session: Session, facts: DeviceFacts, place: Place, guard: str, *, cache: Path) -> Speed:
    """Return how fast *place* is written and, not from memory, read."""
    known = load_trials(facts, cache)
    key = f"{place.path} {place.filesystem}"
    if key not in known.speeds:
        room = place.free is None or place.free > 4 * _MEASURED_BYTES
        if not (room and place.writable):
            return Speed()
        program = Program((guard, Verb.measure, place.path, str(_MEASURED_BYTES)))
        result = session.run(program, timeout=_TRIAL_SECONDS)
        numbers = dict(line.split(" ", 1) for line in result.text.splitlines() if " " in line)
        speed = Speed(_number(numbers.get("write")), _number(numbers.get("read")))
        known = dataclasses.replace(known, speeds={**known.speeds, key: speed})
        if result.exit_code == 0:
            _save(cache, known)
    return known.speeds[key]


def load_trials(facts: DeviceFacts, cache: Path) -> Trials:
    """Return what is known already, of this start of the device."""
    try:
        document = json.loads(cache.read_bytes())
        if document["boot"] != facts.boot:
            return Trials(boot=facts.boot)
        images = document["images"]
        return Trials(
            boot=facts.boot,
            images=None if images is None else tuple(str(line) for line in images),
            speeds={str(key): Speed(**speed) for key, speed in document["speeds"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Trials(boot=facts.boot)


def _save(cache: Path, trials: Trials) -> None:
    write_cache(cache, json.dumps(dataclasses.asdict(trials)).encode())


def _number(text: str | None) -> int | None:
    return int(text) * 1000 if text is not None and text.isdigit() else None
