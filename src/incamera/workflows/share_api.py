"""share attach --api: a share mounted by the camera's own web API, for those who may not log in as root."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from incamera.connect.shares import Attached, remember_attached
from incamera.errors import ConfigError, DeviceUnreachable, UsageError
from incamera.http_auth import Login
from incamera.share.axis_api import NetworkShareApi
from incamera.share.axis_cgi import AxisCgi
from incamera.share.mounts import PLACE
from incamera.share.registry import ensure_marker, require_share, shares_folder
from incamera.workflows.share import read_password

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.share.values import Share

PASSWORD_VARIABLE = "INCAMERA_API_PASSWORD"


def open_api(context: Context, url: str, user: str, password_file: Path | None) -> NetworkShareApi:
    """Return the API of the camera at *url*; the password comes from a file, or from INCAMERA_API_PASSWORD."""
    parts = urlsplit(url)
    if "@" in parts.netloc:  # the address is shown here and there
        raise UsageError(
            "the camera's address has a login in it", hint="name them by --api-user and --api-password-file"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f'"{url}" is not a camera\'s address', hint="write http://192.0.2.7, or https://…")
    password = read_password(password_file) or context.environment.get(PASSWORD_VARIABLE, "")
    if not password:
        raise ConfigError(
            f"the password of {user} on {url} is missing",
            hint=f"set {PASSWORD_VARIABLE}, or name a file by --api-password-file",
        )
    return NetworkShareApi(AxisCgi(context.http, url, Login(user, password)))


def attach_by_api(context: Context, name: str | None, api: NetworkShareApi, *, device: str | None) -> Attached:
    """Have the camera behind *api* mount a share; *device* is what it is called here, if it is known."""
    share = require_share(shares_folder(context), name)
    ensure_marker(share)
    with context.reporter.step("mount"):  # the camera tries it before, and that takes a while
        fresh = api.attach(share, _address_for(share, api.url))
    if device is not None:
        remember_attached(context, device, share.name)
    return Attached(device=device or api.url, share=share, place=PLACE, fresh=fresh)


def detach_by_api(context: Context, api: NetworkShareApi, *, device: str | None) -> str | None:
    """Have the camera forget the share that it has mounted. Returns that one's name."""
    name = api.detach()
    if device is not None:
        remember_attached(context, device, None)
    return name


def _address_for(share: Share, url: str) -> str:
    """Return the address at which the camera finds the share's server."""
    parts = urlsplit(url)
    if not (share.everywhere or share.loopback):
        return share.address
    try:
        with socket.socket(
            socket.AF_INET6 if ":" in (parts.hostname or "") else socket.AF_INET, socket.SOCK_DGRAM
        ) as probe:
            probe.connect((parts.hostname or "", parts.port or 80))  # sends nothing, but chooses the way
            own = str(probe.getsockname()[0])
    except OSError as error:
        raise DeviceUnreachable(f"there is no way to {url}: {error.strerror}") from error
    if share.loopback and not own.startswith("127."):
        raise UsageError(
            f"{share.name} is served on {share.address}, which the camera cannot reach",
            hint=f"serve it on this computer's address in the camera's network: --address {own}",
        )
    return own
