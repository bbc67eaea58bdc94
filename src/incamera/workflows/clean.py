"""device clean: what incamera has left in a camera, and the removal of what nothing uses."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from incamera.errors import DeviceRefused
from incamera.guard.failures import Taken
from incamera.guard.places import FOLDER
from incamera.guard.program import has_guard
from incamera.guard.transfer import erase, look
from incamera.guard.verbs import deactivate, remove_folder
from incamera.observe.processes import take_sample
from incamera.observe.roles import Role
from incamera.project.variant import VARIANTS
from incamera.runtime.launcher.protocol import (
    DATA_FOLDERS,
    GUARDS,
    IMAGES,
    OWN_FOLDER,
    OWN_SUFFIX,
    RAM_IMAGES,
    ROOTS,
    WORK_FOLDERS,
    Verb,
)
from incamera.transport.protocols import FileMissing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from incamera.connect.connection import Connection
    from incamera.device.facts import Place
    from incamera.runtime.launcher.protocol import Found
    from incamera.transport.session import Session


class Left(StrEnum):
    """The kinds of what is left in a camera."""

    bundles = "bundles"
    data = "data"
    work = "working folders"
    runtimes = "runtimes"
    programs = "programs"
    """Guards: they receive and supervise."""
    session = "session"
    """A folder of a run, a test or a debugger that has not been removed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """Something of ours: *path* in the place *place*, of the app *app* (empty: of all). *size* is in bytes.

    *changed* is the camera's time of the last change, in seconds since 1970. *kept* says why it is not removed; empty
    when it is.
    """

    kind: Left
    app: str
    place: str
    path: str
    size: int
    changed: int
    kept: str = ""


def find_items(connection: Connection, *, app: str | None, data: bool) -> list[Item]:
    """Return what is in the camera, of *app* or of all apps. With *data*, data folders are to be removed, too.

    A guard that this brings to the camera is not left there when nothing else is to be removed.
    """
    session = connection.session
    was_there = has_guard(session, connection.guard())
    guard = connection.ensure_guard()
    processes = take_sample(session, guard).processes
    running = {process.app for process in processes if process.role.of_run}
    # A deploy that is under way: receive APPS APP.
    deploys = (process.words for process in processes if process.words[1:2] == (Verb.receive,))
    busy = {process.app for process in processes if process.role in (Role.app, Role.child)}
    busy |= {name for words in deploys for name in words[3:4]}
    in_use = {name: "runs" if name in busy else "waits for the next run" for name in running | busy}
    items: list[Item] = []
    for place in connection.facts.places:
        if place.folder and "silent" not in place.flags:
            items += _in_place(session, guard, place)
    items += _sessions(session, guard)
    chosen = [item for item in items if app is None or _is_of(item.app, app)]
    marked = [replace(item, kept=_reason(item, in_use, data)) for item in chosen]
    # A runtime, and the guard, may be needed by any app that stays.
    apps_stay = {item.place for item in marked if item.kind is Left.bundles and item.kept}
    marked = [
        replace(item, kept="an app that stays may need it")
        if not item.kept and item.kind in (Left.runtimes, Left.programs) and item.place in apps_stay
        else item
        for item in marked
    ]
    goes = [item for item in marked if not item.kept]
    if not was_there and [item.path for item in goes] == [guard.rpartition("/")[0]]:
        erase(session, guard, goes[0].path, "")
        marked.remove(goes[0])
    return marked


def remove_items(connection: Connection, items: Iterable[Item]) -> list[Item]:
    """Remove those of *items* that nothing keeps. Returns them. Raises DeviceError."""
    session, guard = connection.session, connection.ensure_guard()
    removed = [item for item in items if not item.kept]
    if not removed:
        return []
    deactivate(session, guard)
    # The guard that does it goes last, and may be needed for the others': it is in one place of several.
    for item in sorted(removed, key=lambda item: (item.kind is Left.programs, guard.startswith(f"{item.path}/"))):
        if item.kind is Left.session:
            remove_folder(session, guard, item.path)
        else:
            erase(session, guard, item.path, "")
    return removed


def _is_of(name: str, app: str) -> bool:
    return name in (app, *(f"{app}-{variant}" for variant in VARIANTS))


def _reason(item: Item, in_use: Mapping[str, str], data: bool) -> str:
    """Return why *item* stays; "" when it goes. *in_use* has the apps with processes, and what these do."""
    if item.kind is Left.data and not data:
        return "data: --data removes it"
    if item.app in in_use:
        return in_use[item.app]
    if not item.app and in_use:
        return "something runs"
    return ""


def _in_place(session: Session, guard: str, place: Place) -> list[Item]:
    folder = f"{place.path}/{place.folder}"
    try:
        entries = look(session, guard, folder, "", deep=True)
    except FileMissing:
        return []
    except DeviceRefused:
        if place.writable:
            raise
        return []  # as an SD card is that only a group may enter: this login has nothing there
    groups: dict[tuple[Left, str, str], list[Found]] = defaultdict(list)
    for entry in entries[1:]:
        first, _, rest = entry.path.partition("/")
        if first in (DATA_FOLDERS, WORK_FOLDERS):
            if rest:
                name = rest.partition("/")[0]
                kind = Left.data if first == DATA_FOLDERS else Left.work
                groups[kind, name, f"{folder}/{first}/{name}"].append(entry)
        elif first == IMAGES:
            groups[Left.runtimes, "", f"{folder}/{first}"].append(entry)
        elif first == GUARDS:
            groups[Left.programs, "", f"{folder}/{first}"].append(entry)
        elif entry.type == "d" or rest:
            groups[Left.bundles, first, f"{folder}/{first}"].append(entry)
    return [
        Item(
            kind=kind,
            app=app,
            place=place.path,
            path=path,
            size=sum(entry.stored for entry in found),
            changed=max(entry.changed for entry in found),
        )
        for (kind, app, path), found in groups.items()
    ]


def _sessions(session: Session, guard: str) -> list[Item]:
    """Return our folders of runs, tests and debuggers. What has been activated there is not one of them."""
    tmp, _, prefix = OWN_FOLDER.rpartition("/")
    others = tuple(path.rpartition("/")[2] for path in (ROOTS, RAM_IMAGES, FOLDER + OWN_SUFFIX))
    items: list[Item] = []
    for entry in look(session, guard, "/", tmp.strip("/")):
        if entry.type != "d" or not entry.path.startswith(prefix) or entry.path.startswith(others):
            continue
        path = f"{tmp}/{entry.path}"
        try:
            size = sum(inner.stored for inner in look(session, guard, path, "", deep=True))
        except (Taken, FileMissing):  # another account's; a run that has ended meanwhile
            continue
        items.append(Item(kind=Left.session, app="", place=tmp, path=path, size=size, changed=entry.changed))
    return items


def total(items: Sequence[Item]) -> int:
    """Return how many bytes *items* take."""
    return sum(item.size for item in items)
