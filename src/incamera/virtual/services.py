"""Events and parameters of a virtual camera: the files of the stand-ins of axevent and axparameter."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from incamera.axis_os.events import Event, Value, parse_event
from incamera.axis_os.parameters import Parameter, parse_parameters, render_change
from incamera.errors import UsageError

EVENTS_FOLDER = "/run/incamera-events"
PARAMETERS_FOLDER = "/usr/local/packages/.incamera-parameters"

__all__ = [
    "EVENTS_FOLDER", "PARAMETERS_FOLDER", "Event", "Parameter", "Value", "parse_event", "parse_parameters",
    "parse_value", "render_change", "render_event", "state_name",
]  # fmt: skip

_PART = re.compile(r"[\w.\-]+")
_KEY = re.compile(r"(?:(tns1|tnsaxis):)?([\w.\-]+)")
_LETTERS = {bool: "b", int: "i", float: "d", str: "s"}
_NAME_SPACES = ("tns1", "tnsaxis")


def render_event(topic: str, data: Mapping[str, Value], *, time: float, is_state: bool) -> str:
    """Return the line of an event of the camera's own. Raises UsageError for what no event can have."""
    parts, space = [], "tnsaxis"
    for number, text in enumerate(topic.split("/")):
        prefix, colon, name = text.rpartition(":")
        space = prefix if colon else space
        if space not in _NAME_SPACES or not _PART.fullmatch(name):
            raise UsageError(f"{topic!r} is no topic of events", hint="write it as tns1:Device/tnsaxis:IO/Port")
        parts.append(f"topic{number};{space};s;;{_encode(name)};~;~")
    for key, value in data.items():
        match = _KEY.fullmatch(key)
        if match is None or (type(value) is int and not -(2**31) <= value < 2**31):
            hint = "keys have letters, digits and _; an int has 32 bits"
            raise UsageError(f"no event can have {key}={value}", hint=hint)
        text = _encode(value) if isinstance(value, str) else str(int(value) if isinstance(value, bool) else value)
        parts.append(f"{match[2]};{match[1] or '~'};{_LETTERS[type(value)]};d;{text};~;~")
    kind = "state" if is_state else "pulse"
    return "\t".join([str(round(time * 1e6)), state_name(topic, data), kind, *parts]) + "\n"


def state_name(topic: str, data: Mapping[str, Value]) -> str:
    """Return the name of the camera's own declaration: events with a topic, and with the same ints, are one state."""
    source = [f"{key}={value}" for key, value in data.items() if type(value) is int]
    return "camera-" + hashlib.sha256(" ".join([topic, *source]).encode()).hexdigest()[:16]


def parse_value(text: str) -> Value:
    """Return *text* as a bool, an int or a float if it is written as one."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _encode(text: str) -> str:
    return "".join(f"%{ord(one):02X}" if one <= " " or one in "%;,~\x7f" else one for one in text)
