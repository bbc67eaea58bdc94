"""Reach a camera's web API for network shares: its address, and the login."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from incamera.errors import DeviceUnreachable, UsageError
from incamera.share.axis_api import NetworkShareApi
from incamera.share.axis_cgi import AxisCgi

if TYPE_CHECKING:
    from incamera.http import Http
    from incamera.http_auth import Login
    from incamera.share.values import Share


def open_api(http: Http, url: str, login: Login) -> NetworkShareApi:
    """Return the API of the camera at *url*. Raises UsageError for what is not a camera's address."""
    parts = urlsplit(url)
    if "@" in parts.netloc:  # the address is shown in messages
        raise UsageError(
            "the camera's address has a login in it", hint="name them by --api-user and --api-password-file"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f'"{url}" is not a camera\'s address', hint="write http://192.0.2.7, or https://…")
    return NetworkShareApi(AxisCgi(http, url, login))


def find_server_address(share: Share, url: str) -> str:
    """Return the address at which the camera at *url* finds the server of *share*.

    Raises DeviceUnreachable without a route to the camera, UsageError where the server listens on loopback only.
    """
    parts = urlsplit(url)
    if not (share.everywhere or share.loopback):
        return share.address
    try:
        with socket.socket(
            socket.AF_INET6 if ":" in (parts.hostname or "") else socket.AF_INET, socket.SOCK_DGRAM
        ) as probe:
            probe.connect((parts.hostname or "", parts.port or 80))  # sends nothing, but chooses the route
            own = str(probe.getsockname()[0])
    except OSError as error:
        raise DeviceUnreachable(f"there is no route to {url}: {error.strerror}") from error
    if share.loopback and not own.startswith("127."):
        raise UsageError(
            f"{share.name} is served on {share.address}, which the camera cannot reach",
            hint=f"serve it on this computer's address in the camera's network: --address {own}",
        )
    return own
