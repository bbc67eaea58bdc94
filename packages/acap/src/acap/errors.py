"""What acap raises. Each exception is also the builtin one that a program would catch.

Error                     code, domain, hint
├── NotSupported          NotImplementedError   this camera's AXIS OS does not have it
│   └── LibraryMissing    OSError               this camera, or computer, does not have the library
└── VideoError
    ├── FormatError       ValueError            a size or format that the camera cannot do
    ├── NoSuchChannel     LookupError           a channel or a sensor that the camera does not have
    ├── AccessDenied      PermissionError       the manifest lacks the group `video`
    ├── NoMoreStreams     OSError               too many streams, or no memory for one
    ├── ServiceDown       ConnectionError       the video service did not come back in time
    ├── ServiceFailed     OSError               any other error of the video service
    ├── NoFrame           TimeoutError          no frame came in time
    ├── Starved           BufferError           no frame can come, since all buffers are held
    ├── ViewsAlive        BufferError           a frame is released that still has views
    ├── FrameReleased     ValueError            a frame is used after its release
    ├── NoSuchPlane       AttributeError        the format has no such plane
    ├── StreamClosed      ValueError            a stream is used after its end
    ├── SourceFailed      OSError               on a desk: the video, picture, webcam or URL cannot be used
    └── WrongThread       RuntimeError          a stream is used in another thread, or after a fork

Error
└── ModelError
    ├── BadModel          ValueError            the file is damaged, or no model for this device
    ├── NoSuchDevice      LookupError           the camera has no such device for models
    ├── WrongShape        ValueError            what a model is given has not the shape of its input, or is no picture
    ├── WrongType         TypeError             … or not its type
    ├── NoPower           TimeoutError          the device had no power in time
    ├── InferenceDenied   PermissionError       the app may not use the camera's inference
    ├── InferenceDown     ConnectionError       the inference service stopped, and did not come back in time
    ├── InferenceFailed   OSError               any other error of the inference service
    ├── TooManyJobs       BufferError           all buffers of a model are in use by jobs and results
    ├── ModelClosed       ValueError            a model is used after its end
    └── AfterFork         RuntimeError          a model is used after a fork

Error
├── UseAfterFork          RuntimeError          what was made before a fork is used in another process
├── DrawingError                                acap.bbox, acap.overlay
│   ├── BadDrawing        ValueError            a colour, a coordinate or a picture that cannot be drawn
│   ├── NoSuchView        LookupError           a channel or a view area that the camera does not have
│   ├── DrawingDenied     PermissionError       the app may not draw over the camera's video
│   ├── DrawingClosed     ValueError            boxes or an overlay are used after their end
│   └── DrawingFailed     OSError               any other error of the camera's service for drawings
├── LicenseError
│   └── LicenseRefused    PermissionError       the camera has no valid license key for the app
└── StorageError
    ├── NoSuchStorage     LookupError           the camera has no storage of this name
    ├── StorageNotReady   TimeoutError          it was not connected and writable in time
    ├── StorageGone       ConnectionError       it was removed, or is about to be
    ├── StorageClosed     ValueError            it is used after its release
    ├── StorageDenied     PermissionError       the manifest lacks the group `storage`
    └── StorageFailed     OSError               any other error of the camera's storage

Error
├── EventError
│   ├── BadEvent          ValueError            a name, a topic or a value that no event can have
│   ├── WrongEventType    TypeError             a value has another type than the event was declared with
│   ├── NoSuchEventKey    KeyError              the event was declared without this key
│   ├── MissingEventKey   KeyError              an event is sent without one of its keys
│   ├── EventClosed       ValueError            an event or a subscription is used after its end
│   ├── EventTimeout      TimeoutError          the camera did not take the declaration in time
│   ├── EventsDown        ConnectionError       the camera's service for events does not run
│   └── EventFailed       OSError               any other error of the camera's events
├── MessageError
│   ├── BadMessage        ValueError            a name, a definition or data that no topic can have
│   ├── NoSuchTopic       LookupError           the camera has no topic of this name
│   ├── TopicExists       FileExistsError       a topic that is made is there already
│   ├── MessageDenied     PermissionError       the app may not use the camera's messages, or not this topic
│   ├── MessagesDown      ConnectionError       the connection to the camera's service is gone
│   ├── MessageTimeout    TimeoutError          the camera did not answer in time
│   ├── MessagesClosed    ValueError            a topic or a subscription is used after its end
│   └── MessageFailed     OSError               any other error of the camera's messages
├── VapixError
│   ├── VapixDenied       PermissionError       the app has no account for VAPIX, or the account may not do that
│   └── VapixFailed       OSError               any other error of the camera's web interface
└── ParameterError
    ├── NoSuchParameter   KeyError              the app has no parameter of this name
    ├── ParameterExists   KeyError              a parameter that is added is there already
    ├── BadParameter      ValueError            a name or a value that no parameter can have, or text that is no number
    ├── ParameterReadOnly PermissionError       the parameter can only be read
    ├── ParametersDown    ConnectionError       the camera's service for parameters does not run
    └── ParameterFailed   OSError               any other error of the camera's parameters
"""

