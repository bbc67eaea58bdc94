"""The developer's computer, as far as tools must be chosen for it. Nothing of it may reach a bundle."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass

from incamera.errors import InCameraError

_DEBIAN = {
    "x86_64": ("amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "aarch64": ("arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}


@dataclass(frozen=True, slots=True)
class Host:
    """What Debian calls this computer's architecture, its multiarch triplet and its loader's file name."""

    machine: str
    debian: str
    gnu: str
    loader: str


def require_host() -> Host:
    """Return this computer's facts. Raises InCameraError where no Debian tools can run."""
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if sys.platform != "linux" or machine not in _DEBIAN:
        raise InCameraError(
            f"the tools that incamera fetches run on Linux x86-64 and arm64, not on {sys.platform} {machine}",
            hint="use a Linux machine, a virtual one, or WSL",
        )
    return Host(machine, *_DEBIAN[machine])
