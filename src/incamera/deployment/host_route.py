"""Deploy to a network share by writing into the folder of this computer that the camera has mounted."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.connect.attached import find_host_folder
from incamera.disk import write_atomic
from incamera.errors import InCameraError
from incamera.runtime.launcher import require_launcher
from incamera.share.registry import MARKER
from incamera.targets.form import Form, Kind
from incamera.transport.local import open_local

if TYPE_CHECKING:
    from incamera.connect.connection import Connection
    from incamera.context import Context
    from incamera.deployment.plan import DeployPlan
    from incamera.device.facts import DeviceFacts
    from incamera.guard.upload import Route


@contextmanager
def host_route(context: Context, connection: Connection, plan: DeployPlan, route: Route) -> Iterator[Route | None]:
    """Yield *route* changed to write into the folder of this computer that the device has mounted, else None.

    None means that there is no such folder, or that both sides do not see the same marker in it.
    """
    # The share's server would follow a tree's links into the camera and find files of this computer.
    suits = plan.place.kind is Kind.share and plan.form is not Form.tree
    folder = _find_folder(context, connection.facts, str(connection.device)) if suits else None
    guard = _host_guard(context) if folder is not None else None
    if folder is None or guard is None:
        yield None
        return
    with open_local(connection.device) as through:
        yield replace(route, through=through, folder=folder, guard=str(guard))


def _find_folder(context: Context, facts: DeviceFacts, device: str) -> Path | None:
    folder = find_host_folder(context, device)
    if folder is None:
        return None
    try:
        here = (folder / MARKER).read_text("utf-8").strip()
    except OSError as error:
        context.reporter.warn(f"cannot read {folder / MARKER}: {error.strerror}; sending over the connection instead")
        return None
    if here and here == facts.share:
        return folder
    context.reporter.warn(f"{device} no longer has {folder} mounted; sending over the connection instead")
    return None


def _host_guard(context: Context) -> Path | None:
    """Return the path of the guard for this computer, None if there is none for its architecture.

    The program acts as a guard because its file name begins with `incamera-guard`.
    """
    try:
        data = require_launcher(platform.machine()).read_bytes()
    except InCameraError:
        return None
    path = context.store.root / "caches" / "guards" / f"incamera-guard-{hashlib.sha256(data).hexdigest()[:12]}"
    if not os.access(path, os.X_OK):
        with context.store.reporting_disk_errors():
            write_atomic(path, data)
            path.chmod(0o755)
    return path
