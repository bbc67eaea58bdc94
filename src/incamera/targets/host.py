"""The developer's computer: which tools run on it. Nothing of it may get into a bundle."""

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
    """This computer's architecture.

    *machine* is as `uname -m` prints it, *debian* and *gnu* (a triplet) as Debian names it; *loader* is a file name.
    """

    machine: str
    debian: str
    gnu: str
    loader: str


def require_host() -> Host:
    """Return what this computer is. Raises InCameraError where Debian's programs cannot run."""
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if sys.platform != "linux" or machine not in _DEBIAN:
        raise InCameraError(
            f"the tools that incamera fetches need Linux on x86-64 or arm64; this is {sys.platform} on {machine}",
            hint="use a computer with Linux, a virtual machine, or WSL",
        )
    return Host(machine, *_DEBIAN[machine])
