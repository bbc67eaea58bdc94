"""share serve|add|list|remove|attach|detach: folders of this computer that cameras mount."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from incamera.build.deb_trees import ensure_deb_tree
from incamera.connect.attached import remember_attached
from incamera.connect.choose import choose_device
from incamera.connect.connection import connected
from incamera.connect.shares import Attached, attach_share, detach_share
from incamera.errors import ConfigError
from incamera.http_auth import Login
from incamera.share.axis_login import find_server_address
from incamera.share.axis_login import open_api as open_camera_api
from incamera.share.mounts import PLACE
from incamera.share.registry import (
    ensure_marker,
    load_shares,
    remove_share,
    require_share,
    save_share,
    shares_folder,
)
from incamera.share.server import is_reachable, serving
from incamera.share.settings import plan_added_share, plan_served_share, read_password
from incamera.share.smb import plan_smb, select_smb, smb_packages
from incamera.targets.host import require_host

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.share.axis_api import NetworkShareApi
    from incamera.share.settings import ShareSettings
    from incamera.share.values import Share

PASSWORD_VARIABLE = "INCAMERA_API_PASSWORD"


@contextmanager
def served(context: Context, name: str, settings: ShareSettings) -> Iterator[tuple[Share, Callable[[], None]]]:
    """Serve a folder over SMB for as long as the block lasts.

    Yields the share, and a function that raises once its server has ended.
    """
    folder = shares_folder(context)
    share = plan_served_share(load_shares(folder), folder / "folders", name, settings)
    host = require_host()
    with context.reporter.step("server") as step:
        tools = ensure_deb_tree(context, "smb", smb_packages(host), step=step, select=select_smb)
    ensure_marker(share)
    # Saved before it is served, so that a share that answers can be attached.
    with serving(
        share, lambda private: plan_smb(share, tools, host, private), before_start=lambda: _save(context, share)
    ) as require_alive:
        yield share, require_alive


def add_share(context: Context, name: str, settings: ShareSettings) -> Share:
    """Save a folder that the user's own server offers, and that this computer has mounted too."""
    share = plan_added_share(load_shares(shares_folder(context)), name, settings)
    ensure_marker(share)
    _save(context, share)
    return share


def list_shares(context: Context) -> list[tuple[Share, bool]]:
    """Return the known shares, and whether each one's server answers now."""
    shares = load_shares(shares_folder(context)).values()
    return [(share, is_reachable(*share.local_address, seconds=1)) for share in shares]


def forget_share(context: Context, name: str) -> None:
    """Forget the share *name*; its folder stays."""
    remove_share(shares_folder(context), name)


def attach(context: Context, name: str | None, device: str | None, *, project: Project | None = None) -> Attached:
    """Have *device* mount the share *name* over SSH, unless it is mounted. Raises DeviceError, UsageError."""
    share = require_share(shares_folder(context), name)
    chosen = choose_device(context, device, project=project)
    # Waiting for a server that does not answer takes most of a minute.
    with context.reporter.step("mount"), connected(context, chosen) as connection:
        return attach_share(context, connection, share)


def detach(context: Context, device: str | None, *, project: Project | None = None) -> tuple[str, str | None]:
    """Have *device* unmount its network share over SSH. Returns the device's name and what was mounted, if anything."""
    with connected(context, choose_device(context, device, project=project)) as connection:
        return str(connection.device), detach_share(context, connection)


def open_api(context: Context, url: str, user: str, password_file: Path | None) -> NetworkShareApi:
    """Return the web API of the camera at *url*; the password is in a file, or in INCAMERA_API_PASSWORD."""
    password = read_password(password_file) or context.environment.get(PASSWORD_VARIABLE, "")
    api = open_camera_api(context.http, url, Login(user, password))
    if not password:
        raise ConfigError(
            f"the password of {user} on {url} is missing",
            hint=f"set {PASSWORD_VARIABLE}, or name a file with --api-password-file",
        )
    return api


def attach_by_api(context: Context, name: str | None, api: NetworkShareApi, *, device: str | None) -> Attached:
    """Have the camera behind *api* mount a share. *device* is the camera's name here, if it has one."""
    share = require_share(shares_folder(context), name)
    ensure_marker(share)
    with context.reporter.step("mount"):  # the camera tries the mount first, which takes a while
        fresh = api.attach(share, find_server_address(share, api.url))
    if device is not None:
        remember_attached(context, device, share.name)
    return Attached(device=device or api.url, share=share, place=PLACE, fresh=fresh)


def detach_by_api(context: Context, api: NetworkShareApi, *, device: str | None) -> str | None:
    """Have the camera behind *api* forget the share that it has mounted. Returns that share's name."""
    name = api.detach()
    if device is not None:
        remember_attached(context, device, None)
    return name


def _save(context: Context, share: Share) -> None:
    with context.store.reporting_disk_errors():
        save_share(shares_folder(context), share)
