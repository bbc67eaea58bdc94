"""The short way to a camera's network share: its folder on this computer, written by this computer itself."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.disk import write_whole
from incamera.errors import InCameraError
from incamera.runtime.launcher import require_launcher
from incamera.targets.form import Form, Kind

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.deployment.places import Choice
    from incamera.device.facts import DeviceFacts
    from incamera.guard.upload import Way
    from incamera.transport.session import Session


@contextmanager
def way_through_host(
    context: Context, session: Session, facts: DeviceFacts, choice: Choice, way: Way
) -> Iterator[Way | None]:
    """*way*, past the network: through the folder of this computer that the device has mounted. None: there is none.

    It must show the same name tag here and there.
    """
    from incamera.transport.local import open_local

    # A tree's links into the camera would be followed by the share's server, and lead into this host.
    suits = choice.place.kind is Kind.share and choice.form is not Form.tree
    folder = _find_folder(context, facts, str(session.device)) if suits else None
    guard = _host_guard(context) if folder is not None else None
    if folder is None or guard is None:
        yield None
        return
    with open_local(session.device) as through:
        yield replace(way, through=through, folder=folder, guard=str(guard))


def _find_folder(context: Context, facts: DeviceFacts, device: str) -> Path | None:
    from incamera.share.registry import MARKER
    from incamera.workflows.share_attach import find_host_folder

    folder = find_host_folder(context, device)
    if folder is None:
        return None
    try:
        here = (folder / MARKER).read_text("utf-8").strip()
    except OSError as error:
        context.reporter.warn(f"cannot read {folder}: {error.strerror}: sending over the connection instead")
        return None
    if here and here == facts.share:
        return folder
    context.reporter.warn(f"{device} has not mounted {folder} any more: sending over the connection instead")
    return None


def _host_guard(context: Context) -> Path | None:
    """Return the guard for this computer, under a name by which it knows that it is one. None: there is none for it."""
    try:
        data = require_launcher(platform.machine()).read_bytes()
    except InCameraError:
        return None
    path = context.store.root / "caches" / "guards" / f"incamera-guard-{hashlib.sha256(data).hexdigest()[:12]}"
    if not os.access(path, os.X_OK):
        with context.store.reporting_disk_errors():
            write_whole(path, data)
            path.chmod(0o755)
    return path
