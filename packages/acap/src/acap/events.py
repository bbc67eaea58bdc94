"""Events: those of the app, which the camera's rules and other apps see, and those of the camera.

    door = acap.events.State("Door", open=False, nice_name="Door")
    door.open = True  # sent
    acap.events.Pulse("Knock").send(strength=3)

    for event in acap.events.subscribe("tns1:Device/tnsaxis:IO/Port", "state", port=1):
        print(event.time, event.data)

A state has a value at any time, and who subscribes to it gets it at once. A pulse is there for a moment. On a desk,
ACAP_EVENTS names a file, or is "stderr": events are written there, and come to the subscriptions of the same program.
"""

from __future__ import annotations

import datetime
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeVar

from . import handlers
from .app import app_name
from .errors import (
    BadEvent,
    EventClosed,
    EventTimeout,
    MissingEventKey,
    NoSuchEventKey,
    WrongEventType,
)
from .on_desk import desk_path

if TYPE_CHECKING:
    from types import TracebackType

    from ._events import Pair

__all__ = ["Event", "Pulse", "State", "Subscription", "on", "subscribe"]


class _Scalar(Protocol):
    """A number of numpy."""

    def item(self) -> Any: ...


Value = bool | int | float | str
Given = Value | _Scalar
_Function = TypeVar("_Function", bound=Callable[..., object])

_PLATFORM = "CameraApplicationPlatform"
_OWN, _STANDARD = b"tnsaxis", b"tns1"
# AXEventValueType
_TYPES: dict[type[Any], int] = {int: 0, bool: 1, float: 2, str: 3}
_NAMES = {0: "int", 1: "bool", 2: "float", 3: "str"}
_PART = re.compile(r"[\w.\-]+")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECONDS = 10.0  # how long the camera may take for a declaration


class Event(NamedTuple):
    """An event that has come."""

    topic: str
    """What it is about, as "tns1:Device/tnsaxis:IO/Port"."""
    time: datetime.datetime
    """When it was sent, in UTC."""
    data: dict[str, Value]
    """The values of the keys that the subscription names."""


class _Declared:
    """An event of the app, as the camera knows it."""

    topic: str
    """Its topic, as subscriptions name it."""

    def _begin(self, name: str, types: Mapping[str, int], source: Mapping[str, Value] | None) -> None:
        topic = _topic(name, own=True)
        keys = set(types) | set(source or ())
        if bad := next((key for key in keys if not _PART.fullmatch(key)), None):
            raise BadEvent(f"the event {name} cannot have the key {bad!r}", hint="use letters, digits and _")
        if both := set(types) & set(source or ()):
            raise BadEvent(f"{min(both)} is a source of the event {name}, and a value")
        given = {key: _value(name, key, value) for key, value in (source or {}).items()}
        set_ = object.__setattr__
        set_(self, "topic", _show([(space.decode(), part) for space, part in topic]))
        set_(self, "_name", name)
        set_(self, "_topic", topic)
        set_(self, "_types", dict(types))
        set_(self, "_source", {key: (_TYPES[type(value)], value) for key, value in given.items()})
        set_(self, "_declaration", None)

    def _declare(
        self,
        values: Mapping[str, Value | None],
        nice_name: str | None,
        nice_names: Mapping[str, str],
        *,
        stateless: bool,
        tag: str | None,
    ) -> None:
        last = len(self._topic) - 1
        pairs: list[Pair] = []
        for number, (space, part) in enumerate(self._topic):
            nice = nice_name.encode() if nice_name and number == last else None
            mark = tag.encode() if tag and number == last else None
            pairs.append((b"topic%d" % number, space, 3, part.encode(), "", nice, mark))
        for key, (kind, value) in self._source.items():
            pairs.append((key.encode(), None, kind, _raw(value), "s", _nice(nice_names, key), None))
        for key, kind in self._types.items():
            pairs.append((key.encode(), None, kind, _raw(values.get(key)), "d", _nice(nice_names, key), None))
        declaration = _camera().Declaration(pairs, stateless)
        if not handlers.readable(declaration.fd, _SECONDS) or not declaration.is_declared():
            declaration.close()
            raise EventTimeout(f"the camera did not declare the event {self._name} within {_SECONDS:g} s")
        object.__setattr__(self, "_declaration", declaration)

    def _send(self, values: Mapping[str, Value]) -> None:
        if self._declaration is None:
            raise EventClosed(f"the event {self._name} was closed")
        pairs: list[Pair] = [
            (key.encode(), None, kind, _raw(value), "", None, None) for key, (kind, value) in self._source.items()
        ]
        pairs += [(key.encode(), None, kind, _raw(values[key]), "", None, None) for key, kind in self._types.items()]
        self._declaration.send(pairs)

    def close(self) -> None:
        """Take the event back: the camera no longer lists it."""
        declaration = self._declaration
        object.__setattr__(self, "_declaration", None)
        if declaration is not None:
            declaration.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    if TYPE_CHECKING:
        _name: str
        _topic: list[tuple[bytes, str]]
        _types: dict[str, int]
        _source: dict[str, tuple[int, Value]]
        _declaration: Any


