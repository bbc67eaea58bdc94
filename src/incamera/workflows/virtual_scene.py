"""virtual scene: what a virtual camera sees, the known scene or a video of this computer."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import DeviceError, ToolFailed, UsageError
from incamera.proc import run
from incamera.transport.protocols import Script
from incamera.virtual.agreed import SCENE, SCENE_FAILED
from incamera.virtual.faults import new_number
from incamera.virtual.stand_ins import SERVICE_FOLDER
from incamera.workflows.virtual_services import run_script

if TYPE_CHECKING:
    from incamera.transport.session import Session

# The service of the camera's libraries reads the file. $2: a number, or 0 for the known scene.
_SET = Script(
    "set-scene",
    """
[ "$2" = 0 ] && { rm -f "$1/scene"; exit; }
set -C; new=$1/.scene$$
echo "$2" >"$new" && mv "$new" "$1/scene"
""",
)


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a video is. *rate*: pictures a second; None for a picture. *seconds*: None where only its end tells."""

    width: int
    height: int
    rate: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Scene:
    """What a camera sees. *source*: None for the known scene. *error*: why the known scene is shown in its place."""

    source: Path | None
    error: str | None = None


def read_scene(folder: Path) -> Scene:
    """Return what the camera with the *folder* sees."""
    chosen = _read(folder / SCENE)
    if not isinstance(chosen.get("source"), str):
        return Scene(None)
    failed = _read(folder / SCENE_FAILED)
    error = failed.get("error") if failed.get("number") == chosen.get("number") else None
    return Scene(Path(chosen["source"]), error if isinstance(error, str) else None)


def show_video(session: Session, folder: Path, source: Path) -> None:
    """Have the camera see the file or the folder *source*, which `describe_video` has found good."""
    number = new_number()
    temporary = folder / f"{SCENE}.new"
    temporary.write_text(json.dumps({"number": number, "source": str(source.absolute())}) + "\n")
    temporary.replace(folder / SCENE)
    run_script(session, _SET, SERVICE_FOLDER, str(number))


def show_known_scene(session: Session, folder: Path) -> None:
    """Have the camera see the known scene again."""
    (folder / SCENE).unlink(missing_ok=True)
    run_script(session, _SET, SERVICE_FOLDER, "0")


def describe_video(source: Path) -> VideoFacts:
    """Return what a video, a picture or a folder of pictures is. Raises UsageError, DeviceError without PyAV."""
    if not source.exists():
        raise UsageError(f"there is no video or picture {source}", hint="`known` is the known scene")
    if not (source.is_file() or source.is_dir()):
        raise UsageError(f"{source} is no video, picture or folder of pictures")
    words = [sys.executable, "-P", "-m", "incamera.virtual.video_service", "--describe", str(source)]
    try:
        told = json.loads(run(words, purpose=f"read the video {source}").stdout)
    except (ToolFailed, ValueError) as error:
        raise UsageError(f"{source} cannot be read: it ends its reader", hint="it may be damaged") from error
    if "missing" in told:
        hint = f"install it: `{sys.executable} -m pip install av`"
        raise DeviceError(f"a video as the scene needs PyAV ({told['missing']})", hint=hint)
    if "error" in told:
        raise UsageError(f"this shows no video: {told['error']}", hint="FFmpeg's formats can be read")
    return VideoFacts(**told)


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        document = json.loads(path.read_bytes())
        if isinstance(document, dict):
            return document
    return {}
