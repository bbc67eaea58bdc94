"""Opens the network-share API of a camera, and finds the address at which the camera reaches a share's server."""

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
    """Return the API of the camera at *url*. Raises UsageError for an invalid address, or one with a password."""
    parts = urlsplit(url)
    if "@" in parts.netloc:  # messages print the address
        raise UsageError(
            "the camera's address has a login in it",
            hint="give user and password with --api-user and --api-password-file",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f'"{url}" is not a camera\'s address', hint="write it as http://192.0.2.7 or https://192.0.2.7"
        )
    return NetworkShareApi(AxisCgi(http, url, login))


def find_server_address(share: Share, url: str) -> str:
    """Return the address at which the camera at *url* reaches the server of *share*.

    Raises DeviceUnreachable without a route to the camera, UsageError when the server only listens on loopback.
    """
    parts = urlsplit(url)
    if not (share.on_all_addresses or share.is_loopback):
        return share.address
    try:
        with socket.socket(
            socket.AF_INET6 if ":" in (parts.hostname or "") else socket.AF_INET, socket.SOCK_DGRAM
        ) as probe:
            probe.connect((parts.hostname or "", parts.port or 80))  # sends nothing, but chooses the route
            own = str(probe.getsockname()[0])
    except OSError as error:
        raise DeviceUnreachable(f"there is no route to {url}: {error.strerror}") from error
    if share.is_loopback and not own.startswith("127."):
        raise UsageError(
            f"{share.name} is served on {share.address}, which the camera cannot reach",
            hint=f"serve it on this computer's address in the camera's network: --address {own}",
        )
    return own
