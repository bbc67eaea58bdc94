"""The network share that a device has mounted: which one it is, and how it is mounted and unmounted over SSH."""

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

_LOOKS_WITHIN_SECONDS = 10
_SOON_SECONDS = 5
# RAM, where every camera lets programs run.
_GUARD_PLACE = "/tmp"
_LOOK = Script("look", "cat /proc/mounts; echo == $SSH_CONNECTION; uname -m; id -un 2>/dev/null || id -u")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached:
    """A device that has *share* mounted at *place*; `fresh`: only just now."""

    device: str
    share: Share
    place: str
    fresh: bool


def attach_share(context: Context, session: Session, share: Share) -> Attached:
    """Have the device of *session* mount *share* at its own place for that, unless it has."""
    device = str(session.device)
    marker = ensure_marker(share)
    if not is_reachable(*share.local_address):
        raise _not_served(share, device)
    there = _look(session)
    address, port = _find_way(context, session, share, there)
    plan = plan_mount(share, address=address, port=port, client=there.own)
    attached = Attached(device=device, share=share, place=PLACE, fresh=False)
    if there.source is not None:
        if there.source == plan.source and read_marker(session) == marker:
            remember_attached(context, device, share.name)
            return attached
        if there.source != plan.source and load_attached(_attached_file(context, device)) is None:
            raise DeviceError(
                f"{device} has {there.source} mounted at {PLACE} already",
                hint="that was not done here; `incamera share detach` takes it away",
            )
        _unmount(session, there)
    began = time.monotonic()
    done = _mount(session, there, plan)
    if done.error in UNREACHABLE and time.monotonic() - began < _SOON_SECONDS:
        # The kernel may have taken an older mount's connection, which was just ending: a second try has its own.
        done = _mount(session, there, plan)
    if done.error:
        if find_virtual(context, device) is not None:  # its way to us has addresses that nobody else knows
            address, port = share.local_address
        raise explain_mount(share, done.error, done.problem or "", device=device, address=address, port=port)
    if read_marker(session) != marker:
        _unmount(session, there)
        raise DeviceUnsuitable(
            f"what {device} mounts from {share.url} is not the folder {share.folder} of this computer",
            hint="do the share's address and path lead to that folder?",
        )
    remember_attached(context, device, share.name)
    return replace(attached, fresh=True)


def detach_share(context: Context, session: Session) -> str | None:
    """Have the device of *session* unmount its network share. Returns what was mounted, None if nothing was."""
    there = _look(session)
    if there.source is not None:
        _unmount(session, there)
    name = str(session.device)
    remember_attached(context, name, None)
    if find_virtual(context, name) is not None:
        for protocol in Protocol:
            forward_service(context.store, name, protocol.port, None)
    return there.source


def find_attached_share(context: Context, device: str) -> Share | None:
    """Return the share that *device* was attached to from here; whether it still sees it is another question."""
    name = load_attached(_attached_file(context, device))
    return load_shares(shares_folder(context)).get(name) if name else None


def find_host_folder(context: Context, device: str) -> Path | None:
    """Return the folder of this computer that *device* has as its network share, as far as is known here."""
    share = find_attached_share(context, device)
    return share.folder if share is not None and share.folder.is_dir() else None


def require_served(context: Context, device: str) -> None:
    """Raises DeviceUnreachable when *device* was attached to a share that is not served now.

    Whatever looks at such a mount waits until it is: better to say so at once.
    """
    share = find_attached_share(context, device)
    if share is not None and share.served and not is_reachable(*share.local_address):
        raise _not_served(share, device)


def is_share_away(context: Context, device: str) -> bool:
    """Tell whether *device* was attached to a share that is not served now."""
    try:
        require_served(context, device)
    except DeviceUnreachable:
        return True
    return False


def ensure_mounted(context: Context, session: Session) -> None:
    """Mount again what the device was attached to and has lost, by a restart for instance."""
    share = find_attached_share(context, str(session.device))
    if share is not None:
        attach_share(context, session, share)


