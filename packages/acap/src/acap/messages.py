"""Messages: what the camera's analytics and other apps publish, and topics of the app. Data are dicts.

    for message in acap.messages.subscribe("com.axis.scene.frame.v1"):
        for detection in message.data.get("detections", ()):
            ...

    with acap.messages.Topic("people") as people:  # acap.APP.people
        people.write({"count": 3})

AXIS OS has the Device Data Hub since 12.11; the manifest asks for it with `"deviceDataHub": {"enabled": true}` among
its resources. Before, from 11.9 on, it has the message broker, which can only be read. The Data Hub has the broker's
topics with "mdb." before their names, so that "mdb.com.axis.analytics_scene_description.v0.beta" is right for both.

On a desk, ACAP_MESSAGES names a file with lines such as {"topic": "com.axis.scene.frame.v1", "data": {…}}. They come
to each subscription, and so do lines that are added while the app runs. ACAP_MESSAGES=stderr stands for no such file.
What the app writes is printed on stderr, and comes to the subscriptions of the same program.
"""

from __future__ import annotations

import datetime
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeVar

from . import handlers
from .app import app_name
from .errors import BadMessage, LibraryMissing, MessagesClosed, NotSupported
from .on_desk import desk_path

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Message", "Subscription", "Topic", "on", "service", "set_logging", "subscribe", "topics"]

_Function = TypeVar("_Function", bound=Callable[..., object])
Level = Literal["off", "critical", "error", "warning", "info", "debug", "trace"]

_NAME = re.compile(r"\w[\w.\-]*", re.ASCII)
_PLATFORM = "acap"  # an app may use topics that begin with it and its name
_BROKERS = "mdb."
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# How often a loop looks whether the connection is still there.
_LOOK_SECONDS = 2.0


class Message(NamedTuple):
    """A message that has come."""

    topic: str
    """Its topic, as the camera's service names it."""
    data: Any
    """What it says: a dict, for all known topics. What is not JSON stays bytes."""
    time: datetime.datetime
    """When it came to the app, in UTC. Most data have a time of their own."""
    stamp: float | None
    """The message broker's own time in seconds. Of which clock is not documented. None from the Data Hub."""
    historical: bool
    """Whether it was there before the subscription (`history=True`)."""


class Subscription:
    """Messages that come, in a `for` or an `async for` loop. It is made by `subscribe`.

    *timeout*: seconds after which a loop ends when no message comes, None for never. A loop that is too slow loses the
    oldest messages, once more than *most* wait. When the connection is lost, it raises MessagesDown: then subscribe
    again.
    """

    def __init__(
        self,
        *names: str,
        channel: int | str = 1,
        history: bool = False,
        most: int = 1000,
        timeout: float | None = None,
    ) -> None:
        if not names:
            raise BadMessage("a subscription needs a topic")
        if most < 1:
            raise BadMessage(f"at least one message must be able to wait, not {most}")
        for name in names:
            if not _NAME.fullmatch(name):
                raise BadMessage(f"{name!r} is no name of a topic", hint="as com.axis.scene.frame.v1")
        self.topics = names
        self.timeout = timeout
        self._messages: deque[Message] = deque()
        camera = _camera()
        self._prefix = "" if hasattr(camera, "Topic") else _BROKERS
        wanted = [name.removeprefix(self._prefix).encode() for name in names]
        self._subscription = camera.Subscription(wanted, str(channel).encode(), history, most)

    @property
    def dropped(self) -> int:
        """How many messages were lost because the app was too slow."""
        return int(self._subscription.dropped)

    def fileno(self) -> int:
        """The file descriptor that is readable when messages have come."""
        return int(self._subscription.fd)

    def take(self) -> list[Message]:
        """Return the messages that have come, without waiting. Raises MessagesDown."""
        self._fill()
        messages = list(self._messages)
        self._messages.clear()
        return messages

    def _fill(self) -> None:
        for topic, data, came, stamp, historical in self._subscription.take():
            moment = _EPOCH + datetime.timedelta(seconds=came)
            self._messages.append(Message(topic, _parse(data), moment, stamp, historical))

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        end = None if self.timeout is None else time.monotonic() + self.timeout
        self._fill()
        while not self._messages:
            rest = _rest(end)
            if self.fileno() < 0 or rest <= 0:
                raise StopIteration
            handlers.readable(self.fileno(), rest)
            self._fill()
        return self._messages.popleft()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        end = None if self.timeout is None else time.monotonic() + self.timeout
        self._fill()
        while not self._messages:
            rest = _rest(end)
            if self.fileno() < 0 or rest <= 0:
                raise StopAsyncIteration
            await handlers.readable_async(self, rest)
            self._fill()
        return self._messages.popleft()

    def close(self) -> None:
        """End the subscription."""
        self._subscription.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Topic:
    """A topic of the Data Hub that the app writes, until it is closed.

    A *name* without a dot is one of the app's own: Topic("people") is acap.APP.people, which needs no access rights.
    Without *schema*, a topic that is there is used, and else one is made that takes any object. With a *schema* (JSON
    Schema as a dict), the topic is made anew, so that it has this one.

    When it is closed, a topic that was made is deleted, unless *keep*.

    Raises BadMessage, MessageDenied, MessageFailed, MessagesDown, LibraryMissing; and NotSupported in a camera that has
    the message broker only.
    """

    def __init__(
        self,
        name: str,
        schema: Mapping[str, Any] | None = None,
        *,
        description: str = "",
        version: str = "1.0",
        keep: bool = False,
    ) -> None:
        import json

        if not _NAME.fullmatch(name):
            raise BadMessage(f"{name!r} is no name of a topic", hint="use letters, digits, _, - and .")
        self.name = name if "." in name else f"{_PLATFORM}.{app_name()}.{name}"
        definition = {
            "topic_name": self.name,
            "description": description or self.name,
            "version": version,
            "data_schema": {"type": "object"} if schema is None else dict(schema),
        }
        camera = _camera()
        if not hasattr(camera, "Topic"):
            raise NotSupported(
                f"the topic {name} cannot be written: this camera has the message broker, which can only be read",
                hint="AXIS OS 12.11 has the Data Hub",
            )
        self._keep = keep
        self._topic: Any = camera.Topic(self.name.encode(), _json(json, definition), schema is not None)

    def write(self, data: Mapping[str, Any], instance: Mapping[str, Any] | None = None) -> None:
        """Send *data*, of what JSON knows, to all who subscribe to the topic.

        *instance*: keys with values that tell several sources of one topic apart, as {"channel_id": 1}. Raises
        BadMessage, MessageDenied, MessagesClosed, MessagesDown, MessageFailed.
        """
        import json

        self._open().write(None if instance is None else _json(json, dict(instance)), _json(json, dict(data)))

    def announce(self, instance: Mapping[str, Any] | None = None) -> None:
        """Tell the camera that the app will write, so that `has_readers` is known before the first message."""
        import json

        self._open().write(None if instance is None else _json(json, dict(instance)), None)

    def _open(self) -> Any:
        if self._topic is None:
            raise MessagesClosed(f"the topic {self.name} was closed")
        return self._topic

    @property
    def has_readers(self) -> bool:
        """Whether somebody subscribes to it, as far as the camera has told. It does after `announce` or `write`."""
        return bool(self._open().is_read)

    def close(self) -> None:
        """End writing, and delete the topic if it was made here and is not kept."""
        topic, self._topic = self._topic, None
        if topic is not None:
            topic.close(not self._keep)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def subscribe(
    *names: str, channel: int | str = 1, history: bool = False, most: int = 1000, timeout: float | None = None
) -> Subscription:
    """Return the messages of the topics *names*.

    *channel*: of which channel, for the message broker. The Data Hub sends those of all channels, and the data say
    which it is. *history*: also what was sent before, as far as the Data Hub keeps it. *most*: how many messages may
    wait. *timeout*: seconds after which a loop ends when nothing comes.

    Raises BadMessage, MessageDenied, MessageFailed, MessagesDown, MessageTimeout, NoSuchTopic, LibraryMissing.
    """
    return Subscription(*names, channel=channel, history=history, most=most, timeout=timeout)


