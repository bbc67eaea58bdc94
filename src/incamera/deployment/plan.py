"""Choose the place and the form of a bundle from facts about the device. Nothing here asks the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.device.facts import PLACES
from incamera.errors import DeviceUnsuitable
from incamera.guard.failures import full_tmp
from incamera.guard.places import FOLDER
from incamera.runtime.launcher.protocol import RAM_RESERVE, RAM_RESERVE_PART, SPACE_MARGIN
from incamera.targets.architecture import Architecture
from incamera.targets.form import Form, Kind
from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.deployment.request import DeployRequest
    from incamera.device.facts import DeviceFacts, Place

MEGABYTE = 1024 * 1024
# What a run needs of /tmp, wherever its bundle is: the number of its process, and links.
_LEAST_TMP = 64 * 1024
# An image is about two fifths of its tree. The device checks again when the true size is known.
_IMAGE_PART = 2

# On a share, each of a thousand files costs a round trip, an image only a few. In RAM and flash, files are as fast.
_FORMS = {
    Kind.sdcard: (Form.squashfs, Form.archive, Form.tree),
    Kind.share: (Form.squashfs, Form.archive, Form.tree),
}
_REASONS = {
    Kind.ram: "RAM: fast, and spares the flash; empty after a restart",
    Kind.package: "flash, where AXIS OS keeps apps",
    Kind.sdcard: "the SD card",
    Kind.share: "the network share",
    Kind.home: "the home folder: no other place fits",
}
_ABSENT = {
    Kind.ram: "no folder in RAM that this login can see",
    Kind.package: "no folder for packages",
    Kind.sdcard: "no SD card: nothing is mounted there",
    Kind.share: "no network share: nothing is mounted there",
}
_REMEDIES = {
    Kind.sdcard: "insert a card and mount it on the camera, or leave out --to",
    Kind.share: "mount one with `incamera share attach`, or leave out --to",
}


class FormsUnknown(Exception):
    """The plan depends on the forms that the device can run from. Try them there, and plan again with `forms`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployPlan:
    """Place and form of a bundle; `why` is for the user. `remount`: the place must be remounted with exec first."""

    place: Place
    form: Form
    why: str
    remount: bool = False


def check_architecture(facts: DeviceFacts, wanted: Architecture, *, device: str) -> None:
    """Raises DeviceUnsuitable when the device cannot run what was built for *wanted*."""
    actual = Architecture.from_machine(facts.architecture)
    if actual is wanted:
        return
    if actual is None:
        raise DeviceUnsuitable(
            f"{device} is a {facts.architecture} machine, the bundle is for {wanted}",
            hint="incamera supports " + " and ".join(Architecture),
        )
    raise DeviceUnsuitable(
        f"{device} is {actual}, the bundle is for {wanted}",
        hint=f'build for it: --target {actual}, or "{actual}" among [tool.incamera] targets',
    )


def plan_deploy(
    facts: DeviceFacts,
    request: DeployRequest,
    *,
    app: str,
    size: int,
    device: str,
    forms: frozenset[Form] | None = None,
    full: Mapping[str, str] | None = None,
) -> DeployPlan:
    """Choose place and form for the bundle of *app*, *size* bytes on disk. Raises DeviceUnsuitable when none fits.

    A place that already has the app comes first, because only changed files need to be sent there. Then RAM, which is
    fast and spares the flash, if enough of it stays free; then flash, SD card, share. When the request names a place or
    a form, no other is chosen. *forms* are those that the device can run from; without them, FormsUnknown is raised
    when they matter. *full* has the paths of places that turned out not to fit, each with the reason.
    """
    to, form = request.place, request.form
    _require_tmp(facts, device)
    places = [place for place in facts.places if to is None or place.kind is to]
    if not places and to is not None:
        path = next(path for path, kind in PLACES.items() if kind is to)
        raise DeviceUnsuitable(f"{device} has {_ABSENT[to]} ({path})", hint=_REMEDIES.get(to, "leave out --to"))
    reasons: list[str] = []
    for place in sorted(places, key=lambda place: app not in place.apps):
        here = app in place.apps
        problem = (full or {}).get(place.path) or _find_fault(place)
        for one in (form,) if form else _FORMS.get(place.kind, (Form.tree,)):
            if problem:
                break
            wrong = _find_problem(facts, place, one, 0 if here else size, size, forms)
            if wrong is None:
                lacking = form is None and one is Form.tree and Form.squashfs in _FORMS.get(place.kind, ())
                why = _explain(place, one, here=here, chosen=to is not None, moved=bool(reasons), lacking=lacking)
                remount = one is Form.tree and not place.executable
                return DeployPlan(place=place, form=one, why=why, remount=remount)
            if one is (form or Form.tree):
                problem = wrong
        reasons.append(f"{place.path} {problem}")
    detail = "; ".join(reasons)
    if not any(place.writable and (place.executable or _can_remount(facts, place)) for place in places):
        raise DeviceUnsuitable(
            f"no place on {device} allows programs to run: {detail}",
            hint="as root on AXIS OS 11 or older, type in the camera: mount -o remount,exec PLACE; "
            "on later versions only an installed .eap can run",
        )
    raise DeviceUnsuitable(
        f"{device} has no place for {_megabytes(size)}: {detail}",
        hint="remove files that are not needed there, insert an SD card, attach a share (`incamera share attach`), "
        "or make the bundle smaller",
    )


