"""Messages on a desk: lines of a file, and what the program itself writes."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import BadMessage, MessageFailed
from .mailbox import Mailbox

_LOOK_SECONDS = 0.2
Tell = Callable[[str, Any], None]
Line = tuple[str, bytes]


class Messages:
    """What `acap._datahub` is for a camera. *tell* is called with the topic and the data of what the app writes."""

    __name__ = "desk"

    def __init__(self, tell: Tell, path: Path | None = None) -> None:
        self._tell, self._path = tell, path
        self._lock = threading.RLock()
        self._lines: list[Line] = []
        self._number = 0
        self._thread: threading.Thread | None = None
        self.subscriptions: list[_Subscription] = []
        self.written: dict[str, int] = {}

    def Subscription(self, topics: Sequence[bytes], source: bytes, history: bool, most: int) -> _Subscription:
        return _Subscription(self, {topic.decode() for topic in topics}, most)

    def Topic(self, name: bytes, definition: bytes, anew: bool) -> _Topic:
        return _Topic(self, name.decode())

    def topics(self) -> list[str]:
        with self._lock:
            self._read()
            return sorted({topic for topic, _ in self._lines} | set(self.written))

    def begin(self, subscription: _Subscription) -> None:
        """Add a subscription, and give it the messages of the file."""
        with self._lock:
            self._read()
            self.subscriptions.append(subscription)
            for topic, data in self._lines:
                subscription.offer(topic, data)
            if self._path is not None and self._thread is None:
                self._thread = threading.Thread(target=self._follow, name="acap messages", daemon=True)
                self._thread.start()

    def end(self, subscription: _Subscription) -> None:
        with self._lock:
            if subscription in self.subscriptions:
                self.subscriptions.remove(subscription)

    def publish(self, topic: str, data: bytes, *, told: bool = True) -> None:
        """Give a message to all who subscribe to its topic. *told*: the app has written it."""
        with self._lock:
            for subscription in list(self.subscriptions):
                subscription.offer(topic, data)
        if told:
            self._tell(topic, json.loads(data))

    def is_read(self, topic: str) -> bool:
        with self._lock:
            return any(topic in subscription.topics for subscription in self.subscriptions)

    def _read(self) -> list[Line]:
        """Return the messages that are new in the file."""
        if self._path is None:
            return []
        try:
            text = self._path.read_text("utf-8")
        except OSError as error:
            raise MessageFailed(f"cannot read {self._path}: {error.strerror}", domain="desk") from error
        lines = text.split("\n")[:-1]  # the last one may not be whole yet
        new = [_parse(line, self._path, number) for number, line in enumerate(lines, 1) if number > self._number]
        self._number = len(lines)
        found = [line for line in new if line is not None]
        self._lines += found
        return found

    def _follow(self) -> None:
        """Give what is added to the file to the subscriptions, as long as there are some."""
        said = ""
        while True:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                if not self.subscriptions:
                    self._thread = None
                    return
                try:
                    new = self._read()
                except (MessageFailed, BadMessage) as error:
                    if said != str(error):
                        said = str(error)
                        sys.stderr.write(f"acap.messages: {said}\n")
                    continue
                for topic, data in new:
                    self.publish(topic, data, told=False)


class _Subscription:
    """Messages that come."""

    def __init__(self, messages: Messages, topics: set[str], most: int) -> None:
        self._messages, self._most = messages, most
        self.topics = topics
        self.dropped = 0
        self._mailbox = Mailbox()
        messages.begin(self)

    @property
    def fd(self) -> int:
        return self._mailbox.fd

    def offer(self, topic: str, data: bytes) -> None:
        """Take a message of a topic that is wanted."""
        if topic in self.topics:
            self.dropped += self._mailbox.put((topic, data, time.time(), None, False), self._most)

    def take(self) -> list[tuple[str, bytes, float, float | None, bool]]:
        return self._mailbox.take()

    def close(self) -> None:
        self._messages.end(self)
        self._mailbox.close()


class _Topic:
    """A topic that is written."""

    def __init__(self, messages: Messages, name: str) -> None:
        self._messages, self._name = messages, name
        messages.written[name] = messages.written.get(name, 0) + 1

    @property
    def is_read(self) -> bool:
        return self._messages.is_read(self._name)

    def write(self, keys: bytes | None, data: bytes | None) -> None:
        if data is not None:
            self._messages.publish(self._name, data)

    def close(self, delete: bool) -> None:
        self._messages.written[self._name] -= 1
        if not self._messages.written[self._name]:
            del self._messages.written[self._name]


def _parse(line: str, path: Path, number: int) -> Line | None:
    """Return the topic and the JSON of a line of the file; None for an empty one."""
    if not line.strip():
        return None
    try:
        found = json.loads(line)
        return str(found["topic"]), json.dumps(found["data"], ensure_ascii=False).encode()
    except (ValueError, KeyError, TypeError) as error:
        hint = 'a line is as {"topic": "com.axis.scene.frame.v1", "data": {}}'
        raise BadMessage(f"{path}, line {number}, is no message", hint=hint) from error


@cache
def desk_messages(place: Path) -> Messages:
    """Return the messages of the file *place*, or those of the program alone if it is "stderr"."""
    return Messages(_tell_stderr, None if str(place) == "stderr" else place)


def _tell_stderr(topic: str, data: Any) -> None:
    sys.stderr.write(f"message: {topic} {json.dumps(data, ensure_ascii=False)}\n")
    sys.stderr.flush()
