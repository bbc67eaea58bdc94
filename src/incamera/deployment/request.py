"""The options of a deploy."""

from __future__ import annotations

import getpass
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.targets.form import Form, Kind
    from incamera.transport.device import Device


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployRequest:
    """The user's options for a deploy. None: incamera chooses.

    `device` is a name, or a device that was chosen before. `target` is a target's name. With `audit`, a bundle that
    cannot run on the device is refused. `take_over` ends a deploy of another user instead of waiting for it. With
    `verify`, every file that is on the device already is read and, if it is damaged, replaced.
    """

    device: str | Device | None = None
    target: str | None = None
    audit: bool = True
    place: Kind | None = None
    form: Form | None = None
    take_over: bool = False
    verify: bool = False


def local_owner() -> str:
    """Return user and computer as other users of the same device see them, `anna@desk` for example."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
