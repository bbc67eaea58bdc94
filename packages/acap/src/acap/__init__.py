"""An Axis camera's own hardware.

`acap.video`: frames of its sensors, without a copy. `acap.inference`: neural networks on its accelerators.
`acap.bbox`: boxes over its video. `acap.overlay`: pictures over its video. `acap.license`: the app's license key.
`acap.storage`: the SD card and the network share. `acap.events`: events of the app and of the camera.
`acap.parameters`: the app's parameters. `acap.messages`: what the camera's analytics and other apps publish.
`acap.vapix`: the camera's web interface.
`acap.testing`: a known camera for the tests of an app.
`acap.wait`: wait, and run the handlers of events and parameters meanwhile.

All exceptions are in `acap.errors`, and here.
"""

from . import errors
from .errors import (
    AccessDenied,
    AfterFork,
    BadDrawing,
    BadEvent,
    BadMessage,
    BadModel,
    BadParameter,
    DrawingClosed,
    DrawingDenied,
    DrawingError,
    DrawingFailed,
    Error,
    EventClosed,
    EventError,
    EventFailed,
    EventsDown,
    EventTimeout,
    FormatError,
    FrameReleased,
    FramesHeldWarning,
    InferenceDenied,
    InferenceDown,
    InferenceFailed,
    LibraryMissing,
    LicenseError,
    LicenseRefused,
    MessageDenied,
    MessageError,
    MessageFailed,
    MessagesClosed,
    MessagesDown,
    MessageTimeout,
    MissingEventKey,
    ModelClosed,
    ModelError,
    NoFrame,
    NoMoreStreams,
    NoPower,
    NoSuchChannel,
    NoSuchDevice,
    NoSuchEventKey,
    NoSuchParameter,
    NoSuchPlane,
    NoSuchStorage,
    NoSuchTopic,
    NoSuchView,
    NotSupported,
    ParameterError,
    ParameterExists,
    ParameterFailed,
    ParameterReadOnly,
    ParametersDown,
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
    TopicExists,
    UseAfterFork,
    VapixDenied,
    VapixError,
    VapixFailed,
    VideoError,
    ViewsAlive,
    WrongEventType,
    WrongShape,
    WrongThread,
    WrongType,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import bbox as bbox
    from . import events as events
    from . import inference as inference
    from . import license as license
    from . import messages as messages
    from . import overlay as overlay
    from . import storage as storage
    from . import testing as testing
    from . import vapix as vapix
    from . import video as video
    from .handlers import wait as wait
    from .params import parameters as parameters

__all__ = [
    "AccessDenied",
    "AfterFork",
    "BadDrawing",
    "BadEvent",
    "BadMessage",
    "BadModel",
    "BadParameter",
    "DrawingClosed",
    "DrawingDenied",
    "DrawingError",
    "DrawingFailed",
    "Error",
    "EventClosed",
    "EventError",
    "EventFailed",
    "EventTimeout",
    "EventsDown",
    "FormatError",
    "FrameReleased",
    "FramesHeldWarning",
    "InferenceDenied",
    "InferenceDown",
    "InferenceFailed",
    "LibraryMissing",
    "LicenseError",
    "LicenseRefused",
    "MessageDenied",
    "MessageError",
    "MessageFailed",
    "MessageTimeout",
    "MessagesClosed",
    "MessagesDown",
    "MissingEventKey",
    "ModelClosed",
    "ModelError",
    "NoFrame",
    "NoMoreStreams",
    "NoPower",
    "NoSuchChannel",
    "NoSuchDevice",
    "NoSuchEventKey",
    "NoSuchParameter",
    "NoSuchPlane",
    "NoSuchStorage",
    "NoSuchTopic",
    "NoSuchView",
    "NotSupported",
    "ParameterError",
    "ParameterExists",
    "ParameterFailed",
    "ParameterReadOnly",
    "ParametersDown",
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
    "TopicExists",
    "UseAfterFork",
    "VapixDenied",
    "VapixError",
    "VapixFailed",
    "VideoError",
    "ViewsAlive",
    "WrongEventType",
    "WrongShape",
    "WrongThread",
    "WrongType",
    "bbox",
    "errors",
    "events",
    "inference",
    "license",
    "messages",
    "overlay",
    "parameters",
    "storage",
    "testing",
    "vapix",
    "video",
    "wait",
]


_MODULES = ("bbox", "events", "inference", "license", "messages", "overlay", "storage", "testing", "vapix", "video")
# Objects that are used as modules are, and where they are made.
_OBJECTS = {"parameters": "params", "wait": "handlers"}


def __getattr__(name: str) -> object:
    """Load a module when it is first used: an app without video need not load `acap.video`."""
    if name in _MODULES:
        import importlib

        return importlib.import_module(f"acap.{name}")
    if name in _OBJECTS:
        import importlib

        return getattr(importlib.import_module(f"acap.{_OBJECTS[name]}"), name)
    raise AttributeError(f"module 'acap' has no attribute {name!r}")
