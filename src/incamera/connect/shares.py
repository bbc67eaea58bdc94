"""Mount and unmount a device's network share over SSH, and remember which share a device was attached to."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.connect.choose import find_virtual
from incamera.errors import ConnectionLost, DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable, UsageError
from incamera.guard.program import Guard, ensure_guard
from incamera.guard.verbs import mount, unmount
from incamera.runtime.launcher import require_launcher
from incamera.share.mounts import PLACE, UNREACHABLE, explain_mount, find_mount, plan_mount
from incamera.share.registry import MARKER, ensure_marker, load_attached, load_shares, save_attached, shares_folder
from incamera.share.server import is_reachable
from incamera.share.values import Protocol
from incamera.targets.architecture import Architecture
from incamera.transport.protocols import Program, Script
from incamera.virtual.forwarding import forward_service
from incamera.virtual.qemu import HOST_ADDRESS

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.runtime.launcher.protocol import Mounted
    from incamera.share.mounts import Mount
    from incamera.share.values import Share
    from incamera.transport.session import Session

_READ_SECONDS = 10
_SOON_SECONDS = 5
# RAM, where every camera lets programs run.
_GUARD_PLACE = "/tmp"
_READ_MOUNTS = Script("read-mounts", "cat /proc/mounts; echo == $SSH_CONNECTION; uname -m; id -un 2>/dev/null || id -u")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached:
    """A device that has *share* mounted at *place*. `fresh` is true when this call mounted it."""

    device: str
    share: Share
    place: str
    fresh: bool


def attach_share(context: Context, session: Session, share: Share) -> Attached:
    """Mount *share* on the device of *session* unless it is mounted. Raises DeviceError and its kinds, UsageError."""
    device = str(session.device)
    marker = ensure_marker(share)
    if not is_reachable(*share.local_address):
        raise _not_served(share, device)
    state = _read_state(session)
    address, port = _find_server_address(context, session, share, state)
    plan = plan_mount(share, address=address, port=port, client=state.device_address)
    attached = Attached(device=device, share=share, place=PLACE, fresh=False)
    if state.source is not None:
        if state.source == plan.source and read_marker(session) == marker:
            remember_attached(context, device, share.name)
            return attached
        if state.source != plan.source and load_attached(_attached_file(context, device)) is None:
            raise DeviceError(
                f"{device} has {state.source} mounted at {PLACE} already",
                hint="incamera on this computer did not mount it; "
                f"to unmount it: incamera share detach --device {device}",
            )
        _unmount(session, state)
    began = time.monotonic()
    done = _mount(session, state, plan)
    if done.error in UNREACHABLE and time.monotonic() - began < _SOON_SECONDS:
        # The kernel may have reused the closing connection of an older mount. A second attempt opens its own.
        done = _mount(session, state, plan)
    if done.error:
        if find_virtual(context, device) is not None:  # name the address that the user knows, not QEMU's
            address, port = share.local_address
        raise explain_mount(share, done.error, done.problem or "", device=device, address=address, port=port)
    if read_marker(session) != marker:
        _unmount(session, state)
        raise DeviceUnsuitable(
            f"{device} mounted {share.url}, but that is not the folder {share.folder} of this computer",
            hint=f"check the share's --address and --path, then add it again: incamera share add {share.name} …",
        )
    remember_attached(context, device, share.name)
    return replace(attached, fresh=True)


def detach_share(context: Context, session: Session) -> str | None:
    """Unmount the network share of *session*'s device. Returns what was mounted, None if nothing was."""
    state = _read_state(session)
    if state.source is not None:
        _unmount(session, state)
    name = str(session.device)
    remember_attached(context, name, None)
    if find_virtual(context, name) is not None:
        for protocol in Protocol:
            forward_service(context.store, name, protocol.port, None)
    return state.source


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
        raise _not_served(share, device)


def is_share_away(context: Context, device: str) -> bool:
    """Return whether *device* was attached to a share that is not served now."""
    try:
        require_served(context, device)
    except DeviceUnreachable:
        return True
    return False


def ensure_mounted(context: Context, session: Session) -> None:
    """Mount the share that the device was attached to again, if the device has lost it, for example by a restart."""
    share = find_attached_share(context, str(session.device))
    if share is not None:
        attach_share(context, session, share)