class State(_Declared):
    """A state of the app, such as State("Door", open=False): its keys with their first values (bool, int, float, str).

    A key is an attribute: `door.open = True` sends the event, unless it is True already. *nice_name*: how the camera's
    pages call the event, *nice_names*: its keys. *source*: keys that tell several events of one name apart, as
    {"door": 2}. *tag*: a mark for the event, such as "isApplicationData". *name* may be a whole topic with its name
    spaces, as "tns1:Monitoring/tnsaxis:Load".

    Rules of the camera can only start with an event that has exactly one key besides its source.

    Raises BadEvent, EventTimeout, EventsDown, EventFailed, LibraryMissing. A value of another type raises
    WrongEventType.
    """

    def __init__(
        self,
        name: str,
        /,
        *,
        nice_name: str | None = None,
        nice_names: Mapping[str, str] | None = None,
        source: Mapping[str, Value] | None = None,
        tag: str | None = None,
        **keys: Given,
    ) -> None:
        if not keys:
            raise BadEvent(f"the state {name} has no value", hint='give it one, as in State("Door", open=False)')
        if bad := next((key for key in keys if hasattr(State, key) or key in ("topic", "__dict__")), None):
            raise BadEvent(f"the state {name} cannot have the key {bad}, which is an attribute of every state")
        values = {key: _value(name, key, value) for key, value in keys.items()}
        self._begin(name, {key: _TYPES[type(value)] for key, value in values.items()}, source)
        object.__setattr__(self, "_values", values)
        self._declare(values, nice_name, nice_names or {}, stateless=False, tag=tag)

    @property
    def values(self) -> dict[str, Value]:
        """The values now, by their keys."""
        return dict(self._values)

    def set(self, **keys: Given) -> None:
        """Change several keys with one event. Nothing is sent when all of them have their values already."""
        new = {key: _fitting(self._name, self._types, key, value) for key, value in keys.items()}
        if all(self._values[key] == value for key, value in new.items()):
            if self._declaration is None:
                raise EventClosed(f"the event {self._name} was closed")
            return
        self._send(self._values | new)
        self._values.update(new)

    def __getattr__(self, key: str) -> Any:
        values = self.__dict__.get("_values", {})
        if key in values:
            return values[key]
        raise AttributeError(f"the event {self.__dict__.get('_name')} has no key {key!r}")

    def __setattr__(self, key: str, value: Given) -> None:
        self.set(**{key: value})

    if TYPE_CHECKING:
        _values: dict[str, Value]


