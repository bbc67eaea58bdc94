"""What the user asks of a deploy."""

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
    """Where the project's bundle shall run, and how it gets there. None: whatever is best.

    `device` is a name, or a device that was chosen before; `target` a target's name. `place` and `form` overrule what
    we would choose. With `audit` a bundle that cannot run there is refused. `take_over` ends another's deploy that is
    under way. With `verify` every file that is on the device already is read, and repaired.
    """

    device: str | Device | None = None
    target: str | None = None
    audit: bool = True
    place: Kind | None = None
    form: Form | None = None
    take_over: bool = False
    verify: bool = False


def local_owner() -> str:
    """Return what others who use the same device are told of us: user and computer."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
