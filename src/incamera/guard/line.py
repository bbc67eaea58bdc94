"""The line to a device: how fast it is, and which packing fits it.

A fast line carries bytes faster than a camera unpacks them, and over a slow one each byte counts. How fast it is shows
only while something is sent. So one archive may be followed by another that is compressed in another way.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from incamera.guard.packing import Packing

# In bytes a second. A camera that is slow itself takes more than the first; a line that does not is worth packing with
# xz. This computer packs with gzip's level 6 faster than the second.
_XZ_BELOW = 400_000
_MORE_BELOW = 3_000_000
# The buffers on the way take megabytes at once, which says nothing about the line. They are full when sending was held
# up for so long. From then on, the line takes what leaves them.
_FULL_SECONDS = 0.1
# Over so many seconds the rate is measured, at the beginning over fewer, and over a few bytes at least.
_MEASURED_SECONDS = 2.0
_LEAST_SECONDS = 0.4
_LEAST_BYTES = 64 * 1024
# After so long it is clear whether a packing pays.
_TRIAL_SECONDS = 3.0
_TOLERANCE = 1.1
# Until the rate is known, this much is sent as small files in small groups.
FIRST_BYTES = 4 << 20


@dataclass(slots=True)
class Line:
    """What is known of the line to the device, and the packing that fits.

    *programs* are those of `gzip` and `xz` that the device can unpack. A line *is_local* if it seems to lead to a
    camera on this computer, where bytes cost nothing; it may be a tunnel to one elsewhere.

    A slower line gets a stronger packing. A weaker one follows only where the stronger one does not pay, and then for
    good. So there are a few changes at most.
    """

    programs: frozenset[str]
    is_local: bool = False
    current: Packing = Packing.none
    clock: Callable[[], float] = time.monotonic
    # The programs that the device has to unpack with.
    used: frozenset[str] = frozenset()
    # How long the line was waited for until the buffers on the way were full.
    _filling: float = 0.0
    _sent: int = 0
    # Of what was sent last, since then: bytes, the seconds in which the line was waited for, and all seconds.
    _parts: list[tuple[int, float, float]] = field(default_factory=list)
    _noted_at: float | None = None
    _given_up: set[Packing] = field(default_factory=set)
    # Whether gzip has paid on a line that seemed to be on this computer. So it is the line that is slow.
    _is_tunnel: bool = False
    # When the packing was changed, and the seconds that the one before would have taken for the same files since then,
    # at the rate that there was.
    _since: float = 0.0
    _otherwise: float = 0.0
    # When it was last looked whether the line is waited for, and for how long it has been since then.
    _looked_at: float = 0.0
    _blocked: float = 0.0
    _before: Packing = Packing.none
    _rate_before: float = 0.0

    def note_sent(self, size: int, seconds: float) -> None:
        """Note that *size* bytes were sent, and that the line was waited for so long."""
        now = self.clock()
        all_seconds = seconds if self._noted_at is None else max(seconds, now - self._noted_at)
        self._noted_at = now
        self._sent += size
        self._blocked += seconds
        if self._filling < _FULL_SECONDS:
            self._filling += seconds
            return
        self._parts.append((size, seconds, all_seconds))
        while sum(seconds for *_, seconds in self._parts[1:]) > _MEASURED_SECONDS:
            del self._parts[0]

    def note_packed(self, chunk: bytes) -> None:
        """Note what is packed, to know how long the packing before would have taken."""
        if self.current in (Packing.xz, Packing.more) and self._rate_before:
            if self._before is Packing.none:
                self._otherwise += len(chunk) / self._rate_before
            elif self.current is Packing.xz:  # the levels of gzip are unpacked alike
                self._otherwise += len(zlib.compress(chunk, 1)) / self._rate_before

    @property
    def rate(self) -> float | None:
        """In bytes a second; None where it is not known, since the line has hardly been waited for."""
        size, blocked, seconds = (sum(part[number] for part in self._parts) for number in range(3))
        if size < _LEAST_BYTES or seconds < _LEAST_SECONDS or blocked < seconds / 2:
            return None
        return size / seconds

    @property
    def is_new(self) -> bool:
        """Whether so little was sent that the rate may become known with the next files."""
        return self.rate is None and self._sent < FIRST_BYTES

    def choose(self) -> Packing:
        """Return how to pack what comes next."""
        is_slower = self._is_slower()
        if is_slower:
            self._given_up |= {self.current, Packing.xz}  # which takes both computers the longest
        elif self.current is Packing.more and self._before is Packing.none and self._is_tried():
            self._is_tunnel = True
        wanted = self._wanted()
        if wanted is not self.current:
            if not is_slower:  # else the next one is compared with the same
                self._before, self._rate_before = self.current, self.rate or self._rate_before
            self._parts.clear()
            self.begin()
        self.current = wanted
        self.used |= {wanted.program} - {""}
        return wanted

    def begin(self) -> None:
        """Note that what follows is packed in the way that was chosen last: all that came before has been sent."""
        self._since = self._looked_at = self.clock()
        self._blocked = self._otherwise = 0.0

    def _wanted(self) -> Packing:
        rate = self.rate or self._rate_before
        for packing, below in ((Packing.xz, _XZ_BELOW), (Packing.more, _MORE_BELOW)):
            may_be = packing is Packing.more or not self.is_local or self._is_tunnel
            if self._may_be(packing) and (packing is self.current or (may_be and 0 < rate < below)):
                return packing
        return Packing.none if self.is_local or not self._may_be(Packing.fast) else Packing.fast

    def _may_be(self, packing: Packing) -> bool:
        return packing.program in self.programs and packing not in self._given_up

    def _is_tried(self) -> bool:
        return self.clock() - self._since >= _TRIAL_SECONDS

    def _is_slower(self) -> bool:
        """Whether the packing has taken longer than the one before would have: a computer at either end is too slow."""
        if self.current not in (Packing.xz, Packing.more) or not self._is_tried():
            return False
        waits, interval = self._blocked, self.clock() - self._looked_at
        if interval >= _TRIAL_SECONDS:
            self._blocked, self._looked_at = 0.0, self.clock()
            if waits < interval / 4:
                return True
        return 0 < self._otherwise * _TOLERANCE < self.clock() - self._since