def read_marker(session: Session) -> str | None:
    """Return the content of the file MARKER in the device's share. None when reading fails or takes too long."""
    with suppress(ConnectionLost):  # the mount hangs, or the connection is lost: the next command shows which
        found = session.run(Program(("cat", f"{PLACE}/{MARKER}")), timeout=_READ_SECONDS)
        return found.text.strip() if found.exit_code == 0 else None
    return None


def _not_served(share: Share, device: str) -> DeviceUnreachable:
    return DeviceUnreachable(
        f"the share {share.name} ({share.url}) is not served now",
        hint=f"serve it with `incamera share serve --name {share.name}`, or detach it with "
        f"`incamera share detach --device {device}`"
        if share.served
        else f"check that the server {share.address} is up and on the network",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _State:
    """What the device reports about its mount and its connection. Addresses are empty where it does not report them."""

    source: str | None
    device_address: str
    host_address: str
    architecture: Architecture
    user: str


def _read_state(session: Session) -> _State:
    # The mount itself is not accessed: that would block while its server is down.
    text = session.require(_READ_MOUNTS.program(), purpose="read the mounts").decode("utf-8", "replace")
    mounts, _, rest = text.rpartition("== ")
    connection, machine, user = [*rest.splitlines(), "", "", ""][:3]
    host_address, _, device_address, _ = [*connection.split(), "", "", "", ""][:4]
    architecture = Architecture.from_machine(machine)
    if architecture is None:
        raise DeviceUnsuitable(
            f"{session.device} is a {machine} machine", hint="cameras are " + " or ".join(Architecture)
        )
    found = find_mount(mounts)
    return _State(
        source=found[0] if found else None,
        device_address=device_address,
        host_address=host_address,
        architecture=architecture,
        user=user,
    )


def _find_server_address(context: Context, session: Session, share: Share, state: _State) -> tuple[str, int]:
    """Return address and port at which the device reaches the share's server. Raises UsageError."""
    device = str(session.device)
    if find_virtual(context, device) is not None:
        forward_service(context.store, device, share.protocol.port, share.local_address)
        return HOST_ADDRESS, share.protocol.port
    if share.is_loopback:
        raise UsageError(
            f"{share.name} is served on {share.address}, which only this computer and virtual cameras can reach",
            hint=f"serve it on this computer's address in the camera's network: incamera share serve --name "
            f"{share.name} --address {state.host_address or 'ADDRESS'}",
        )
    if share.on_all_addresses and not state.host_address:
        raise UsageError(
            f"{device} does not report from which address this computer connects to it",
            hint=f"name it: incamera share serve --name {share.name} --address ADDRESS",
        )
    return (state.host_address if share.on_all_addresses else share.address), share.port


def _ensure_guard(session: Session, state: _State) -> str:
    """Upload the guard to a device unless it is there. Returns its path. Raises DeviceRefused without root there."""
    if state.user not in ("root", "0"):
        raise DeviceRefused(
            f"only root may mount on {session.device}, but the SSH login is {state.user}",
            hint="let AXIS OS mount the share: incamera share attach --api http://CAMERA",
        )
    return ensure_guard(session, Guard(require_launcher(state.architecture), _GUARD_PLACE))


def _mount(session: Session, state: _State, plan: Mount) -> Mounted:
    guard = _ensure_guard(session, state)
    return mount(session, guard, kind=plan.kind, source=plan.source, target=PLACE, options=plan.options)


def _unmount(session: Session, state: _State) -> None:
    done = unmount(session, _ensure_guard(session, state), PLACE)
    if done.error:
        raise DeviceError(f"cannot unmount the share on {session.device}: {done.problem}")


def remember_attached(context: Context, device: str, share: str | None) -> None:
    """Save that *device* is attached to *share*, or, for None, that it is attached to no share."""
    with context.store.reporting_disk_errors():
        save_attached(_attached_file(context, device), share)


def _attached_file(context: Context, device: str) -> Path:
    """Return the file that names the share of *device*. A virtual camera's is removed with the camera."""
    if (folder := context.store.root / "virtual" / device).is_dir():
        return folder / "share"
    return shares_folder(context) / "attached" / device.replace(os.sep, "_")
