"""completion: the names of devices, targets, packages and so on that may stand at a place of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from incamera.connect.choose import devices_folder
from incamera.device.registry import load_devices
from incamera.errors import InCameraError
from incamera.project.lockfile import load_lock
from incamera.project.settings import find_project
from incamera.share.registry import load_shares, shares_folder
from incamera.targets.architecture import Architecture
from incamera.targets.profile import load_profiles
from incamera.targets.suite import target_pythons
from incamera.targets.target import Target
from incamera.virtual.camera import list_cameras

if TYPE_CHECKING:
    from incamera.context import Context


def find_names(context: Context, kind: str, folder: Path) -> list[str]:
    """Return the names of *kind* that can be typed in *folder*, sorted; none where they cannot be found out."""
    try:
        return sorted(set(_FINDERS[kind](context, folder)))
    except InCameraError:  # the command itself reports it
        return []


def _own_devices(context: Context, folder: Path) -> Iterable[str]:
    return load_devices(devices_folder(context))


def _virtual(context: Context, folder: Path) -> Iterable[str]:
    return [camera.name for camera in list_cameras(context.store)]


def _devices(context: Context, folder: Path) -> Iterable[str]:
    return [*_own_devices(context, folder), *_virtual(context, folder), *load_profiles()]


def _targets(context: Context, folder: Path) -> Iterable[str]:
    return [str(Target(architecture, python)) for architecture in Architecture for python in target_pythons()]


def _packages(context: Context, folder: Path) -> Iterable[str]:
    project = find_project(folder)
    return [Requirement(text).name for text in project.dependencies] if project is not None else []


def _locked(context: Context, folder: Path) -> Iterable[str]:
    project = find_project(folder)
    locks = [load_lock(project, target) for target in project.default_targets] if project is not None else []
    return [item.name for lock in locks if lock is not None for item in lock.distributions]


_FINDERS: Mapping[str, Callable[[Context, Path], Iterable[str]]] = {
    "own-devices": _own_devices,
    "virtual": _virtual,
    "devices": _devices,
    "targets": _targets,
    "profiles": lambda context, folder: load_profiles(),
    "packages": _packages,
    "locked": _locked,
    "shares": lambda context, folder: load_shares(shares_folder(context)),
}
