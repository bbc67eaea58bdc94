"""Whom a camera refuses for a while after too many wrong passwords (`System.PreventDoSAttack`)."""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

GROUP = "root.System.PreventDoSAttack"
# More than any client tries in an interval: what is above is forgotten, the oldest first.
_MOST_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """How many wrong passwords in how many seconds are too many: for one *page*, and for all pages of the *site*."""

    page: tuple[int, float]
    site: tuple[int, float]
    blocked_seconds: float

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Limits | None:
        """Return the limits that a camera's *parameters* set; None when they are switched off."""
        if parameters[f"{GROUP}.ActivatePasswordThrottling"].lower() != "on":
            return None
        page, site = (
            (int(parameters[f"{GROUP}.DoS{name}Count"]), float(parameters[f"{GROUP}.DoS{name}Interval"]))
            for name in ("Page", "Site")
        )
        return cls(page, site, float(parameters[f"{GROUP}.DoSBlockingPeriod"]))


class Throttle:
    """The clients that have given wrong passwords, and those that are blocked. *now* is a clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures: dict[tuple[str, str | None], deque[float]] = {}
        self._blocked: dict[str, float] = {}

    def fail(self, address: str, page: str, limits: Limits) -> bool:
        """Note a wrong password, and return whether the client at *address* is blocked from now on."""
        if address in self._blocked:
            return False
        for key, (count, seconds) in (((address, page), limits.page), ((address, None), limits.site)):
            times = self._failures.pop(key, None) or deque()
            times.append(self._now())
            while times[0] <= times[-1] - seconds or len(times) > count:
                times.popleft()
            self._failures[key] = times
            if len(times) >= count:
                self._blocked[address] = self._now() + limits.blocked_seconds
        while len(self._failures) > _MOST_KEPT:
            del self._failures[next(iter(self._failures))]
        if address not in self._blocked:
            return False
        self._failures = {key: times for key, times in self._failures.items() if key[0] != address}
        return True

    def release(self) -> list[str]:
        """Return the clients whose time is over; they are not blocked any more."""
        now = self._now()
        found = [address for address, end in self._blocked.items() if end <= now]
        for address in found:
            del self._blocked[address]
        return found

    @property
    def seconds_left(self) -> float | None:
        """In how many seconds the next client is released; None when none is blocked."""
        return max(0.0, min(self._blocked.values()) - self._now()) if self._blocked else None


def parse_line(line: str) -> tuple[str, str] | None:
    """Return the address and the page of a line of Apache's log of wrong passwords; None for one that is damaged."""
    address, _, page = line.rstrip("\n").partition(" ")
    try:
        return str(ipaddress.ip_address(address)), page
    except ValueError:
        return None