from __future__ import annotations

import errno
import os


class Error(Exception):
    """Anything that acap raises.

    `code`: the number that the camera's library gave, or 0. `domain`: which library that was, or "".
    `hint`: what to do, or "".
    """

    def __init__(self, message: str, *, hint: str = "", code: int = 0, domain: str = "") -> None:
        super().__init__(f"{message}: {hint}" if hint else message)
        self.hint = hint
        self.code = code
        self.domain = domain


class NotSupported(Error, NotImplementedError):
    """This camera's AXIS OS does not have it."""


class LibraryMissing(NotSupported, OSError):
    """This camera, or computer, does not have the library."""


class VideoError(Error):
    """An error of `acap.video`."""


class FormatError(VideoError, ValueError):
    """The camera has no such format, or not in this size."""


class NoSuchChannel(VideoError, LookupError):
    """The camera has no such channel or sensor."""


class AccessDenied(VideoError, PermissionError):
    """The app may not use the camera's video."""


class NoMoreStreams(VideoError, OSError):
    """The camera has too many streams already, or no memory for one more."""


class ServiceDown(VideoError, ConnectionError):
    """The camera's video service stopped, and did not come back in time."""


class ServiceFailed(VideoError, OSError):
    """Another error of the camera's video service."""


class NoFrame(VideoError, TimeoutError):
    """No frame came in time."""


class Starved(VideoError, BufferError):
    """All buffers of the stream are held by frames in use, so that no new frame can come."""


class ViewsAlive(VideoError, BufferError):
    """A frame cannot be released, since there are views of its pixels."""


class FrameReleased(VideoError, ValueError):
    """The frame's buffer was given back to the camera."""


class NoSuchPlane(VideoError, AttributeError):
    """The frame's format does not have this plane."""


class StreamClosed(VideoError, ValueError):
    """The stream was closed."""


class SourceFailed(VideoError, OSError):
    """On a desk: the video, picture, webcam or URL that stands in for the camera cannot be used."""


class WrongThread(VideoError, RuntimeError):
    """A stream belongs to the thread and the process that made it."""


class ModelError(Error):
    """An error of `acap.inference`."""


class BadModel(ModelError, ValueError):
    """The file is damaged, or no model for this device."""


class NoSuchDevice(ModelError, LookupError):
    """The camera has no such device for models."""


class WrongShape(ModelError, ValueError):
    """What a model is given does not have the shape of its input, or is no picture that can be converted."""


class WrongType(ModelError, TypeError):
    """What a model is given does not have the type of its input."""


class NoPower(ModelError, TimeoutError):
    """The device had no power in time."""


class InferenceDenied(ModelError, PermissionError):
    """The app may not use the camera's inference."""


class InferenceDown(ModelError, ConnectionError):
    """The camera's inference service stopped, and did not come back in time."""


class InferenceFailed(ModelError, OSError):
    """Another error of the camera's inference service."""


class TooManyJobs(ModelError, BufferError):
    """All buffers of a model are in use, by jobs that run and results that the program keeps."""


class ModelClosed(ModelError, ValueError):
    """The model was closed."""


class AfterFork(ModelError, RuntimeError):
    """A model belongs to the process that loaded it."""