def read_marker(session: Session) -> str | None:
    """Return what the device finds in its share's file MARKER, None if that is not there, or cannot be read soon."""
    with suppress(ConnectionLost):  # the mount hangs, or all does: the next command shows which
        found = session.run(Program(("cat", f"{PLACE}/{MARKER}")), timeout=_LOOKS_WITHIN_SECONDS)
        return found.text.strip() if found.exit_code == 0 else None
    return None


def _not_served(share: Share, device: str) -> DeviceUnreachable:
    return DeviceUnreachable(
        f"the share {share.name} ({share.url}) is not served now",
        hint=f"start `incamera share serve --name {share.name}`, or `incamera share detach --device {device}`"
        if share.served
        else "is its server up, and on the network?",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _There:
    """A device as a share sees it: what is mounted at its place, its own address, and ours as it knows it."""

    source: str | None
    own: str
    ours: str
    architecture: Architecture
    user: str


def _look(session: Session) -> _There:
    # The place itself is not looked at: that would wait for a server that is away.
    text = session.require(_LOOK.program(), purpose="look at the mounts").decode("utf-8", "replace")
    mounts, _, rest = text.rpartition("== ")
    connection, machine, user = [*rest.splitlines(), "", "", ""][:3]
    ours, _, own, _ = [*connection.split(), "", "", "", ""][:4]
    architecture = Architecture.from_machine(machine)
    if architecture is None:
        raise DeviceUnsuitable(f"{session.device} is a {machine} machine, and no camera")
    found = find_mount(mounts)
    return _There(source=found[0] if found else None, own=own, ours=ours, architecture=architecture, user=user)


def _find_way(context: Context, session: Session, share: Share, there: _There) -> tuple[str, int]:
    """Return address and port at which the device finds the share's server."""
    device = str(session.device)
    if find_virtual(context, device) is not None:
        forward_service(context.store, device, share.protocol.port, share.local_address)
        return HOST_ADDRESS, share.protocol.port
    if share.is_loopback:
        raise UsageError(
            f"{share.name} is served on {share.address}, which only this computer and virtual cameras can reach",
            hint=f"serve it on this computer's address in the camera's network: incamera share serve --name "
            f"{share.name} --address {there.ours or 'ADDRESS'}",
        )
    if share.on_all_addresses and not there.ours:
        raise UsageError(f"{device} doesn't tell which of this computer's addresses it sees", hint="name it: --address")
    return (there.ours if share.on_all_addresses else share.address), share.port


def _ensure_guard(session: Session, there: _There) -> str:
    """Bring the guard to a device that lets us mount. Returns its path."""
    if there.user not in ("root", "0"):
        raise DeviceRefused(
            f"{session.device} lets only root mount, and we are {there.user} there",
            hint="AXIS OS mounts shares for you: `incamera share attach --api http://CAMERA`",
        )
    return ensure_guard(session, Guard(require_launcher(there.architecture), _GUARD_PLACE))


def _mount(session: Session, there: _There, plan: Mount) -> Mounted:
    guard = _ensure_guard(session, there)
    return mount(session, guard, kind=plan.kind, source=plan.source, target=PLACE, options=plan.options)


def _unmount(session: Session, there: _There) -> None:
    done = unmount(session, _ensure_guard(session, there), PLACE)
    if done.error:
        raise DeviceError(f"cannot unmount the share on {session.device}: {done.problem}")


def remember_attached(context: Context, device: str, share: str | None) -> None:
    """Write down that *device* was attached to *share*, or to none any more."""
    with context.store.reporting_disk_errors():
        save_attached(_attached_file(context, device), share)


def _attached_file(context: Context, device: str) -> Path:
    """Where it is written down what *device* was attached to; a virtual camera takes that with it when it ends."""
    if (folder := context.store.root / "virtual" / device).is_dir():
        return folder / "share"
    return shares_folder(context) / "attached" / device.replace(os.sep, "_")
