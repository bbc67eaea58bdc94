"""An Axis camera's own hardware.

`acap.video`: frames of its sensors, without a copy. `acap.inference`: neural networks on its accelerators.

All exceptions are in `acap.errors`, and here.
"""

from . import errors
from .errors import (
    AccessDenied,
    AfterFork,
    BadModel,
    Error,
    FormatError,
    FrameReleased,
    FramesHeldWarning,
    InferenceDenied,
    InferenceDown,
    InferenceFailed,
    LibraryMissing,
    ModelClosed,
    ModelError,
    NoFrame,
    NoMoreStreams,
    NoPower,
    NoSuchChannel,
    NoSuchDevice,
    NoSuchPlane,
    NotSupported,
    ServiceDown,
    ServiceFailed,
    SourceFailed,
    Starved,
    StreamClosed,
    TooManyJobs,
    VideoError,
    ViewsAlive,
    WrongShape,
    WrongThread,
    WrongType,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import inference as inference
    from . import video as video

__all__ = [
    "AccessDenied",
    "AfterFork",
    "BadModel",
    "Error",
    "FormatError",
    "FrameReleased",
    "FramesHeldWarning",
    "InferenceDenied",
    "InferenceDown",
    "InferenceFailed",
    "LibraryMissing",
    "ModelClosed",
    "ModelError",
    "NoFrame",
    "NoMoreStreams",
    "NoPower",
    "NoSuchChannel",
    "NoSuchDevice",
    "NoSuchPlane",
    "NotSupported",
    "ServiceDown",
    "ServiceFailed",
    "SourceFailed",
    "Starved",
    "StreamClosed",
    "TooManyJobs",
    "VideoError",
    "ViewsAlive",
    "WrongShape",
    "WrongThread",
    "WrongType",
    "errors",
    "inference",
    "video",
]


def __getattr__(name: str) -> object:
    """Load a module when it is first used: an app without video need not load `acap.video`."""
    if name in ("video", "inference"):
        import importlib

        return importlib.import_module(f"acap.{name}")
    raise AttributeError(f"module 'acap' has no attribute {name!r}")