class UseAfterFork(Error, RuntimeError):
    """It belongs to the process that made it."""


class DrawingError(Error):
    """An error of `acap.bbox` or `acap.overlay`."""


class BadDrawing(DrawingError, ValueError):
    """A colour, a coordinate or a picture cannot be drawn."""


class NoSuchView(DrawingError, LookupError):
    """The camera has no such channel or view area."""


class DrawingDenied(DrawingError, PermissionError):
    """The app may not draw over the camera's video."""


class DrawingClosed(DrawingError, ValueError):
    """The boxes or the overlay were closed."""


class DrawingFailed(DrawingError, OSError):
    """Another error of the camera's service for drawings."""


class LicenseError(Error):
    """An error of `acap.license`."""


class LicenseRefused(LicenseError, PermissionError):
    """The camera has no valid license key for the app."""


class StorageError(Error):
    """An error of `acap.storage`."""


class NoSuchStorage(StorageError, LookupError):
    """The camera has no storage of this name."""


class StorageNotReady(StorageError, TimeoutError):
    """The storage was not connected and writable in time."""


class StorageGone(StorageError, ConnectionError):
    """The storage was removed, or is about to be."""


class StorageClosed(StorageError, ValueError):
    """The storage was released."""


class StorageDenied(StorageError, PermissionError):
    """The app may not use the camera's storage."""


class StorageFailed(StorageError, OSError):
    """Another error of the camera's storage."""


class _Key(KeyError):
    """A KeyError whose text is not put in quotes."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class EventError(Error):
    """An error of `acap.events`."""


class BadEvent(EventError, ValueError):
    """No event can have this name, topic or value."""


class WrongEventType(EventError, TypeError):
    """A value has another type than the event was declared with."""


class NoSuchEventKey(EventError, _Key):
    """The event was declared without this key."""


class MissingEventKey(EventError, _Key):
    """An event is sent without one of its keys."""


class EventClosed(EventError, ValueError):
    """The event or the subscription was closed."""


class EventTimeout(EventError, TimeoutError):
    """The camera did not take the declaration in time."""


class EventsDown(EventError, ConnectionError):
    """The camera's service for events does not run. It starts anew by itself: try again."""


class EventFailed(EventError, OSError):
    """Another error of the camera's events."""


class MessageError(Error):
    """An error of `acap.messages`."""


class BadMessage(MessageError, ValueError):
    """No topic can have this name, definition or data."""


class NoSuchTopic(MessageError, LookupError):
    """The camera has no topic of this name."""


class TopicExists(MessageError, FileExistsError):
    """A topic that is made is there already."""


class MessageDenied(MessageError, PermissionError):
    """The app may not use the camera's messages, or not this topic."""


class MessagesDown(MessageError, ConnectionError):
    """The connection to the camera's service for messages is gone."""


class MessageTimeout(MessageError, TimeoutError):
    """The camera did not answer in time."""


class MessagesClosed(MessageError, ValueError):
    """The topic or the subscription was closed."""


class MessageFailed(MessageError, OSError):
    """Another error of the camera's messages."""


class ParameterError(Error):
    """An error of `acap.parameters`."""


class NoSuchParameter(ParameterError, _Key):
    """The app has no parameter of this name."""


class ParameterExists(ParameterError, _Key):
    """A parameter that is added is there already."""


class BadParameter(ParameterError, ValueError):
    """No parameter can have this name or value, or its text is no number."""


class ParameterReadOnly(ParameterError, PermissionError):
    """The parameter can only be read."""


class ParametersDown(ParameterError, ConnectionError):
    """The camera's service for parameters does not run. It starts anew by itself: try again."""


class ParameterFailed(ParameterError, OSError):
    """Another error of the camera's parameters."""


class VapixError(Error):
    """An error of `acap.vapix`."""


class VapixDenied(VapixError, PermissionError):
    """The app has no account for VAPIX, or the account may not do that."""


class VapixFailed(VapixError, OSError):
    """Another error of the camera's web interface."""


class FramesHeldWarning(RuntimeWarning):
    """All buffers of a stream are held by frames in use."""


