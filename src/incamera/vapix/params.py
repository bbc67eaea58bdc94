"""A camera's parameters (param.cgi): read groups of them, and set some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

from incamera.errors import DeviceError
from incamera.http_connection import Body
from incamera.vapix.client import FORM, UNREAD, Call, Client, shorten

_PATH = "axis-cgi/param.cgi"
_MOST = 20_000


class NoSuchParameters(DeviceError):
    """The camera has no such group of parameters."""


def read_params(client: Client, group: str) -> dict[str, str]:
    """Return the parameters below *group*, by their names without `root.`. Raises NoSuchParameters, DeviceError."""
    answer = client.call(Call(path=_PATH, what="list its parameters", query={"action": "list", "group": group}))
    text = answer.body.decode("utf-8", "replace")
    if text.startswith("# Error"):
        raise NoSuchParameters(
            f"{client.device} has no parameters {group}", hint="an app has those that its manifest names (paramConfig)"
        )
    return parse_params(text)


def parse_params(text: str) -> dict[str, str]:
    """Return the values in *text*, lines `root.Group.Name=value`, by their names without `root.`."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.rstrip("\r").partition("=")
        if equals and not name.startswith("#") and len(found) < _MOST:
            found[name.strip().removeprefix("root.")] = value
    return found


def set_params(client: Client, values: Mapping[str, str]) -> None:
    """Set existing parameters to *values*, by their names with or without `root.`. Raises DeviceError.

    Values go in the body of the request: its address may stand in the camera's log.
    """
    words = {"action": "update", **{f"root.{name.removeprefix('root.')}": value for name, value in values.items()}}
    call = Call(path=_PATH, what="set its parameters")
    form = replace(call, method="POST", content_type=FORM, body=Body.of(urlencode(words).encode("ascii")))
    text = client.call(form).body.decode("utf-8", "replace").strip()
    if UNREAD in text:  # as some versions of AXIS OS 12
        text = client.call(replace(call, query=words)).body.decode("utf-8", "replace").strip()
    if text != "OK":
        raise DeviceError(
            f"{client.device} cannot set {', '.join(values)}: {shorten(text.removeprefix('# Error:').strip())}",
            hint="`incamera params` lists the parameters and their values",
        )
