"""An Axis camera's own hardware. `acap.video`: frames of its sensors, without a copy.

All exceptions are in `acap.errors`, and here.
"""

from . import errors
from .errors import (
    AccessDenied,
    Error,
    FormatError,
    FrameReleased,
    FramesHeldWarning,
    LibraryMissing,
    NoFrame,
    NoMoreStreams,
    NoSuchPlane,
    NotSupported,
    ServiceDown,
    ServiceFailed,
    Starved,
    StreamClosed,
    VideoError,
    ViewsAlive,
    WrongThread,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import video as video

__all__ = [
    "AccessDenied",
    "Error",
    "FormatError",
    "FrameReleased",
    "FramesHeldWarning",
    "LibraryMissing",
    "NoFrame",
    "NoMoreStreams",
    "NoSuchPlane",
    "NotSupported",
    "ServiceDown",
    "ServiceFailed",
    "Starved",
    "StreamClosed",
    "VideoError",
    "ViewsAlive",
    "WrongThread",
    "errors",
    "video",
]


def __getattr__(name: str) -> object:
    """Load `acap.video` when it is first used: an app without video need not load its module."""
    if name == "video":
        import importlib

        return importlib.import_module("acap.video")
    raise AttributeError(f"module 'acap' has no attribute {name!r}")
