"""Filters of events, as clients of the event stream send them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from incamera.axis_os.events import Event, Value

_MOST_FILTERS = 100
_LONGEST = 2000
# Two names for one name space each (documented).
_SPACES = {"onvif": "tns1", "axis": "tnsaxis"}
_ITEM = re.compile(
    r"boolean\(\s*//SimpleItem\[\s*@Name\s*=\s*(['\"])(?P<name>[^'\"]*)\1\s+and\s+@Value\s*=\s*(['\"])(?P<value>[^'\"]*)\3\s*\]\s*\)"
)


class BadFilter(Exception):
    """It is no filter, or one of a kind that is not known here."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What an event must be: of one of the *topics*, where there are some, and one of the *contents* must fit.

    A topic has its parts, and whether those below it count, too. A content has the values of items.
    """

    topics: tuple[tuple[tuple[str, ...], bool], ...] = ()
    contents: tuple[Mapping[str, str], ...] = ()

    def takes(self, event: Event) -> bool:
        parts = _parts(event.topic)
        of_topic = not self.topics or any(
            _fits(topic, parts[: len(topic)] if below else parts) for topic, below in self.topics
        )
        items = {name.rpartition(":")[2]: show_value(value) for name, value in event.data.items()}
        return of_topic and (not self.contents or any(one.items() <= items.items() for one in self.contents))


def parse_filters(value: object) -> tuple[Filter, ...]:
    """Return the filters of `eventFilterList`. Raises BadFilter."""
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_FILTERS:
        raise BadFilter
    return tuple(map(_parse, value))


def _parse(table: Any) -> Filter:
    if not isinstance(table, dict) or not table or not table.keys() <= {"topicFilter", "contentFilter"}:
        raise BadFilter
    if any(not isinstance(text, str) or len(text) > _LONGEST for text in table.values()):
        raise BadFilter
    topics, contents = table.get("topicFilter", ""), table.get("contentFilter", "")
    return Filter(
        tuple(_parse_topic(one.strip()) for one in topics.split("|")) if topics.strip() else (),
        tuple(_parse_content(one) for one in re.split(r"\)\s+or\s+", contents)) if contents.strip() else (),
    )


def _parse_topic(text: str) -> tuple[tuple[str, ...], bool]:
    """Return a topic: `a/b` is one, and `a/b//.` all below it, too."""
    topic, slashes, rest = text.partition("//")
    if not topic or rest not in ("", "."):
        raise BadFilter
    return _parts(topic), bool(slashes)


def _parse_content(text: str) -> dict[str, str]:
    """Return the items that must all be there. Anything else than equal values is not known here."""
    found = {}
    for term in re.split(r"\)\s+and\s+", text):
        match = _ITEM.fullmatch(term.strip() if term.rstrip().endswith(")") else f"{term.strip()})")
        if match is None:
            raise BadFilter
        found[match["name"]] = match["value"]
    return found


def _parts(topic: str) -> tuple[str, ...]:
    """Return the parts of a topic, each with its name space; one without has that of the part before."""
    found, space = [], ""
    for part in topic.split("/"):
        prefix, colon, name = part.rpartition(":")
        space = _SPACES.get(prefix, prefix) if colon else space
        found.append(f"{space}:{name}")
    return tuple(found)


def _fits(topic: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    return len(topic) == len(parts) and all(
        one == other or one.endswith(":*") for one, other in zip(topic, parts, strict=True)
    )


def show_value(value: Value | None) -> str:
    """Return how a value of an event is written."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)