class _Expected(Exception):
    """The service stopped; a new stream may be made. Never leaves acap."""


class _SceneOver(Exception):
    """A test's scene has no more pictures: loops over its streams end. Never leaves acap."""


# VDO's error codes.
_INVALID_ARGUMENT, _PERMISSION_DENIED, _NOT_SUPPORTED, _BUSY, _OOM, _NO_BUFFER_SPACE = 3, 4, 5, 7, 11, 14
NO_DATA, _INTERFACE_DOWN, NO_EVENT = 13, 16, 20
_NOT_FOUND = 1


def video_error(code: int, text: str, doing: str) -> VideoError:
    """Return the exception for an error of the library: its *code* and *text*, and what was being done."""
    message = f"cannot {doing}: {text}"
    if code == _NOT_FOUND:
        return NoSuchChannel(message, code=code, domain="vdo")
    if code in (_INVALID_ARGUMENT, _NOT_SUPPORTED):
        return FormatError(message, code=code, domain="vdo")
    if code == _PERMISSION_DENIED:
        hint = 'give the app the group "video": resources.linux.user.groups in manifest.json'
        return AccessDenied(message, hint=hint, code=code, domain="vdo")
    if code in (_BUSY, _OOM, _NO_BUFFER_SPACE):
        hint = "close streams, or ask for smaller ones or fewer buffers"
        return NoMoreStreams(message, hint=hint, code=code, domain="vdo")
    if code == _INTERFACE_DOWN:
        return ServiceDown(message, code=code, domain="vdo")
    return ServiceFailed(message, code=code, domain="vdo")


def drawing_error(code: int, doing: str) -> DrawingError:
    """Return the exception for an error of the library for boxes: its errno *code*, and what was being done."""
    message = f"cannot {doing}: {os.strerror(code)}"
    if code in (errno.EACCES, errno.EPERM):
        hint = 'add "video" to resources.linux.user.groups in the manifest'
        return DrawingDenied(message, hint=hint, code=code, domain="bbox")
    if code in (errno.ENODEV, errno.ENOENT):
        return NoSuchView(message, hint="the camera has no such channel or view", code=code, domain="bbox")
    kind = BadDrawing if code == errno.EINVAL else DrawingFailed
    return kind(message, code=code, domain="bbox")


# axo_err_code
_OVERLAY_INVALID, _OVERLAY_NOT_AVAILABLE = 1, 5


def overlay_error(code: int, text: str, doing: str) -> DrawingError:
    """Return the exception for an error of the library for overlays: its *code* and *text*, and what was being done."""
    message = f"cannot {doing}: {text}"
    if code == _OVERLAY_NOT_AVAILABLE:
        hint = 'the manifest needs "overlay": {"enabled": true} among its resources, and the group "video"'
        return DrawingDenied(message, hint=hint, code=code, domain="axoverlay2")
    kind = BadDrawing if code == _OVERLAY_INVALID else DrawingFailed
    return kind(message, code=code, domain="axoverlay2")


def older_overlay_error(code: int, text: str, doing: str) -> DrawingError:
    """Return the exception for an error of the older library for overlays."""
    message = f"cannot {doing}: {text}"
    if code == _AXOVERLAY_UNAVAILABLE:
        hint = 'add "video" to resources.linux.user.groups in the manifest'
        return DrawingDenied(message, hint=hint, code=code, domain="axoverlay")
    kind = BadDrawing if code in _AXOVERLAY_BAD else DrawingFailed
    return kind(message, code=code, domain="axoverlay")


# axoverlay_error_code
_AXOVERLAY_BAD, _AXOVERLAY_UNAVAILABLE = (1000, 5000), 6000

# AXStorageErrorCode
_STORAGE_GENERIC, _STORAGE_ARGUMENT = 0, 1


def storage_error(code: int, text: str, doing: str) -> StorageError:
    """Return the exception for an error of the library for storage: its *code* and *text*, and what was being done."""
    message = f"cannot {doing}: {text}"
    if code == _STORAGE_ARGUMENT:
        return NoSuchStorage(message, hint='it is "SD_DISK" or "NetworkShare"', code=code, domain="axstorage")
    if code == _STORAGE_GENERIC and "group" in text:
        hint = 'add "storage" to resources.linux.user.groups in the manifest'
        return StorageDenied(message, hint=hint, code=code, domain="axstorage")
    return StorageFailed(message, code=code, domain="axstorage")


