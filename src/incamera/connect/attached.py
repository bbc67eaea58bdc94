"""Which network share each device was attached to from here, and whether that share is served now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from incamera.errors import DeviceUnreachable
from incamera.share.registry import load_attached, load_shares, save_attached, shares_folder
from incamera.share.server import is_reachable

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.context import Context
    from incamera.share.values import Share


def find_attached_share(context: Context, device: str) -> Share | None:
    """Return the share that this computer attached *device* to. The device may have lost it since."""
    name = load_attached(_attached_file(context, device))
    return load_shares(shares_folder(context)).get(name) if name else None


def find_host_folder(context: Context, device: str) -> Path | None:
    """Return the folder of this computer that *device* was attached to, None if there is none or it is gone."""
    share = find_attached_share(context, device)
    return share.folder if share is not None and share.folder.is_dir() else None


def require_served(context: Context, device: str) -> None:
    """Raises DeviceUnreachable when *device* was attached to a share that is not served now.

    Otherwise every access to such a mount would block until the share is served again.
    """
    share = find_attached_share(context, device)
    if share is not None and share.served and not is_reachable(*share.local_address):
        raise not_served(share, device)


def is_share_away(context: Context, device: str) -> bool:
    """Return whether *device* was attached to a share that is not served now."""
    try:
        require_served(context, device)
    except DeviceUnreachable:
        return True
    return False


def remember_attached(context: Context, device: str, share: str | None) -> None:
    """Save that *device* is attached to *share*, or, for None, that it is attached to no share."""
    with context.store.reporting_disk_errors():
        save_attached(_attached_file(context, device), share)


def _attached_file(context: Context, device: str) -> Path:
    """Return the file that names the share of *device*. A virtual camera's is removed with the camera."""
    if (folder := context.store.root / "virtual" / device).is_dir():
        return folder / "share"
    return shares_folder(context) / "attached" / device.replace(os.sep, "_")


def not_served(share: Share, device: str) -> DeviceUnreachable:
    """Return the error for a share whose server does not answer."""
    return DeviceUnreachable(
        f"the share {share.name} ({share.url}) is not served now",
        hint=f"serve it with `incamera share serve --name {share.name}`, or detach it with "
        f"`incamera share detach --device {device}`"
        if share.served
        else f"check that the server {share.address} is up and on the network",
    )