class Pulse(_Declared):
    """An event without a state, such as Pulse("Knock", strength=float): its keys with their types.

    Without keys, those of the first call of `send` count. The other arguments are as in `State`. Raises as it does.
    """

    def __init__(
        self,
        name: str,
        /,
        *,
        nice_name: str | None = None,
        nice_names: Mapping[str, str] | None = None,
        source: Mapping[str, Value] | None = None,
        tag: str | None = None,
        **keys: type[Value],
    ) -> None:
        for key, kind in keys.items():
            if kind not in _TYPES:
                raise BadEvent(f"the event {name} cannot have a key {key} of {kind!r}", hint=_ONLY_TYPES)
        self._begin(name, {key: _TYPES[kind] for key, kind in keys.items()}, source)
        self._nice: tuple[str | None, dict[str, str], str | None] = (nice_name, dict(nice_names or {}), tag)
        self._closed = False
        if keys:
            self._open()

    def _open(self) -> None:
        nice_name, nice_names, tag = self._nice
        self._declare({}, nice_name, nice_names, stateless=True, tag=tag)

    def send(self, **keys: Given) -> None:
        """Send the event with all its keys. Raises MissingEventKey, NoSuchEventKey, WrongEventType, EventsDown."""
        if self._closed:
            raise EventClosed(f"the event {self._name} was closed")
        if self._declaration is None:
            values = {key: _value(self._name, key, value) for key, value in keys.items()}
            self._begin_again(values)
            self._open()
        values = {key: _fitting(self._name, self._types, key, value) for key, value in keys.items()}
        if missing := next((key for key in self._types if key not in values), None):
            raise MissingEventKey(f"the event {self._name} is sent without its key {missing}")
        self._send(values)

    def _begin_again(self, values: Mapping[str, Value]) -> None:
        """Take the keys of the first event."""
        source = {key: value for key, (_, value) in self._source.items()}
        self._begin(self._name, {key: _TYPES[type(value)] for key, value in values.items()}, source)

    def close(self) -> None:
        """Take the event back: the camera no longer lists it."""
        self._closed = True
        super().close()


class Subscription:
    """Events that come, in a `for` or an `async for` loop. It is made by `subscribe`.

    *timeout*: seconds after which a loop ends when no event comes, None for never.
    """

    def __init__(
        self, topic: str = "", *keys: str, timeout: float | None = None, match: Mapping[str, Value] | None = None
    ) -> None:
        self.topic = topic
        self.timeout = timeout
        self._events: deque[Event] = deque()
        wanted = dict.fromkeys(keys)
        pairs: list[Pair] = []
        for number, (space, part) in enumerate(_topic(topic, own=False) if topic else ()):
            pairs.append((b"topic%d" % number, space, 3, part.encode(), "", None, None))
        for key, value in (match or {}).items():
            wanted[key] = None
            given = _value(topic or "of any topic", key, value)
            pairs.append((*_key(key), _TYPES[type(given)], _raw(given), "", None, None))
        self._keys = [_key(key) for key in wanted]
        self._subscription = _camera().Subscription(pairs)

    def fileno(self) -> int:
        """The file descriptor that is readable when events have come."""
        return int(self._subscription.fd)

    def take(self) -> list[Event]:
        """Return the events that have come, without waiting."""
        self._fill()
        events = list(self._events)
        self._events.clear()
        return events

    def _fill(self) -> None:
        for microseconds, topic, data in self._subscription.take(self._keys):
            time = _EPOCH + datetime.timedelta(microseconds=microseconds)
            self._events.append(Event(_show(topic), time, data))

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        self._fill()
        while not self._events:
            if self.fileno() < 0 or not handlers.readable(self.fileno(), self.timeout):
                raise StopIteration
            self._fill()
        return self._events.popleft()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        self._fill()
        while not self._events:
            if self.fileno() < 0 or not await handlers.readable_async(self, self.timeout):
                raise StopAsyncIteration
            self._fill()
        return self._events.popleft()

    def close(self) -> None:
        """End the subscription."""
        self._subscription.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def subscribe(topic: str = "", *keys: str, timeout: float | None = None, **match: Value) -> Subscription:
    """Return the events with *topic*, or with any that begins with it; with no topic, all.

    *keys*: names of the values that `Event.data` shall have, as a camera cannot list those of an event. *match*: keys
    with the values that an event must have, as port=1; `Event.data` has them, too. A key may have a name space, as
    "tnsaxis:level". States that are known come at once. *timeout*: seconds after which a loop ends when nothing comes.

    Each part of a topic has the name space of the part before: "tns1:Device/tnsaxis:IO/Port". Without one, it is
    tnsaxis. Raises BadEvent, EventsDown, EventFailed, LibraryMissing.
    """
    return Subscription(topic, *keys, timeout=timeout, match=match)


