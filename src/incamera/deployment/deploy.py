"""Deploy a bundle: send the files that the device lacks into a new folder, check them there, and activate the bundle.

On the device, `incamera-guard receive` does the work, a static program that is uploaded first. It holds a lock, links
unchanged files from the bundles that are there, unpacks the others with `tar`, checks the digest of every file and
renames the folder. A deploy that breaks before the rename leaves a `.partial` folder, which the next deploy continues.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import UsageError
from incamera.guard.places import FOLDER
from incamera.guard.program import Guard, bring_guard
from incamera.guard.upload import Observer, Route, Upload
from incamera.guard.verbs import Adoption, adopt
from incamera.targets.form import Form

if TYPE_CHECKING:
    from incamera.guard.sync import Shipment
    from incamera.transport.protocols import Transport
    from incamera.transport.session import Session

# How often, a second apart, a device checks whether it sees the files that were written into its mounted folder.
LOOKS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployResult:
    """What a deploy did. `destination` is the bundle's folder on the device, `root` the folder that it runs from.

    They differ when the runtime is an image, mounted or unpacked: `root` then has runtime and app, `destination` only
    the app. `files_sent` and `bytes_sent` (before compression) count what the device lacked.
    """

    destination: str
    root: str
    form: Form
    files_sent: int
    bytes_sent: int
    files_unchanged: int
    seconds: float


def app_folder(place: str, app: str, *, own_folder: str = FOLDER) -> str:
    """Return the folder that holds the bundles of *app* in *place*, `/tmp` for example."""
    return f"{place}/{own_folder}/{app}"


def deploy(
    session: Session,
    shipment: Shipment,
    guard: Guard,
    *,
    route: Route | None = None,
    observer: Observer | None = None,
) -> DeployResult:
    """Send *shipment* to a place of the device and make it the app's `current` bundle.

    The place is the guard's, unless *route* names another.
    Raises NoRoom, NotSeen, CannotActivate, DeviceError, ConnectionLost; the earlier bundle then stays active.
    """
    if "/" in shipment.app or shipment.app.startswith(".") or not shipment.app:
        raise UsageError(f'"{shipment.app}" cannot be the name of an app: it is the name of a folder in the camera')
    route = route or Route(place=guard.place, own_folder=guard.folder)
    started = time.monotonic()
    upload = Upload(route.through or session, guard, route, observer or Observer())
    if route.through is None:
        root = upload.send(shipment, activate=True)
    else:
        upload.send(shipment, activate=False)
        root = session.call(_adopt(session.transport, shipment, guard, route, upload))
    destination = f"{app_folder(route.place, shipment.app, own_folder=route.own_folder)}/{shipment.name}"
    return DeployResult(
        destination=destination,
        root=root or destination,
        form=shipment.image.form if shipment.image else Form.tree,
        files_sent=upload.sent,
        bytes_sent=upload.size,
        files_unchanged=shipment.files + _image_files(shipment) - upload.sent,
        seconds=time.monotonic() - started,
    )


def _image_files(shipment: Shipment) -> int:
    image = shipment.image
    if image is None:
        return 0
    return sum(1 for entry in image.entries if not entry.link) or 1


async def _adopt(transport: Transport, shipment: Shipment, guard: Guard, route: Route, upload: Upload) -> str:
    """Have the device adopt a bundle that this computer wrote into the mounted folder. Returns where it runs from."""
    adoption = Adoption(
        place=route.place,
        folder=route.own_folder,
        app=shipment.app,
        bundle=shipment.name,
        previous=upload.previous,
        activate=shipment.image is not None,
        remake=upload.repaired,
    )
    return await adopt(transport, await bring_guard(transport, guard), adoption, looks=LOOKS)