# AXEventErrorCode
_EVENT_GENERIC, _EVENT_ARGUMENT, _EVENT_VALUE, _EVENT_KEY = 0, 1, 2, 8


def event_error(code: int, text: str, doing: str) -> EventError:
    """Return the exception for an error of the library for events: its *code* and *text*, and what was being done."""
    kinds: dict[int, type[EventError]] = {
        _EVENT_GENERIC: EventsDown,
        _EVENT_ARGUMENT: BadEvent,
        _EVENT_VALUE: WrongEventType,
        _EVENT_KEY: NoSuchEventKey,
    }
    return kinds.get(code, EventFailed)(f"cannot {doing}: {text}", code=code, domain="axevent")


# Codes of AXParameter.
_PARAMETER_ARGUMENT, _PARAMETER_GET, _PARAMETER_PATH, _PARAMETER_EXIST, _PARAMETER_ADDED = 0, 9, 10, 12, 13
_PARAMETER_DBUS = 16


def parameter_error(code: int, text: str, doing: str) -> ParameterError:
    """Return the exception for an error of the library for parameters: *code*, *text*, and what was being done."""
    kinds: dict[int, type[ParameterError]] = {
        _PARAMETER_ARGUMENT: BadParameter,
        _PARAMETER_PATH: BadParameter,
        _PARAMETER_GET: NoSuchParameter,
        _PARAMETER_EXIST: NoSuchParameter,
        _PARAMETER_ADDED: ParameterExists,
        _PARAMETER_DBUS: ParametersDown,
    }
    return kinds.get(code, ParameterFailed)(f"cannot {doing}: {text}", code=code, domain="axparameter")


# mdb_error_code_t and DHErrorCode, with what to do.
_BROKER: dict[int, type[MessageError]] = {-1: MessageDenied, -2: MessagesDown, -5: MessageTimeout, -6: BadMessage}
_HUB: dict[int, type[MessageError]] = {
    **dict.fromkeys((0, 1, 15, 16, 17), BadMessage),
    **dict.fromkeys((2, 14), MessagesDown),
    7: NoSuchTopic,
    11: MessageDenied,
    12: TopicExists,
}
_HUB_HINT = (
    'the manifest needs "deviceDataHub": {"enabled": true} among its resources, and an accessControlList for '
    "topics of other apps"
)
_BROKER_HINT = "let the camera choose the app's user: the message broker refuses root, and it decides for each topic"


def message_error(code: int, text: str, doing: str, domain: str) -> MessageError:
    """Return the exception for an error of the library *domain*: *code*, *text*, and what was being done."""
    kind = (_BROKER if domain == "mdb" else _HUB).get(code, MessageFailed)
    if kind is MessageFailed and "authoriz" in text.lower():  # its code is in no source
        kind = MessageDenied
    hint = ""
    if kind is MessageDenied or (kind is MessagesDown and domain == "datahub"):
        hint = _BROKER_HINT if domain == "mdb" else _HUB_HINT
    return kind(f"cannot {doing}: {text}", hint=hint, code=code, domain=domain)


# larod's error codes.
_LOAD_MODEL, _MODEL_NOT_FOUND, _PERMISSION, _CONNECTION, _INVALID_CHIP, _MISMATCH, _POWER = -2, -4, -5, -6, -9, -12, -15


def model_error(code: int, text: str, doing: str) -> ModelError:
    """Return the exception for an error of the inference library: its *code* and *text*, and what was being done."""
    message = f"cannot {doing}: {text}"
    kinds: dict[int, type[ModelError]] = {
        _LOAD_MODEL: BadModel,
        _PERMISSION: InferenceDenied,
        _CONNECTION: InferenceDown,
        _MODEL_NOT_FOUND: InferenceDown,
        _INVALID_CHIP: NoSuchDevice,
        _MISMATCH: WrongShape,
        _POWER: NoPower,
    }
    return kinds.get(code, InferenceFailed)(message, code=code, domain="larod")