def on(*names: str, channel: int | str = 1, history: bool = False) -> Callable[[_Function], _Function]:
    """Call the decorated function with each `Message`: in the running event loop, or in `acap.wait` of this thread.

    The arguments are as in `subscribe`. In an event loop, it may be a coroutine function.
    """

    def decorate(function: _Function) -> _Function:
        handlers.add_handler(Subscription(*names, channel=channel, history=history), function)
        return function

    return decorate


def topics() -> list[str]:
    """Return the names of all topics that the camera has now. Raises NotSupported with the message broker."""
    camera = _camera()
    if not hasattr(camera, "topics"):
        raise NotSupported("the message broker cannot list its topics", hint="AXIS OS 12.11 has the Data Hub")
    return sorted(camera.topics())


def service() -> str:
    """Return what the messages come from: "data-hub", "broker", or "desk". Raises LibraryMissing."""
    return _NAMES.get(_camera().__name__, "desk")


def set_logging(level: Level, *, to_syslog: bool = True) -> None:
    """Choose what the Data Hub's library logs: to the system's log, or to the app's output. The broker has no such."""
    if level not in _LEVELS:
        raise BadMessage(f"{level!r} is no level of logging", hint=", ".join(_LEVELS))
    camera = _camera()
    if hasattr(camera, "set_logging"):
        camera.set_logging(level, to_syslog)


_LEVELS = ("off", "critical", "error", "warning", "info", "debug", "trace")
_NAMES = {"acap._datahub": "data-hub", "acap._mdb": "broker"}


def _rest(end: float | None) -> float:
    """Return for how long to wait until the connection is looked at again; 0 when the time is over."""
    return _LOOK_SECONDS if end is None else min(_LOOK_SECONDS, end - time.monotonic())


def _parse(data: bytes) -> Any:
    import json

    try:
        return json.loads(data)
    except ValueError:
        return data


def _json(json: Any, data: Any) -> bytes:
    try:
        text: str = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise BadMessage(f"a message cannot have these data: {error}", hint="use what JSON knows") from error
    return text.encode()


def _camera() -> Any:
    """Return the service, connected."""
    global _at_exit
    if replaced is not None:
        return replaced
    if (place := desk_path("ACAP_MESSAGES")) is not None:
        from .desk.messages import desk_messages

        return desk_messages(place)
    from . import _datahub

    camera: Any
    try:
        _datahub.open_library(app_name().encode())
        camera = _datahub
    except LibraryMissing as first:
        from . import _mdb

        try:
            _mdb.open_library()
        except LibraryMissing as error:
            hint = (
                "AXIS OS 12.11 and newer have the Data Hub, and 11.9 to 12 the message broker, but not on all chips; "
                "on a desk, set ACAP_MESSAGES=stderr"
            )
            raise LibraryMissing(f"this camera has no messages: {first}; {error}", hint=hint) from None
        camera = _mdb
    if not _at_exit:
        import atexit

        _at_exit = True
        atexit.register(camera.close_library)
    return camera


_at_exit = False
replaced: Any = None
"""What stands in for the camera in a test."""
