"""Requests to the CGIs of a camera's web server, which answer in XML. Errors in the answers are raised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable, FetchError
from incamera.vapix.documents import local_name, nodes, parse_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from incamera.http import Http
    from incamera.http_auth import Login

_REACH = "check that the camera can reach port 445 of the share's address, and that user and password are right"
# Hints by the camera's error number.
_HINTS = {
    "230": "remove a share that is not needed in the camera's own web pages",
    "300": "the camera has mounted another share; unmount it: `incamera share detach --api`",
    "700": "give the server's IP address: `incamera share add … --address`",
    "710": _REACH,
    "740": "the share's user must be allowed to write there",
    "760": _REACH,
}


_LONGEST_REASON = 500


class CameraError(DeviceError):
    """The camera answered with an error. `code` is its number; "" when the camera gave none."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message, hint=_HINTS.get(code))
        self.code = code


@dataclass(frozen=True, slots=True)
class AxisCgi:
    """One camera's web server at *url*: `http://192.0.2.7`."""

    http: Http
    url: str
    login: Login

    def ask(self, path: str, what: str, **query: str) -> Element:
        """Return the answer of the CGI /axis-cgi/*path* to *query*. Raises DeviceError or one of its subclasses.

        *what* completes messages: "cannot …".
        """
        try:
            answer = self.http.call(f"{self.url.rstrip('/')}/axis-cgi/{path}", query=query, login=self.login)
        except FetchError as error:
            raise DeviceUnreachable(
                str(error), hint="check the address, and that the camera is on and in this network"
            ) from error
        if answer.status in (401, 403):
            raise DeviceRefused(
                f"{self.url} does not let {self.login.user} manage network shares",
                hint="give an administrator's name and password; a camera that wants Basic authentication needs an "
                "https address",
            )
        if answer.status == 404:
            raise DeviceUnsuitable(
                f"{self.url} has no network-share API", hint="check the address: is it an Axis camera?"
            )
        if answer.status != 200:
            raise DeviceError(f"{self.url} answers {answer.status} when asked to {what}")
        try:
            root = parse_xml(answer.body)
        except ValueError:
            raise DeviceError(
                f"{self.url} gave an answer that is not XML", hint="check the address: is it an Axis camera?"
            ) from None
        self._require_success(root, what)
        return root

    def require(self, answer: Element, name: str, *attributes: str) -> str:
        """Return the value of the first of *attributes* that an element *name* of *answer* has. Raises DeviceError."""
        for node in nodes(answer, name):
            for attribute in attributes:
                if value := node.get(attribute):
                    return value
        raise DeviceError(f"{self.url} gave an answer without {name}", hint="check the address: is it an Axis camera?")

    def _require_success(self, root: Element, what: str) -> None:
        for node in nodes(root, "GeneralError"):
            texts = {local_name(child): (child.text or "").strip() for child in node}
            code = texts.get("ErrorCode", "")
            why = texts.get("ErrorDescription") or f"error {code or 'without a number'}"
            raise CameraError(f"{self.url} cannot {what}: {why[:_LONGEST_REASON]}", code)
        for node in nodes(root, "job"):
            if node.get("result") == "ERROR":
                why = node.get("description") or "the camera gives no reason"
                raise CameraError(f"{self.url} cannot {what}: {why[:_LONGEST_REASON]}")
