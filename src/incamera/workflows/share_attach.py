"""share attach|detach: a camera mounts a folder of this computer at its own place for network shares (SSH, root)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.connect.choose import choose_device
from incamera.connect.connection import connected
from incamera.connect.shares import attach_share, detach_share
from incamera.share.registry import require_share, shares_folder

if TYPE_CHECKING:
    from incamera.connect.shares import Attached
    from incamera.context import Context
    from incamera.project.settings import Project


def attach(context: Context, name: str | None, device: str | None, *, project: Project | None = None) -> Attached:
    """Have *device* mount the share *name*; again, if it went away. Raises DeviceError and its kinds, UsageError."""
    share = require_share(shares_folder(context), name)
    chosen = choose_device(context, device, project=project)
    # Waiting for a server that does not answer takes most of a minute.
    with context.reporter.step("mount"), connected(context, chosen) as connection:
        return attach_share(context, connection.session, share)


def detach(context: Context, device: str | None, *, project: Project | None = None) -> tuple[str, str | None]:
    """Have *device* unmount its network share. Returns the device's name and what was mounted, if anything was."""
    with connected(context, choose_device(context, device, project=project)) as connection:
        return str(connection.device), detach_share(context, connection.session)
