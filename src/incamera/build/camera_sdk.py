"""What builds need to use the camera's libraries, if a project uses any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.project.files import project_files
from incamera.project.settings import BUILTIN_SDK
from incamera.sdk.digest import sdk_digest
from incamera.sdk.folder import write_sdk
from incamera.sdk.uses import find_used

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.build.vendor_sdk import VendorSdk
    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.sdk.tables import Library
    from incamera.targets.target import Target

_GLIB = "libglib2.0-dev"


@dataclass(frozen=True, slots=True)
class CameraUse:
    """The camera's libraries that a build uses. With the image of the vendor's *sdk*, it gets all that this has."""

    libraries: tuple[Library, ...] = ()
    sdk: VendorSdk | None = None

    @property
    def dev(self) -> tuple[str, ...]:
        """The Debian packages with the headers that those of the libraries include."""
        return (_GLIB,) if any(library.needs_glib for library in self.libraries) else ()


NO_USE = CameraUse()


def find_camera_use(folder: Path) -> CameraUse:
    """Return what the sources in *folder* use of the camera."""
    return CameraUse(find_used(folder, project_files(folder)))


def find_project_use(context: Context, project: Project, target: Target) -> CameraUse:
    """Return what the build of *project* uses of the camera. Raises ConfigError when the store lacks its SDK."""
    if project.sdk == BUILTIN_SDK:
        return find_camera_use(project.folder)
    from incamera.build.vendor_sdk import require_sdk  # lazy: few projects name an image

    return CameraUse(sdk=require_sdk(context.store, project.sdk, target))


def ensure_sdk(context: Context, target: Target) -> Path:
    """Return the folder with headers and import libraries of the camera; if the store lacks it, write it."""
    key = f"{target.architecture}-{sdk_digest()[:32]}"
    path, _ = context.store.ensure_tree("camera-sdk", key, lambda tree: write_sdk(tree, target.architecture), most=4)
    return path