def _require_tmp(facts: DeviceFacts, device: str) -> None:
    """Raise DeviceUnsuitable where no run could have its folder in /tmp, wherever its bundle is."""
    ram = facts.find_place(Kind.ram)
    if ram is None:
        return
    if ram.renamed_by_all:
        raise DeviceUnsuitable(
            f"everybody can rename folders in {ram.path} on {device}",
            hint="so another user could put programs there in place of yours. As root, type there: "
            f"chmod +t {ram.path}",
        )
    if ram.free is not None and ram.free < _LEAST_TMP:
        raise full_tmp(device)
    if not ram.writable:
        raise DeviceUnsuitable(
            f"{facts.user} cannot write to {ram.path} on {device}, where each run needs a folder",
            hint=f"log in as another user, or let everybody write there. As root, type there: chmod 1777 {ram.path}",
        )


def find_verdict(facts: DeviceFacts, place: Place, forms: frozenset[Form]) -> str:
    """Return in a few words what *place* can be used for, as `device info` shows it."""
    if fault := _find_fault(place):
        return f"cannot be used: {fault}"
    if not place.executable:
        if Form.squashfs in forms and place.kind in _FORMS:
            return "runs bundles as one mounted file, though it is noexec"
        if place.kind in _FORMS and Form.archive in forms:
            return "keeps bundles; they run unpacked in RAM, since it is noexec"
        if _can_remount(facts, place):
            return "runs bundles after a remount with exec, which --to does"
        return "data only: noexec"
    if place.kind in _FORMS:
        return "runs bundles as one mounted file" if Form.squashfs in forms else "runs bundles"
    if place.ram:
        room = spare_memory(facts)
        if room <= 0:
            return "cannot be used: the camera needs its RAM itself"
        if place.free is not None and place.free < _LEAST_TMP:
            return "cannot be used: it is full"
        return f"runs bundles up to {format_bytes(room if place.free is None else min(room, place.free))}"
    return "runs bundles"


def _find_fault(place: Place) -> str | None:
    """Return why no bundle fits in *place*, None if one may."""
    if "silent" in place.flags:
        return "does not answer"
    if "ro" in place.flags:
        return "is mounted read-only"
    if place.renamed_by_all:
        return f"lets everybody rename what is in it (as root: chmod +t {place.path})"
    if not place.folder:
        return f"has folders with incamera's names that belong to {place.owner}, who can remove {place.path}/{FOLDER}"
    if not place.writable:
        if place.free is not None and place.free <= SPACE_MARGIN:
            return f"has {_megabytes(place.free)} free"
        return "cannot be written"
    return None


def _find_problem(
    facts: DeviceFacts, place: Place, form: Form, needed: int, size: int, forms: frozenset[Form] | None
) -> str | None:
    """Return why a bundle does not fit in *place*, None if it does.

    The bundle adds *needed* bytes to the place and has *size* bytes when unpacked.
    """
    if form is Form.tree:
        if not place.executable and not _can_remount(facts, place):
            return f"is mounted noexec ({place.filesystem})"
    else:
        needed //= _IMAGE_PART
        if forms is None:
            raise FormsUnknown
        if form not in forms:
            return f"cannot hold a {form}: the camera cannot {'mount' if form is Form.squashfs else 'unpack'} it"
    if place.free is not None and place.free < needed + SPACE_MARGIN:
        return f"has {_megabytes(place.free)} free"
    if form is Form.archive and spare_memory(facts) < size:
        return f"has room, but the bundle would be unpacked into RAM, {_describe_memory(facts)}"
    if place.ram and needed and spare_memory(facts) < needed:
        return f"is RAM, {_describe_memory(facts)}"
    return None


def _can_remount(facts: DeviceFacts, place: Place) -> bool:
    return facts.root and place.kind is Kind.sdcard and place.flags == ("noexec",)


def _reserved(facts: DeviceFacts) -> int:
    return max(RAM_RESERVE, facts.memory // RAM_RESERVE_PART)


def spare_memory(facts: DeviceFacts) -> int:
    """Return how many bytes of the device's RAM may be taken: what it needs itself is left."""
    return facts.memory_available - _reserved(facts)


def _describe_memory(facts: DeviceFacts) -> str:
    free, reserved = _megabytes(facts.memory_available), _megabytes(_reserved(facts))
    return f"of which {free} is free and {reserved} must stay free"


def _explain(place: Place, form: Form, *, here: bool, chosen: bool, moved: bool, lacking: bool) -> str:
    why = "the place that was asked for" if chosen else "where the app is already" if here else _REASONS[place.kind]
    if moved and not here and not chosen:
        why += ", the first with room"
    if form is Form.squashfs:
        return f"{why}; one file, mounted"
    if form is Form.archive:
        return f"{why}; one file, unpacked into RAM"
    if lacking:
        return f"{why}; as files, since this camera cannot mount squashfs"
    return why


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.0f} MB" if size >= 10 * MEGABYTE else f"{size / MEGABYTE:.1f} MB"