def on(topic: str = "", *keys: str, **match: Value) -> Callable[[_Function], _Function]:
    """Call the decorated function with each `Event`: in the running event loop, or in `acap.wait` of this thread.

    The arguments are as in `subscribe`. In an event loop, it may be a coroutine function.
    """

    def decorate(function: _Function) -> _Function:
        handlers.add_handler(Subscription(topic, *keys, match=match), function)
        return function

    return decorate


_ONLY_TYPES = "use bool, int, float or str"


def _topic(name: str, *, own: bool) -> list[tuple[bytes, str]]:
    """Return the parts of a topic, each with its name space. A name without a name space is one of the app's own."""
    if own and ":" not in name:
        if not _PART.fullmatch(name):
            raise BadEvent(f"{name!r} is no name of an event", hint="use letters, digits, _, - and .")
        return [(_OWN, _PLATFORM), (_OWN, app_name()), (_OWN, name)]
    parts: list[tuple[bytes, str]] = []
    space = _OWN
    for text in name.split("/"):
        prefix, colon, part = text.rpartition(":")
        if colon:
            if prefix.encode() not in (_OWN, _STANDARD):
                raise BadEvent(f"{name!r} is no topic: {prefix!r} is no name space", hint="it is tns1 or tnsaxis")
            space = prefix.encode()
        if not _PART.fullmatch(part):
            raise BadEvent(f"{name!r} is no topic: {part!r} is no part of one", hint="as tns1:Device/tnsaxis:IO/Port")
        parts.append((space, part))
    return parts


def _show(topic: list[tuple[str, str]]) -> str:
    """Return a topic as text: a name space stands only where it changes."""
    shown, before = [], ""
    for space, part in topic:
        shown.append(part if space == before else f"{space}:{part}")
        before = space
    return "/".join(shown)


def _key(text: str) -> tuple[bytes, bytes | None]:
    space, colon, key = text.rpartition(":")
    return key.encode(), space.encode() if colon else None


def _value(name: str, key: str, value: Any) -> Value:
    """Return *value* as a Python value that an event can have: numpy's become Python's. Raises BadEvent."""
    if type(value) not in _TYPES and callable(getattr(value, "item", None)):
        value = value.item()
    if type(value) not in _TYPES:
        kind = type(value).__name__
        raise BadEvent(f"the event {name} cannot have the key {key} with a value of {kind}", hint=_ONLY_TYPES)
    if type(value) is int and not -(2**31) <= value < 2**31:
        raise BadEvent(f"the event {name} cannot have {key}={value}", hint="an int has 32 bits; use float")
    if isinstance(value, str) and "\0" in value:
        raise BadEvent(f"the text of {key} in the event {name} has a zero byte")
    result: Value = value
    return result


def _fitting(name: str, types: Mapping[str, int], key: str, value: Any) -> Value:
    """Return *value* if the event has the *key* with its type. Raises NoSuchEventKey, WrongEventType, BadEvent."""
    if key not in types:
        raise NoSuchEventKey(f"the event {name} has no key {key!r}", hint=f"it has {', '.join(types) or 'none'}")
    given = _value(name, key, value)
    if types[key] == _TYPES[float] and type(given) is int:
        return float(given)
    if _TYPES[type(given)] != types[key]:
        kind = type(given).__name__
        raise WrongEventType(f"the key {key} of the event {name} takes {_NAMES[types[key]]}, not {kind}")
    return given


def test_keys(topic: str, values: Mapping[str, Any]) -> dict[tuple[bytes, bytes | None], Any]:
    """Return what an event with *topic* and *values* is for the camera of a test."""
    keys: dict[tuple[bytes, bytes | None], Any] = {
        (b"topic%d" % number, space): part for number, (space, part) in enumerate(_topic(topic, own=False))
    }
    return keys | {_key(key): _value(topic, key, value) for key, value in values.items()}


def _raw(value: Value | None) -> Any:
    return value.encode() if isinstance(value, str) else value


def _nice(names: Mapping[str, str], key: str) -> bytes | None:
    return names[key].encode() if key in names else None


def _camera() -> Any:
    if replaced is not None:
        return replaced
    if (place := desk_path("ACAP_EVENTS")) is not None:
        from .desk.events import desk_events

        return desk_events(place)
    from . import _events

    return _events


replaced: Any = None
"""What stands in for the camera in a test."""
