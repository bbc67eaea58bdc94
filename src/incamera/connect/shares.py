"""Mount and unmount a device's network share, which only root can do there."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from incamera.connect.attached import find_attached_share, not_served, remember_attached
from incamera.connect.choose import find_virtual
from incamera.errors import DeviceError, DeviceRefused, DeviceUnsuitable, UsageError
from incamera.guard.verbs import mount, unmount
from incamera.share.mounts import PLACE, UNREACHABLE, explain_mount, find_mount, plan_mount
from incamera.share.registry import MARKER, ensure_marker
from incamera.share.server import is_reachable
from incamera.share.values import Protocol
from incamera.virtual.forwarding import forward_service
from incamera.virtual.qemu import HOST_ADDRESS

if TYPE_CHECKING:
    from incamera.connect.connection import Connection
    from incamera.context import Context
    from incamera.runtime.launcher.protocol import Mounted
    from incamera.share.mounts import Mount
    from incamera.share.values import Share
    from incamera.transport.protocols import Addresses
    from incamera.transport.session import Session

# A file of a mount whose server does not answer is not waited for any longer.
_MARKER_SECONDS = 10
_MARKER_BYTES = 4096
_MOUNTS_BYTES = 1 << 20
_SOON_SECONDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached:
    """A device that has *share* mounted at *place*; `fresh`: only just now."""

    device: str
    share: Share
    place: str
    fresh: bool


def attach_share(context: Context, connection: Connection, share: Share) -> Attached:
    """Have the device mount *share* at its place for network shares, unless it has.

    Raises DeviceUnreachable when the share is not served, DeviceRefused, DeviceUnsuitable, DeviceError, UsageError.
    """
    session, device = connection.session, str(connection.device)
    marker = ensure_marker(share)
    if not is_reachable(*share.local_address):
        raise not_served(share, device)
    source, addresses = _find_source(session), session.addresses()
    address, port = _find_server(context, share, device, addresses)
    plan = plan_mount(share, address=address, port=port, client=addresses.device)
    attached = Attached(device=device, share=share, place=PLACE, fresh=False)
    if source is not None:
        if source == plan.source and read_marker(session) == marker:
            remember_attached(context, device, share.name)
            return attached
        if source != plan.source and find_attached_share(context, device) is None:
            raise DeviceError(
                f"{device} has {source} mounted at {PLACE} already",
                hint="incamera on this computer did not mount it; "
                f"to unmount it: `incamera share detach --device {device}`",
            )
        _unmount(connection)
    began = time.monotonic()
    done = _mount(connection, plan)
    if done.error in UNREACHABLE and time.monotonic() - began < _SOON_SECONDS:
        # The kernel may have reused the closing connection of an older mount. A second attempt opens its own.
        done = _mount(connection, plan)
    if done.error:
        if find_virtual(context, device) is not None:  # name the address that the user knows, not QEMU's
            address, port = share.local_address
        raise explain_mount(share, done.error, done.problem or "", device=device, address=address, port=port)
    if read_marker(session) != marker:
        _unmount(connection)
        raise DeviceUnsuitable(
            f"{device} mounted {share.url}, but that is not the folder {share.folder} of this computer",
            hint=f"check the share's --address and --path, then add it again: `incamera share add {share.name} …`",
        )
    remember_attached(context, device, share.name)
    return replace(attached, fresh=True)


def detach_share(context: Context, connection: Connection) -> str | None:
    """Have the device unmount its network share. Returns what was mounted, None if nothing was."""
    source, device = _find_source(connection.session), str(connection.device)
    if source is not None:
        _unmount(connection)
    remember_attached(context, device, None)
    if find_virtual(context, device) is not None:
        for protocol in Protocol:
            forward_service(context.store, device, protocol.port, None)
    return source


def ensure_mounted(context: Context, connection: Connection) -> None:
    """Mount the share that the device was attached to, unless it is mounted: a restart of the device unmounts it."""
    share = find_attached_share(context, str(connection.device))
    if share is not None:
        attach_share(context, connection, share)


def read_marker(session: Session) -> str | None:
    """Return the content of the mounted share's file MARKER, None where it is not there or cannot be read soon."""
    try:
        text = session.get(f"{PLACE}/{MARKER}", limit=_MARKER_BYTES, timeout=_MARKER_SECONDS)
    except DeviceError:  # if it is the connection that was lost, the next request says so
        return None
    return text.decode("utf-8", "replace").strip()


def _find_source(session: Session) -> str | None:
    """Return what is mounted at the place for network shares."""
    # The place itself is left alone: looking at it would wait for a server that is away.
    mounts = session.get("/proc/mounts", limit=_MOUNTS_BYTES).decode("utf-8", "replace")
    found = find_mount(mounts)
    return found[0] if found else None


def _find_server(context: Context, share: Share, device: str, addresses: Addresses) -> tuple[str, int]:
    """Return address and port at which the device finds the share's server. Raises UsageError."""
    if find_virtual(context, device) is not None:
        forward_service(context.store, device, share.protocol.port, share.local_address)
        return HOST_ADDRESS, share.protocol.port
    if share.is_loopback:
        raise UsageError(
            f"{share.name} is served on {share.address}, which only this computer and virtual cameras can reach",
            hint=f"serve it on this computer's address in the camera's network: `incamera share serve --name "
            f"{share.name} --address {addresses.host or 'ADDRESS'}`",
        )
    if share.on_all_addresses and not addresses.host:
        raise UsageError(
            f"{device} does not report from which address this computer connects to it",
            hint=f"name it: `incamera share serve --name {share.name} --address ADDRESS`",
        )
    return (addresses.host if share.on_all_addresses else share.address), share.port


def _ensure_guard(connection: Connection) -> str:
    """Bring the guard to a device that lets us mount. Returns its path. Raises DeviceRefused."""
    if not connection.facts.root:
        raise DeviceRefused(
            f"only root may mount on {connection.device}, but the login is {connection.facts.user}",
            hint="let AXIS OS mount the share: `incamera share attach --api http://CAMERA`",
        )
    return connection.ensure_guard()


def _mount(connection: Connection, plan: Mount) -> Mounted:
    guard = _ensure_guard(connection)
    return mount(connection.session, guard, kind=plan.kind, source=plan.source, target=PLACE, options=plan.options)


def _unmount(connection: Connection) -> None:
    done = unmount(connection.session, _ensure_guard(connection), PLACE)
    if done.error:
        raise DeviceError(f"cannot unmount the share on {connection.device}: {done.problem}")
