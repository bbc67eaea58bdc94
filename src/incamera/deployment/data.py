"""The folders on a device in which an app works and keeps its data: where they are, and whether there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.deployment.plan import spare_memory
from incamera.errors import DeviceUnsuitable
from incamera.guard.transfer import look
from incamera.runtime.launcher.protocol import DATA_FOLDERS, SPACE_MARGIN, WORK_FOLDERS
from incamera.targets.form import PLACES, Kind
from incamera.transport.protocols import FileMissing
from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.connect.connection import Connection
    from incamera.context import Reporter
    from incamera.device.facts import DeviceFacts, Place
    from incamera.project.data_folder import DataPlace
    from incamera.project.settings import Project

_REMEDIES = {
    Kind.sdcard: "insert a card and mount it on the camera, or choose another place with data in [tool.incamera]",
    Kind.share: "mount one with `incamera share attach`, or choose another place with data in [tool.incamera]",
}
_OTHER = "choose another place with data in [tool.incamera]"


def data_root(place: Place, app: str) -> str:
    """Return the data folder of *app* in *place*."""
    return f"{place.path}/{place.folder}/{DATA_FOLDERS}/{app}"


def work_root(place: Place, app: str) -> str:
    """Return the folder in *place* that has the working folder of *app*, and a link to the files that it shows."""
    return f"{place.path}/{place.folder}/{WORK_FOLDERS}/{app}"


def plan_work(facts: DeviceFacts, app: str) -> str:
    """Return the folder for the working folder of *app*: in RAM, so that no deploy changes it. Empty: there is none."""
    usable = (place for place in facts.places if place.ram and place.writable and place.folder)
    place = next(usable, None)
    return work_root(place, app) if place else ""


def find_data_place(facts: DeviceFacts, wanted: DataPlace | None, *, device: str) -> Place | None:
    """Return the place of the data folder. None where nothing is wanted, and no place can be written.

    Raises DeviceUnsuitable when the place that is wanted cannot be used.
    """
    if wanted is None:
        usable = (place for place in facts.places if place.writable and place.folder and place.kind in PLACES)
        return next(usable, None)
    place = facts.find_place(wanted.kind)
    problem = None
    if place is None:
        problem = "is not mounted" if wanted.kind in _REMEDIES else "does not exist"
    elif "silent" in place.flags:
        problem = "does not answer"
    elif "ro" in place.flags:
        problem = "is mounted read-only"
    elif place.renamed_by_all:
        problem = f"lets everybody rename what is in it (as root: chmod +t {place.path})"
    elif not place.folder:
        problem = f"has a folder incamera that belongs to {place.owner}"
    elif not place.writable:
        problem = "cannot be written"
    if problem is not None:
        what = {Kind.sdcard: "the SD card", Kind.share: "the network share", Kind.package: "flash"}.get(
            wanted.kind, str(wanted.kind)
        )
        raise DeviceUnsuitable(
            f"the app keeps its data on {what}, which {problem} on {device}", hint=_REMEDIES.get(wanted.kind, _OTHER)
        )
    return place


def plan_data(reporter: Reporter, connection: Connection, project: Project) -> str:
    """Return the path of the data folder of *project*'s app. The guard makes it when the app starts.

    Warns when there is less room than the app may use. Raises DeviceUnsuitable when there is none.
    """
    facts, device = connection.facts, str(connection.device)
    place = find_data_place(facts, project.data, device=device)
    if place is None:
        return ""
    root = data_root(place, project.name)
    if project.data is None:
        return root
    free = place.free if place.free is not None else None
    if place.ram:
        free = min(spare_memory(facts), free if free is not None else spare_memory(facts))
    if free is not None and free < SPACE_MARGIN:
        raise DeviceUnsuitable(
            f"{place.path} on {device} has no room for the app's data: {format_bytes(max(0, free))} free",
            hint=f"remove something there (`incamera rm`, `incamera device clean`), or {_OTHER}",
        )
    limit = project.data.limit
    if limit is None:
        return root
    used = _measure(connection, root)
    if used > limit:
        raise DeviceUnsuitable(
            f"the app's data on {device} takes {format_bytes(used)}; tool.incamera.data allows {format_bytes(limit)}",
            hint="remove some of it with `incamera rm`, or raise the limit",
        )
    if free is not None and free < limit - used:
        reporter.warn(
            f"{place.path} on {device} has {format_bytes(free)} free, and the app may still write "
            f"{format_bytes(limit - used)}"
        )
    return root


def _measure(connection: Connection, root: str) -> int:
    """Return how many bytes the files in *root* take. There may be no such folder yet."""
    try:
        return sum(entry.stored for entry in look(connection.session, connection.ensure_guard(), root, "", deep=True))
    except FileMissing:
        return 0
