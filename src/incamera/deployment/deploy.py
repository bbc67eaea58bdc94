"""Bring a bundle to a device: only what it lacks, into a new folder, checked there, then switched over at once.

The device's side of this is `incamera-guard receive`, a static program that is brought there first. It holds a lock,
takes what is unchanged from the bundles that lie there, has `tar` unpack the rest, checks every file's digest and
renames the folder. Whatever happens before that leaves only a `.partial` folder, from which the next deploy goes on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import UsageError
from incamera.guard.program import FOLDER, Guard, bring_guard
from incamera.guard.upload import OnWait, Progress, Receiver, Way
from incamera.guard.verbs import Adoption, adopt
from incamera.targets.form import Form

if TYPE_CHECKING:
    from incamera.guard.sync import Shipment
    from incamera.transport.protocols import Transport
    from incamera.transport.session import Session

# How often, a second apart, a device is asked whether it sees what was written into a folder that it has mounted.
LOOKS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployResult:
    """`destination` is the folder on the device in which the bundle now stands, `root` the one it runs from.

    They differ where the runtime is an image, mounted or unpacked: `root` then is whole, `destination` has the app.
    """

    destination: str
    root: str
    form: Form
    files_sent: int
    bytes_sent: int
    files_unchanged: int
    seconds: float


def app_folder(place: str, app: str) -> str:
    """Return where the bundles of *app* stand in *place* (`/tmp`, say)."""
    return f"{place}/{FOLDER}/{app}"


def deploy(
    session: Session,
    shipment: Shipment,
    guard: Guard,
    *,
    way: Way | None = None,
    progress: Progress | None = None,
    on_wait: OnWait | None = None,
) -> DeployResult:
    """Make *shipment* stand, whole, in a place of the device (the guard's, unless *way* says more), `current` its name.

    Raises NoRoom, NotSeen, CannotActivate, DeviceError, ConnectionLost; what ran before is harmed by none of them.
    """
    if "/" in shipment.app or shipment.app.startswith(".") or not shipment.app:
        raise UsageError(f'"{shipment.app}" is no name for an app')
    way = way or Way(place=guard.place)
    started = time.monotonic()
    receiver = Receiver(way.through or session, guard, way, progress, on_wait)
    if way.through is None:
        root = receiver.send(shipment, activate=True)
    else:
        receiver.send(shipment, activate=False)
        root = session.call(_adopt(session.transport, shipment, guard, way, receiver))
    destination = f"{app_folder(way.place, shipment.app)}/{shipment.name}"
    return DeployResult(
        destination=destination,
        root=root or destination,
        form=shipment.image.form if shipment.image else Form.tree,
        files_sent=receiver.sent,
        bytes_sent=receiver.size,
        files_unchanged=shipment.files + _image_files(shipment) - receiver.sent,
        seconds=time.monotonic() - started,
    )


def _image_files(shipment: Shipment) -> int:
    image = shipment.image
    if image is None:
        return 0
    return sum(1 for entry in image.entries if not entry.link) or 1


async def _adopt(transport: Transport, shipment: Shipment, guard: Guard, way: Way, receiver: Receiver) -> str:
    """Have the device adopt what was written into the folder behind its back. Returns where the bundle runs from."""
    adoption = Adoption(
        place=way.place,
        app=shipment.app,
        bundle=shipment.name,
        previous=receiver.previous,
        activate=shipment.image is not None,
        anew=receiver.mended,
    )
    return await adopt(transport, await bring_guard(transport, guard), adoption, looks=LOOKS)
