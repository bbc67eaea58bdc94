"""Libraries in C that stand in for the camera's own: what they are is told in docs/explanation/camera-libraries.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incamera.targets.architecture import Architecture

SERVICE = "camera-service"
SERVICE_PATH = f"/usr/libexec/incamera/{SERVICE}"
SERVICE_FOLDER = "/run/incamera-camera"
"""Where a virtual camera has it: the program, and the folder with its socket."""

_BUILT = Path(__file__).parent / "bin"
# By their second name: the library, and the AXIS OS that has both names since.
_SECOND_NAMES = {"libvdo.so.1": ("libvdostream.so.1", "12.0")}


def stand_ins(architecture: Architecture, version: str) -> list[Path]:
    """Return the libraries that a camera with AXIS OS *version* has: the newest ones that are not newer than it."""
    folder = _folder(architecture, version)
    return sorted(path for path in folder.iterdir() if path.name != SERVICE) if folder else []


def camera_service(architecture: Architecture, version: str) -> Path | None:
    """Return the program behind the libraries of a camera with AXIS OS *version*; None if it has none of them."""
    folder = _folder(architecture, version)
    return folder / SERVICE if folder else None


def _folder(architecture: Architecture, version: str) -> Path | None:
    wanted = _number(version)
    folders = sorted((_number(folder.name), folder) for folder in (_BUILT / architecture.value).iterdir())
    fitting = [folder for number, folder in folders if number <= wanted]
    return fitting[-1] if fitting else None


def second_names(version: str) -> dict[str, str]:
    """Return the other names that libraries have in a camera with AXIS OS *version*, and what each stands for."""
    return {name: library for name, (library, since) in _SECOND_NAMES.items() if _number(since) <= _number(version)}


def host_stand_ins(machine: str) -> Path | None:
    """Return the folder of the newest libraries for a computer of the kind *machine*, or None if there are none."""
    folders = sorted((_BUILT / machine).glob("*"), key=lambda folder: _number(folder.name))
    return folders[-1] if folders else None


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
