"""An Axis camera's own hardware.

`acap.video`: frames of its sensors, without a copy. `acap.inference`: neural networks on its accelerators.
`acap.bbox`: boxes over its video. `acap.overlay`: pictures over its video. `acap.license`: the app's license key.
`acap.storage`: the SD card and the network share. `acap.testing`: known pictures for the tests of an app.

All exceptions are in `acap.errors`, and here.
"""

from . import errors
from .errors import (
    AccessDenied,
    AfterFork,
    BadDrawing,
    BadModel,
    DrawingClosed,
    DrawingDenied,
    DrawingError,
    DrawingFailed,
    Error,
    FormatError,
    FrameReleased,
    FramesHeldWarning,
    InferenceDenied,
    InferenceDown,
    InferenceFailed,
    LibraryMissing,
    LicenseError,
    LicenseRefused,
    ModelClosed,
    ModelError,
    NoFrame,
    NoMoreStreams,
    NoPower,
    NoSuchChannel,
    NoSuchDevice,
    NoSuchPlane,
    NoSuchStorage,
    NoSuchView,
    NotSupported,
    ServiceDown,
    ServiceFailed,
    SourceFailed,
    Starved,
    StorageClosed,
    StorageDenied,
    StorageError,
    StorageFailed,
    StorageGone,
    StorageNotReady,
    StreamClosed,
    TooManyJobs,
    UseAfterFork,
    VideoError,
    ViewsAlive,
    WrongShape,
    WrongThread,
    WrongType,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import bbox as bbox
    from . import inference as inference
    from . import license as license
    from . import overlay as overlay
    from . import storage as storage
    from . import testing as testing
    from . import video as video

__all__ = [
    "AccessDenied",
    "AfterFork",
    "BadDrawing",
    "BadModel",
    "DrawingClosed",
    "DrawingDenied",
    "DrawingError",
    "DrawingFailed",
    "Error",
    "FormatError",
    "FrameReleased",
    "FramesHeldWarning",
    "InferenceDenied",
    "InferenceDown",
    "InferenceFailed",
    "LibraryMissing",
    "LicenseError",
    "LicenseRefused",
    "ModelClosed",
    "ModelError",
    "NoFrame",
    "NoMoreStreams",
    "NoPower",
    "NoSuchChannel",
    "NoSuchDevice",
    "NoSuchPlane",
    "NoSuchStorage",
    "NoSuchView",
    "NotSupported",
    "ServiceDown",
    "ServiceFailed",
    "SourceFailed",
    "Starved",
    "StorageClosed",
    "StorageDenied",
    "StorageError",
    "StorageFailed",
    "StorageGone",
    "StorageNotReady",
    "StreamClosed",
    "TooManyJobs",
    "UseAfterFork",
    "VideoError",
    "ViewsAlive",
    "WrongShape",
    "WrongThread",
    "WrongType",
    "bbox",
    "errors",
    "inference",
    "license",
    "overlay",
    "storage",
    "testing",
    "video",
]


_MODULES = ("bbox", "inference", "license", "overlay", "storage", "testing", "video")


def __getattr__(name: str) -> object:
    """Load a module when it is first used: an app without video need not load `acap.video`."""
    if name in _MODULES:
        import importlib

        return importlib.import_module(f"acap.{name}")
    raise AttributeError(f"module 'acap' has no attribute {name!r}")
