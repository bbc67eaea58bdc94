"""Asking a camera's web server by its CGIs, which answer in XML: what came wrong is told by our own errors."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable, FetchError

if TYPE_CHECKING:
    from incamera.http import Http
    from incamera.http_auth import Login

_REACH = "does the camera reach the share's address, with port 445, and are user and password right?"
# By the number of the error, where there is something to do about it.
_HINTS = {
    "230": "remove one that isn't needed, in the camera's own web pages",
    "300": "the camera has another share mounted; `incamera share detach --api` takes it away",
    "700": "name the server by its address: incamera share add … --address",
    "710": _REACH,
    "740": "the share's user must be allowed to write there",
    "760": _REACH,
}


class CameraError(DeviceError):
    """The camera answers that it cannot; `code` is the number that it gives, if it gives one."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message, hint=_HINTS.get(code))
        self.code = code


@dataclass(frozen=True, slots=True)
class AxisCgi:
    """One camera's web server at *url*: `http://192.0.2.7`."""

    http: Http
    url: str
    login: Login

    def ask(self, path: str, what: str, **query: str) -> ElementTree.Element:
        """Return the answer of /axis-cgi/*path*, asked to *what*. Raises DeviceError and its kinds."""
        try:
            answer = self.http.call(f"{self.url.rstrip('/')}/axis-cgi/{path}", query=query, login=self.login)
        except FetchError as error:
            raise DeviceUnreachable(str(error), hint="is the address right, and the camera on the network?") from error
        if answer.status in (401, 403):
            raise DeviceRefused(
                f"{self.url} does not let {self.login.user} manage network shares",
                hint="that takes an administrator's name and password; basic logins are sent over https only",
            )
        if answer.status == 404:
            raise DeviceUnsuitable(f"{self.url} has no network-share API", hint="is it an Axis camera?")
        if answer.status != 200:
            raise DeviceError(f"{self.url} answers {answer.status} when asked to {what}")
        try:
            root = ElementTree.fromstring(answer.body)
        except ElementTree.ParseError:
            raise DeviceError(f"{self.url} gave an answer that is no XML: is it an Axis camera?") from None
        self._require_success(root, what)
        return root

    def require(self, answer: ElementTree.Element, name: str, *attributes: str) -> str:
        """Return the first of *attributes* that an element *name* of *answer* has. Raises DeviceError."""
        for node in nodes(answer, name):
            for attribute in attributes:
                if value := node.get(attribute):
                    return value
        raise DeviceError(f"{self.url} gave an answer without {name}: is it an Axis camera?")

    def _require_success(self, root: ElementTree.Element, what: str) -> None:
        for node in nodes(root, "GeneralError"):
            texts = {_name(child): (child.text or "").strip() for child in node}
            code = texts.get("ErrorCode", "")
            why = texts.get("ErrorDescription") or f"error {code or 'without a number'}"
            raise CameraError(f"{self.url} cannot {what}: {why}", code)
        for node in nodes(root, "job"):
            if node.get("result") == "ERROR":
                raise CameraError(f"{self.url} cannot {what}: {node.get('description') or 'it does not say why'}")


def nodes(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Return the elements called *name*, whatever name space they are in."""
    return (node for node in root.iter() if _name(node) == name)


def _name(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]
