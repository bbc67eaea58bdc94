"""The stream of a camera's events over a WebSocket (`/vapix/ws-data-stream`), and the tokens for its clients."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from incamera.axis_os.event_filters import BadFilter, Filter, parse_filters, show_value
from incamera.axis_os.websocket import Ended

if TYPE_CHECKING:
    from incamera.axis_os.events import Event, Feed
    from incamera.axis_os.websocket import WebSocket

PATH = "/vapix/ws-data-stream"
_VERSION = "1.0"
_POLL_SECONDS = 0.2
# A proxy between the two would take a silent line for one that has ended.
_PING_SECONDS = 30.0
_TOKEN_SECONDS = 15.0
_MOST_TOKENS = 100
_LONGEST_CONTEXT = 1000
_MESSAGES = {
    2100: "API version not supported",
    2101: "Invalid JSON",
    2102: "Method not supported",
    2103: "Required parameter missing",
    2104: "Invalid parameter value specified",
}


class Tokens:
    """The tokens that stand for a login, each for 15 seconds. Threads may call it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()

    def make(self) -> str:
        """Return a new token: digits, as a camera's."""
        with self._lock:
            now = self._now()
            self._ends = {token: end for token, end in self._ends.items() if end > now}
            while len(self._ends) >= _MOST_TOKENS:
                del self._ends[next(iter(self._ends))]
            token = str(secrets.randbelow(9 * 10**18) + 10**18)
            self._ends[token] = now + _TOKEN_SECONDS
        return token

    def takes(self, token: str) -> bool:
        with self._lock:
            return self._ends.get(token, 0.0) > self._now()


def stream_events(line: WebSocket, feed: Feed) -> None:
    """Send the events of *feed* that the client of *line* asks for, until it ends. Raises OSError."""
    filters: tuple[Filter, ...] = ()
    pinged = time.monotonic()
    try:
        while True:
            for text in line.receive(_POLL_SECONDS):
                answer, wanted = configure(text)
                line.send(json.dumps(answer))
                if wanted:
                    filters = wanted
                    _notify(line, filters, feed.states())
            _notify(line, filters, list(feed.read()))
            if time.monotonic() - pinged > _PING_SECONDS:
                pinged = time.monotonic()
                line.ping()
    except Ended:
        return


def _notify(line: WebSocket, filters: tuple[Filter, ...], events: list[Event]) -> None:
    for event in events:
        for _ in (one for one in filters if one.takes(event)):  # one for each filter that it fits (documented)
            line.send(json.dumps(notification(event)))


def configure(text: str) -> tuple[dict[str, Any], tuple[Filter, ...]]:
    """Return the answer to a request of a client, and the filters that it sets; none when it is refused."""
    answer: dict[str, Any] = {"apiVersion": _VERSION}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return answer | {"error": _error(2101)}, ()
    if "context" in document:
        answer["context"] = str(document["context"])[:_LONGEST_CONTEXT]
    method, params = document.get("method"), document.get("params")
    if not isinstance(method, str):
        return answer | {"error": _error(2103)}, ()
    answer["method"] = method[:_LONGEST_CONTEXT]
    # Clients send "1", too (third-party).
    if str(document.get("apiVersion", _VERSION)).partition(".")[0] != "1":
        return answer | {"error": _error(2100)}, ()
    if method != "events:configure":
        return answer | {"error": _error(2102)}, ()
    try:
        filters = parse_filters(params.get("eventFilterList") if isinstance(params, dict) else None)
    except BadFilter:
        return answer | {"error": _error(2104)}, ()
    return answer | {"data": {}}, filters


def _error(code: int) -> dict[str, Any]:
    return {"code": code, "message": _MESSAGES[code]}


def notification(event: Event) -> dict[str, Any]:
    """Return what a client is sent of *event*."""
    message: dict[str, dict[str, str]] = {"source": {}, "key": {}, "data": {}}
    for name, value in event.data.items():
        part = "source" if name in event.sources else "key" if name in event.keys else "data"
        message[part][name.rpartition(":")[2]] = show_value(value)
    told = {"timestamp": round(event.time * 1000), "topic": event.topic, "message": message}
    return {"apiVersion": _VERSION, "method": "events:notify", "params": {"notification": told}}
