"""The camera's web interface, VAPIX, from inside of the app.

    acap.vapix.call("basicdeviceinfo.cgi", "getAllProperties")["propertyList"]["SerialNumber"]
    acap.vapix.get("param.cgi", action="list", group="Properties.System")

In a camera with AXIS OS 11.9 or newer, the app logs in with an account of its own, which it gets by D-Bus. The manifest
must have com.axis.HTTPConf1.VAPIXServiceAccounts1.GetCredentials in `resources.dbus.requiredMethods`. On a desk,
ACAP_VAPIX names a camera with an account: http://user:password@192.0.2.1.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from .app import app_name
from .dbus import BusError, Method
from .dbus import call as call_bus
from .errors import VapixDenied, VapixFailed

__all__ = ["call", "get", "request"]

_HERE = "http://127.0.0.12"
_NAME = "com.axis.HTTPConf1"
_CREDENTIALS = Method(
    _NAME, "/com/axis/HTTPConf1/VAPIXServiceAccounts1", f"{_NAME}.VAPIXServiceAccounts1", "GetCredentials"
)
_HINT = (
    "the manifest needs com.axis.HTTPConf1.VAPIXServiceAccounts1.GetCredentials in resources.dbus.requiredMethods; "
    "on a desk, name a camera in ACAP_VAPIX"
)
_MOST_BYTES = 64 << 20
_lock = threading.Lock()
_account = ""


def request(path: str, data: bytes | None = None, *, timeout: float = 30.0, content_type: str = "") -> bytes:
    """Return the answer of the camera to a request of *path*, "/axis-cgi/…" or a name there; with *data*, a POST.

    It has 64 MB at most. No redirection is followed. Raises VapixDenied, VapixFailed; the code is that of HTTP.
    """
    desk = os.environ.get("ACAP_VAPIX")
    try:
        return _open(path, data, timeout, content_type, desk, fresh=False)
    except urllib.error.HTTPError as error:
        if error.code != 401 or desk:
            raise _failed(path, error) from None
    # The camera's accounts are gone after its web server has restarted.
    try:
        return _open(path, data, timeout, content_type, desk, fresh=True)
    except urllib.error.HTTPError as error:
        raise _failed(path, error) from None


def get(path: str, /, **query: str | int) -> str:
    """Return the text that the camera answers to a GET of *path*. Raises VapixDenied, VapixFailed.

    It is also raised for a text that begins with "# Error", as that of param.cgi.
    """
    text = request(f"{path}?{urllib.parse.urlencode(query)}" if query else path).decode("utf-8", "replace")
    if text.startswith("# Error"):
        raise VapixFailed(f"VAPIX {path}: {text.strip()[2:]}", domain="vapix")
    return text


def call(path: str, method: str, /, *, version: str = "1.0", **params: Any) -> dict[str, Any]:
    """Return the `data` that a JSON interface of the camera answers to *method* with *params*.

    *version*: its `apiVersion`. Raises VapixDenied, and VapixFailed with the code that the camera gives.
    """
    document = {"apiVersion": version, "method": method, **({"params": params} if params else {})}
    answer = request(path, json.dumps(document).encode(), content_type="application/json")
    try:
        found = json.loads(answer)
        error = found.get("error")
        data = found.get("data", {})
        if error is None:
            return dict(data)
        code, message = int(error.get("code", 0)), str(error.get("message", "unknown error"))
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        raise VapixFailed(f"VAPIX {path}: the camera's answer is no JSON document", domain="vapix") from None
    raise VapixFailed(f"VAPIX {path}, {method}: {message}", code=code, domain="vapix")


def _failed(path: str, error: urllib.error.HTTPError) -> VapixDenied | VapixFailed:
    error.close()
    text = f"VAPIX {path}: HTTP {error.code} {error.reason}"
    if error.code in (401, 403):
        return VapixDenied(text, hint="the account may not do that", code=error.code, domain="vapix")
    return VapixFailed(text, code=error.code, domain="vapix")


def _open(path: str, data: bytes | None, timeout: float, content_type: str, desk: str | None, *, fresh: bool) -> bytes:
    base, account = _desk_camera(desk) if desk else (os.environ.get("ACAP_VAPIX_HERE", _HERE), ("", ""))
    url = base + (path if path.startswith("/") else f"/axis-cgi/{path}")
    asked = urllib.request.Request(url, data, {"Content-Type": content_type} if content_type else {})
    if not desk:
        asked.add_header("Authorization", _basic(_credentials(fresh=fresh)))
    try:
        return _send(asked, timeout)
    except urllib.error.HTTPError as error:
        if error.code != 401 or not desk:
            raise
        # The camera tells how it wants to be logged in to.
        error.close()
        asked.add_header("Authorization", _answer(asked, error.headers.get_all("WWW-Authenticate", []), *account))
        return _send(asked, timeout)


class _NoRedirections(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the login would go to another server with it."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _send(asked: urllib.request.Request, timeout: float) -> bytes:
    """Send a request, past all proxies."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirections)
    try:
        with opener.open(asked, timeout=timeout) as answer:
            content: bytes = answer.read(_MOST_BYTES + 1)
    except urllib.error.HTTPError:
        raise
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise VapixFailed(f"VAPIX {asked.selector}: {reason}", domain="vapix") from error
    except http.client.HTTPException as error:
        raise VapixFailed(
            f"VAPIX {asked.selector}: the answer is no HTTP: {type(error).__name__}", domain="vapix"
        ) from error
    if len(content) > _MOST_BYTES:
        raise VapixFailed(f"VAPIX {asked.selector}: the answer has more than {_MOST_BYTES >> 20} MB", domain="vapix")
    return content


def _basic(account: str) -> str:
    return f"Basic {base64.b64encode(account.encode()).decode()}"


def _answer(asked: urllib.request.Request, challenges: list[str], user: str, password: str) -> str:
    """Return the header that answers the camera's challenge: by digest where it takes that, else basic."""
    for challenge in challenges:
        kind, _, values = challenge.partition(" ")
        if kind.lower() != "digest":
            continue
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, asked.full_url, user, password)
        handler = urllib.request.HTTPDigestAuthHandler(passwords)
        try:
            parsed = urllib.request.parse_keqv_list(urllib.request.parse_http_list(values))
            answer = handler.get_authorization(asked, parsed)
        except ValueError:
            continue  # an algorithm that Python does not have, or no challenge at all
        if answer:
            return f"Digest {answer}"
    return _basic(f"{user}:{password}")


def _credentials(*, fresh: bool) -> str:
    """Return the name and password of the app's account, with a colon between them."""
    global _account
    with _lock:
        if fresh or not _account:
            try:
                _account = call_bus(_CREDENTIALS, app_name())
            except BusError as error:
                raise VapixDenied(
                    f"the camera gives no account for VAPIX: {error}", hint=_HINT, domain="vapix"
                ) from error
        return _account


def _desk_camera(url: str) -> tuple[str, tuple[str, str]]:
    """Return the start of the camera's URLs, and the user and the password."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise VapixFailed("ACAP_VAPIX is no URL of a camera", hint="as http://user:password@192.0.2.1", domain="vapix")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    base = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    return base, (urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or ""))
