"""Events on a desk: they are written to a file or to stderr, and come to the subscriptions of the same program."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import EventFailed
from .mailbox import Mailbox

if TYPE_CHECKING:
    from .._events import Pair

Keys = dict[tuple[bytes, bytes | None], Any]
Tell = Callable[[str, dict[str, Any]], None]


class Events:
    """What `acap._events` is for a camera. *tell* is called with the topic and the values of each event of the app."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = threading.RLock()
        self.states: dict[object, tuple[int, Keys]] = {}
        self.subscriptions: list[_Subscription] = []

    def Declaration(self, pairs: Iterable[Pair], stateless: bool) -> _Declaration:
        return _Declaration(self, list(pairs), stateless)

    def Subscription(self, pairs: Iterable[Pair]) -> _Subscription:
        return _Subscription(self, pairs)

    def begin(self, subscription: _Subscription) -> None:
        """Add a subscription, and give it the states that there are."""
        with self._lock:
            self.subscriptions.append(subscription)
            for microseconds, keys in self.states.values():
                subscription.offer(microseconds, keys)

    def publish(self, keys: Keys, state_of: object | None, *, told: bool = True) -> None:
        """Give an event to all who want it. *state_of*: whose state it is, None for a pulse. *told*: it was sent."""
        microseconds = time.time_ns() // 1000
        with self._lock:
            if state_of is not None:
                self.states[state_of] = microseconds, keys
            subscriptions = list(self.subscriptions)
            for subscription in subscriptions:
                subscription.offer(microseconds, keys)
        if told:
            topic = topic_of(keys)
            before, shown = "", []
            for space, part in topic:
                shown.append(part if space == before else f"{space}:{part}")
                before = space
            self._tell("/".join(shown), {key.decode(): keys[key, space] for key, space in keys if not _is_topic(key)})


class _Declaration:
    """An event of the app."""

    def __init__(self, events: Events, pairs: list[Pair], stateless: bool) -> None:
        self._events, self._stateless = events, stateless
        self._keys: Keys = {(key, space): _python(value) for key, space, _, value, *_ in pairs}
        self._done = Mailbox()
        self._done.put(None)
        if not stateless:
            events.publish(dict(self._keys), self, told=False)

    @property
    def fd(self) -> int:
        return self._done.fd

    def is_declared(self) -> bool:
        return True

    def send(self, pairs: Iterable[Pair]) -> None:
        keys = self._keys | {(key, space): _python(value) for key, space, _, value, *_ in pairs}
        self._events.publish(keys, None if self._stateless else self)

    def close(self) -> None:
        self._events.states.pop(self, None)
        self._done.close()


class _Subscription:
    """Events that come."""

    def __init__(self, events: Events, pairs: Iterable[Pair]) -> None:
        self._events = events
        self._wanted: Keys = {(key, space): _python(value) for key, space, _, value, *_ in pairs}
        self._mailbox = Mailbox()
        events.begin(self)

    @property
    def fd(self) -> int:
        return self._mailbox.fd

    def offer(self, microseconds: int, keys: Keys) -> None:
        """Take an event if it is wanted."""
        for key, value in self._wanted.items():
            found = keys.get(key)
            if found is None or type(found) is not type(value) or found != value:
                return
        self._mailbox.put((microseconds, keys))

    def take(
        self, keys: Sequence[tuple[bytes, bytes | None]]
    ) -> list[tuple[int, list[tuple[str, str]], dict[str, Any]]]:
        return [
            (microseconds, topic_of(found), {key[0].decode(): found[key] for key in keys if found.get(key) is not None})
            for microseconds, found in self._mailbox.take()
        ]

    def close(self) -> None:
        if self in self._events.subscriptions:
            self._events.subscriptions.remove(self)
        self._mailbox.close()


@cache
def desk_events(place: Path) -> Events:
    """Return the events that are written to the file *place*, or to stderr."""
    if str(place) == "stderr":
        return Events(_tell_stderr)

    def tell(topic: str, data: dict[str, Any]) -> None:
        try:
            with place.open("a", encoding="utf-8") as stream:
                stream.write(_line(topic, data))
        except OSError as error:
            raise EventFailed(f"cannot write {place}: {error.strerror}", domain="desk") from error

    return Events(tell)


def _tell_stderr(topic: str, data: dict[str, Any]) -> None:
    sys.stderr.write(_line(topic, data))
    sys.stderr.flush()


def _line(topic: str, data: dict[str, Any]) -> str:
    """Return an event as a line of text: `event: tnsaxis:CameraApplicationPlatform/app/Door open=true`."""
    import json

    values = "".join(f" {key}={json.dumps(value, ensure_ascii=False)}" for key, value in data.items())
    return f"event: {topic}{values}\n"


def _is_topic(key: bytes) -> bool:
    return key.startswith(b"topic") and key[5:].isdigit()


def _python(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def topic_of(keys: Keys) -> list[tuple[str, str]]:
    """Return the parts of an event's topic, each with its name space."""
    parts = sorted(
        (int(key[5:]), space.decode(), value) for (key, space), value in keys.items() if _is_topic(key) and space
    )
    return [(space, value) for _, space, value in parts]
