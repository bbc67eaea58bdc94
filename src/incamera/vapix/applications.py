"""The apps in a camera: list them, upload a package, start, stop, restart and remove one, and what is allowed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from incamera.errors import DeviceError, UsageError
from incamera.http_connection import Body
from incamera.vapix.application_errors import explain_control, explain_upload
from incamera.vapix.client import Call, Client, NoSuchApi, UnexpectedStatus, shorten
from incamera.vapix.documents import local_name, nodes, parse_xml

if TYPE_CHECKING:
    from incamera.http_connection import Answer

_FOLDER = "axis-cgi/applications"
# A camera installs a package of many megabytes slowly, and answers at the end.
_UPLOAD_SECONDS = 600.0
_CONTROL_SECONDS = 120.0
_CHUNK = 64 * 1024
_ERROR = re.compile(r"Error:\s*(\d{1,4})")
_LONGEST_FIELD = 1000
# AXIS OS takes 26 characters.
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An app that is installed. *is_signed* and *is_bundled* are None where an older AXIS OS does not tell.

    *state* is `Running`, `Stopped` or `Idle`. *page* is its settings page, below the camera's address.
    """

    name: str
    title: str
    vendor: str
    version: str
    state: str
    license: str = ""
    page: str = ""
    is_signed: bool | None = None
    is_bundled: bool | None = None

    @property
    def is_running(self) -> bool:
        return self.state == "Running"


def list_applications(client: Client) -> tuple[Application, ...]:
    """Return the installed apps. Raises DeviceError."""
    what = "list its apps"
    answer = client.call(Call(path=f"{_FOLDER}/list.cgi", what=what))
    found: tuple[Application, ...] = client.parse(answer, parse_applications, what)
    return found


def parse_applications(data: bytes) -> tuple[Application, ...]:
    """Return the apps in the answer *data* of list.cgi. Raises ValueError."""
    root = parse_xml(data)
    _require_result(root)
    return tuple(_parse_application(node) for node in nodes(root, "application") if node.get("Name"))


def _require_result(root: Element) -> None:
    if local_name(root) != "reply":
        raise ValueError("it is not a reply")


def _parse_application(node: Element) -> Application:
    def text(name: str) -> str:
        return node.get(name, "")[:_LONGEST_FIELD]

    signature, bundled = text("SignatureStatus"), text("Bundled")
    return Application(
        name=text("Name")[:_LONGEST_NAME],
        title=text("NiceName"),
        vendor=text("Vendor"),
        version=text("Version"),
        state=text("Status"),
        license=text("License"),
        page=text("ConfigurationPage"),
        is_signed=signature == "Signed" if signature else None,
        is_bundled=bundled == "Yes" if bundled else None,
    )


def upload(
    client: Client, path: Path, size: int, *, name: str, advance: Callable[[int], None] = lambda _: None
) -> None:
    """Install the package *path* of *size* bytes under the file name *name*.

    *advance* is told how many bytes were sent; a negative number when they are sent again. Raises ApplicationError when
    the camera refuses the package, or another DeviceError.
    """
    boundary = secrets.token_hex(16)
    shown = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="packfil"; filename="{shown}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    left = size

    def chunks() -> Iterator[bytes]:
        nonlocal left
        advance(left - size)
        left = size
        yield head
        with path.open("rb") as stream:
            while left and (data := stream.read(min(_CHUNK, left))):
                yield data
                left -= len(data)
                advance(len(data))
        if left:
            raise UsageError(f"{path} became shorter while it was read", hint="try again when nothing writes to it")
        yield tail

    call = Call(
        path=f"{_FOLDER}/upload.cgi",
        what=f"install {name}",
        method="POST",
        content_type=f"multipart/form-data; boundary={boundary}",
        body=Body(len(head) + size + len(tail), chunks),
        expects=True,
        again=False,
        seconds=_UPLOAD_SECONDS,
    )
    code = parse_result(client.call(call).body)
    if code is not None:
        raise explain_upload(str(client.device), name, code)


def control(client: Client, action: str, name: str) -> None:
    """Have the camera `start`, `stop`, `restart` or `remove` the app *name*.

    Raises ApplicationError, whose *code* says why not, or another DeviceError.
    """
    call = Call(
        path=f"{_FOLDER}/control.cgi",
        what=f"{action} {name}",
        query={"action": action, "package": name},
        again=False,
        seconds=_CONTROL_SECONDS,
    )
    code = parse_result(client.call(call).body)
    if code is not None:
        raise explain_control(str(client.device), action, name, code)


def parse_result(data: bytes) -> int | None:
    """Return the error number in the answer *data*; None for `OK`, and 0 for an error without a number."""
    text = data.decode("utf-8", "replace").strip()
    if text == "OK" or text.startswith("OK "):
        return None
    match = _ERROR.search(text)
    return int(match[1]) if match else 0


def read_switch(client: Client, name: str) -> bool | None:
    """Return whether the switch *name* is on: AllowUnsigned, AllowRoot. None where the camera has no such switch."""
    query = {"action": "get", "name": name}
    try:
        answer = client.call(Call(path=f"{_FOLDER}/config.cgi", what=f"read {name}", query=query))
    except NoSuchApi:
        return None
    except UnexpectedStatus as error:
        # From AXIS OS 12.2 on, a request for an unknown switch is a bad request.
        if error.status == 400:
            return None
        raise
    return _find_switch(client, answer, name)


def set_switch(client: Client, name: str, value: bool) -> None:
    """Turn the switch *name* on or off. Raises DeviceError."""
    query = {"action": "set", "name": name, "value": "true" if value else "false"}
    what = f"turn {name} {'on' if value else 'off'}"
    answer = client.call(Call(path=f"{_FOLDER}/config.cgi", what=what, query=query))
    if _find_switch(client, answer, name) is not value:
        raise DeviceError(
            f"{client.device} cannot {what}: {_reason(client, answer)}",
            hint="the camera's own web pages have that switch under Apps",
        )


def _find_switch(client: Client, answer: Answer, name: str) -> bool | None:
    found: dict[str, str] = client.parse(answer, parse_switches, f"read {name}")
    return {"true": True, "false": False}.get(found.get(name, ""))


def parse_switches(data: bytes) -> dict[str, str]:
    """Return the values in the answer *data* of config.cgi by their names. Raises ValueError."""
    root = parse_xml(data)
    _require_result(root)
    return {node.get("name", ""): node.get("value", "")[:_LONGEST_FIELD] for node in nodes(root, "param")}


def _reason(client: Client, answer: Answer) -> str:
    root: Element = client.parse(answer, parse_xml, "say why")
    messages = [node.get("message", "") for node in nodes(root, "error")]
    return shorten(messages[0]) if messages and messages[0] else "it gives no reason"
