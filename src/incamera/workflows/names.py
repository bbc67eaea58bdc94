"""completion: the names of devices, targets, packages and so on that may stand at a place of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from incamera.build.vendor_sdk import list_sdks
from incamera.connect.choose import devices_folder
from incamera.device.registry import load_routes
from incamera.errors import InCameraError
from incamera.project.loading import find_project
from incamera.project.lockfile import load_lock
from incamera.share.registry import load_shares, shares_folder
from incamera.targets.architecture import Architecture
from incamera.targets.profile import load_profiles
from incamera.targets.suite import target_pythons
from incamera.targets.target import Target
from incamera.virtual.camera import list_cameras
from incamera.virtual.faults import FAULTS

if TYPE_CHECKING:
    from incamera.context import Context


def find_names(context: Context, kind: str, folder: Path, word: str = "") -> list[str]:
    """Return the names of *kind* that can be typed in *folder*, sorted; none where they cannot be found out.

    For paths in a camera, *word* is the beginning that has been typed.
    """
    try:
        if kind in ("camera-file", "any-file"):
            return sorted(_camera_files(context, folder, word))
        return sorted(set(_FINDERS[kind](context, folder)))
    except InCameraError:  # the command itself reports it
        return []


def _own_devices(context: Context, folder: Path) -> Iterable[str]:
    return load_routes(devices_folder(context))


def _virtual(context: Context, folder: Path) -> Iterable[str]:
    return [camera.name for camera in list_cameras(context.store)]


def _devices(context: Context, folder: Path) -> Iterable[str]:
    return [*_own_devices(context, folder), *_virtual(context, folder), *load_profiles()]


def _audited_profiles(context: Context, folder: Path) -> Iterable[str]:
    from incamera.abi.policy import audited_profiles  # lazy: other names need no tables of libraries

    return audited_profiles()


def _targets(context: Context, folder: Path) -> Iterable[str]:
    return [str(Target(architecture, python)) for architecture in Architecture for python in target_pythons()]


def _packages(context: Context, folder: Path) -> Iterable[str]:
    project = find_project(folder)
    return [Requirement(text).name for text in project.dependencies] if project is not None else []


def _locked(context: Context, folder: Path) -> Iterable[str]:
    project = find_project(folder)
    locks = [load_lock(project, target) for target in project.default_targets] if project is not None else []
    return [item.name for lock in locks if lock is not None for item in lock.distributions]


def _camera_files(context: Context, folder: Path, word: str) -> Iterable[str]:
    """Return the paths in a camera that begin with *word*; none unless a connection to it is kept open.

    A new connection could take long, ask a question or start a virtual camera.
    """
    from incamera.connect.choose import find_device  # lazy: other names need no connection
    from incamera.connect.connection import connected
    from incamera.holder.client import list_connections
    from incamera.workflows.files import Files, parse_remote

    remote = parse_remote(word)
    if remote is None:
        starts = [":data/", *(f"{name}:data/" for name in _own_devices(context, folder))]
        return [start for start in starts if start.startswith(word)]
    start = word[: len(word) - len(remote.path)]
    if "/" not in remote.path:
        return [f"{start}data/"] if "data".startswith(remote.path) else []
    project = find_project(folder)
    device = find_device(context, remote.device, project=project) if project is not None else None
    _, kept = list_connections(context.store.root)
    if device is None or str(device) not in [connection["device"] for connection in kept]:
        return []
    with connected(context, device) as connection:
        entries = Files(connection, project, anywhere=False).look(remote.path.rpartition("/")[0])[1:]
    found = [f"{start}{entry.shown}{'/' * entry.is_folder}" for entry in entries]
    return [name for name in found if name.startswith(word)]


_FINDERS: Mapping[str, Callable[[Context, Path], Iterable[str]]] = {
    "own-devices": _own_devices,
    "virtual": _virtual,
    "faults": lambda context, folder: FAULTS,
    "devices": _devices,
    "targets": _targets,
    "profiles": lambda context, folder: load_profiles(),
    "audited-profiles": _audited_profiles,
    "packages": _packages,
    "locked": _locked,
    "shares": lambda context, folder: load_shares(shares_folder(context)),
    "sdks": lambda context, folder: [record["name"] for _, record in list_sdks(context.store)],
}
